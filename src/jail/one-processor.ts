/**
 * A sandbox's tasks on one processor while it runs a short program. A start in gVisor is dozens of turns between threads of which one
 * runs at a time; the kernel gives the next one an idle processor, and waking that takes longer than the turn.
 */

import { readFileSync } from "node:fs";
import { loadAddon } from "../executor/addon.ts";
import { attempt } from "../host/fs.ts";
import { AT_FDCWD, AT_REMOVEDIR } from "../plan/constants.ts";
import type { Plan } from "../plan/types.ts";

/** A program that runs longer than this gets all processors: it may have work for them. */
const SHORT_MS = 30;

/** Tasks are made while others are being set: again, until there are no new ones. */
const MOST_PASSES = 4;

/** "0-2,5" → 0, 1, 2, 5. */
export function cpuNumbers(list: string): readonly number[] {
	return list.split(",").flatMap((range) => {
		const [, from, to = from] = /^(\d+)(?:-(\d+))?$/.exec(range) ?? [];
		if (from === undefined) return [];
		const first = Number(from);
		return Array.from({ length: Math.max(0, Number(to) - first + 1) }, (_, i) => first + i);
	});
}

/** The control groups that a jail's plan removes at its end. */
export function groupsOf({ cleanup }: Pick<Plan, "cleanup">): readonly string[] {
	return cleanup.flatMap(({ call, args }) => {
		const [at, name, flags] = args;
		if (call !== "unlinkat" || at !== AT_FDCWD || flags !== AT_REMOVEDIR || typeof name !== "object") return [];
		return "bytes" in name ? [new TextDecoder().decode(name.bytes.subarray(0, -1))] : [];
	});
}

/** The tasks of the first group whose tasks can be read. */
function tasksFile(groups: readonly string[]): string | undefined {
	const files = groups.flatMap((group) => [`${group}/cgroup.threads`, `${group}/tasks`]);
	return files.find((file) => attempt(() => readFileSync(file, "utf8")) !== undefined);
}

function tasksIn(file: string): readonly number[] {
	return (attempt(() => readFileSync(file, "utf8")) ?? "")
		.split("\n")
		.map(Number)
		.filter((tid) => tid > 0);
}

/** Sets every task of the group. May throw where one may not be set. */
function spread(file: string, cpus: readonly number[]): void {
	const set = new Set<number>();
	const addon = loadAddon();
	for (let pass = 0; pass < MOST_PASSES; pass++) {
		const fresh = tasksIn(file).filter((tid) => !set.has(tid));
		if (fresh.length === 0) return;
		addon.setAffinity(Int32Array.from(fresh), Int32Array.from(cpus));
		for (const tid of fresh) set.add(tid);
	}
}

export class OneProcessor {
	readonly #file: string;
	readonly #all: readonly number[];
	readonly #one: number;
	#isOn: "one" | "all" = "all";
	#timer: NodeJS.Timeout | undefined;

	private constructor(file: string, all: readonly number[], one: number) {
		this.#file = file;
		this.#all = all;
		this.#one = one;
	}

	/**
	 * For the sandbox in these groups; undefined where it is in none, or has one processor anyway.
	 *
	 * @param turn which of the processors: each sandbox of a pool another one
	 */
	static of(groups: readonly string[], turn: number): OneProcessor | undefined {
		const file = tasksFile(groups);
		const [task] = file === undefined ? [] : tasksIn(file);
		if (file === undefined || task === undefined) return undefined;
		const status = attempt(() => readFileSync(`/proc/${task}/status`, "utf8")) ?? "";
		const all = cpuNumbers(/^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1] ?? "");
		const one = all[turn % all.length];
		return all.length < 2 || one === undefined ? undefined : new OneProcessor(file, all, one);
	}

	/** Before a program is started. */
	begin(): void {
		if (this.#isOn === "all") this.#set("one", [this.#one]);
		this.#timer = setTimeout(() => this.#set("all", this.#all), SHORT_MS).unref();
	}

	/** When it has ended. */
	end(): void {
		clearTimeout(this.#timer);
	}

	/** Where it cannot be had, things are slower, and that is all. */
	#set(to: "one" | "all", cpus: readonly number[]): void {
		attempt(() => spread(this.#file, cpus));
		this.#isOn = to;
	}
}
