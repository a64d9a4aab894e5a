/**
 * A caller's control group: limits for all of its jails together that it cannot change, and below them a folder of its own where
 * its jails make theirs.
 */

import { chownSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { groupName } from "../../cgroup/id.ts";
import { VmjailError } from "../../errors.ts";
import { SUPERVISOR } from "../../host/cgroup-v2.ts";
import type { CgroupFacts, CgroupV2 } from "../../host/types.ts";
import type { Caller } from "./admit.ts";

/** For all of a caller's jails, its worker included. Absent: no limit. */
export interface GroupLimits {
	readonly memoryBytes?: number;
	readonly pids?: number;
}

/** Documentation/admin-guide/cgroup-v2.rst, "Delegation": these, and the folder, and nothing else. */
const DELEGATED = ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control"];

const RETRY_MS = 20;
const MOST_RETRIES = 250;

function write(file: string, value: string): void {
	try {
		writeFileSync(file, value, { flag: "r+" });
	} catch (cause) {
		const { code } = cause as NodeJS.ErrnoException;
		throw new VmjailError("HOST_UNSUPPORTED", `the caller's control group: ${file}: ${value}: ${code}`, { cause });
	}
}

function writeIfThere(file: string, value: string): void {
	try {
		writeFileSync(file, value, { flag: "r+" });
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
	}
}

/** Controllers are enabled for all children of a group at once; the processes in it must have left then. */
function enableControllers({ path, controllers, enabled = [], moveSelf, own = [] }: CgroupV2): void {
	const missing = controllers.filter((name) => !enabled.includes(name));
	if (missing.length === 0) return;
	if (moveSelf) {
		const leaf = join(path, SUPERVISOR);
		mkdirSync(leaf, { recursive: true });
		for (const pid of own) write(join(leaf, "cgroup.procs"), String(pid));
	}
	write(join(path, "cgroup.subtree_control"), missing.map((name) => `+${name}`).join(" "));
}

/** Everything below a group, deepest first. The caller may have made groups of any name. */
function below(folder: string): readonly string[] {
	const names = attempt(() => readdirSync(folder, { withFileTypes: true })) ?? [];
	return names
		.filter((entry) => entry.isDirectory())
		.flatMap(({ name }) => [...below(join(folder, name)), join(folder, name)]);
}

function attempt<T>(action: () => T): T | undefined {
	try {
		return action();
	} catch {
		return undefined;
	}
}

export class CallerGroup {
	readonly #folders: readonly string[];

	private constructor(folders: readonly string[]) {
		this.#folders = folders;
	}

	/** One folder in each hierarchy. */
	get folders(): readonly string[] {
		return this.#folders;
	}

	/**
	 * Makes the group in every hierarchy of this host that can limit something.
	 *
	 * @param id from newGroupId
	 * @throws VmjailError HOST_UNSUPPORTED where the host does not let it
	 */
	static make(facts: CgroupFacts, id: string, { uid, gid }: Caller, limits: GroupLimits): CallerGroup {
		const made: string[] = [];
		const group = new CallerGroup(made);
		const add = (parent: string): string => {
			const folder = join(parent, groupName(id));
			mkdirSync(folder, 0o755);
			made.push(folder);
			return folder;
		};
		try {
			for (const parent of new Set(facts.v1.filter(({ writable }) => writable).map(({ path }) => path))) {
				const names = facts.v1.filter(({ path }) => path === parent).map(({ name }) => name);
				limitV1(add(parent), names, facts, limits);
			}
			if (facts.v2?.writable === true) {
				enableControllers(facts.v2);
				const folder = add(facts.v2.path);
				limitV2(folder, facts.v2.controllers, limits);
				for (const file of DELEGATED) chownSync(join(folder, file), uid, gid);
			}
			for (const folder of made) chownSync(folder, uid, gid);
			return group;
		} catch (error) {
			for (const folder of made) attempt(() => rmdirSync(folder));
			throw error;
		}
	}

	/** The files by which a process enters: to be written to while one is root. */
	get doors(): readonly string[] {
		return this.#folders.map((folder) => join(folder, "cgroup.procs"));
	}

	/** Waits until the last process is gone, for five seconds at most. Returns what could not be removed. */
	async remove(): Promise<readonly string[]> {
		for (let tries = 0; tries < MOST_RETRIES; tries++) {
			const left = this.#folders.filter((folder) => {
				for (const child of below(folder)) attempt(() => rmdirSync(child));
				attempt(() => rmdirSync(folder));
				return attempt(() => readdirSync(folder)) !== undefined;
			});
			if (left.length === 0) return [];
			await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
		}
		return this.#folders.filter((folder) => attempt(() => readdirSync(folder)) !== undefined);
	}
}

function limitV1(folder: string, names: readonly string[], facts: CgroupFacts, limits: GroupLimits): void {
	const at = (file: string) => join(folder, file);
	if (names.includes("cpuset")) {
		// A group takes no process before it has both.
		write(at("cpuset.mems"), facts.v1.find(({ name }) => name === "cpuset")?.mems ?? "");
		write(at("cpuset.cpus"), facts.cpuList ?? "");
	}
	if (names.includes("memory")) {
		writeIfThere(at("memory.use_hierarchy"), "1");
		if (attempt(() => readFileSync(at("memory.use_hierarchy"), "utf8").trim()) === "0") {
			throw new VmjailError("HOST_UNSUPPORTED", `${folder}: memory of groups below is not counted (use_hierarchy)`);
		}
		if (limits.memoryBytes !== undefined) {
			write(at("memory.limit_in_bytes"), String(limits.memoryBytes));
			writeIfThere(at("memory.memsw.limit_in_bytes"), String(limits.memoryBytes));
		}
	}
	if (names.includes("pids") && limits.pids !== undefined) write(at("pids.max"), String(limits.pids));
}

function limitV2(folder: string, controllers: readonly string[], limits: GroupLimits): void {
	const at = (file: string) => join(folder, file);
	if (controllers.includes("memory") && limits.memoryBytes !== undefined) {
		write(at("memory.max"), String(limits.memoryBytes));
		writeIfThere(at("memory.swap.max"), "0");
	}
	if (controllers.includes("pids") && limits.pids !== undefined) write(at("pids.max"), String(limits.pids));
}
