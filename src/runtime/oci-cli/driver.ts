/** The driver of runc and crun: a bundle on disk, and the runtime in surroundings that end with us. */

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { VmjailError } from "../../errors.ts";
import { type MountEntry, parseMountinfo } from "../../host/mountinfo.ts";
import type { Linux, Mount, Spec } from "../../oci/types.ts";
import { exportBundle } from "../bundle/export.ts";
import { type DrivenRun, type Driver, exitOfWait, type RawExit } from "../driver.ts";
import { type EnteredNetwork, inEnteredNetwork } from "../entered-network.ts";
import { makeRunDir, type RunDir, writeResolver } from "../run-dir.ts";
import type { StageStep } from "../stage/types.ts";
import { deleteArgv, type OciArgvInput, type OciRuntime, runArgv } from "./argv.ts";
import { errorsIn, exitOfStatus, failureOf } from "./exit.ts";

export interface OciCliOptions {
	readonly runtime: OciRuntime;
	/** Absolute path of the binary. */
	readonly path: string;
	readonly caller: { readonly uid: number; readonly gid: number; readonly privileged: boolean };
	/** Parent of the private folders. Default: see `defaultParent` in run-dir.ts. */
	readonly runDir?: string;
}

const ROOT = { uid: 0, gid: 0 };

const SYSFS = ["rbind", "ro", "nosuid", "noexec", "nodev"];

/** runc is written in Go: threads of the command itself and of the process that becomes the program. */
const OWN_TASKS: Readonly<Record<OciRuntime, number>> = { runc: 32, crun: 8 };

export function ociCliDriver(options: OciCliOptions): Driver {
	const { runtime } = options;
	return {
		name: runtime,
		ownTasks: OWN_TASKS[runtime],
		prepare: (spec, asked) => prepare(options, spec, asked?.network),
	};
}

function prepare(
	{ runtime, path, caller, runDir }: OciCliOptions,
	asked: Spec,
	network: EnteredNetwork | undefined,
): DrivenRun {
	const dir = makeRunDir(runDir);
	try {
		const spec = network === undefined ? asked : withNetwork(asked, network, dir);
		const config = forBundle(spec, dir, caller.privileged);
		exportBundle({ spec: config, dir: dir.bundle });
		const input: OciArgvInput = {
			...{ runtime, path, state: dir.state, log: join(dir.logs, "log") },
			...{ bundle: dir.bundle, id: dir.id },
		};
		const job = {
			argv: runArgv(input),
			stage: {
				root: dir.root,
				steps: [
					...preparation(runtime, parseMountinfo(read("/proc/self/mountinfo"))),
					...(network === undefined ? [] : [{ op: "sysfs", at: dir.root } as const]),
				],
			},
			...(caller.privileged ? {} : { asIds: ROOT }),
		};
		return new OciCliRun(dir, input, { job, config });
	} catch (cause) {
		dir.remove();
		throw cause;
	}
}

/**
 * crun 1.8 does not start where a cgroup2 with controllers lies beside cgroup v1; it needs neither from us. runc makes
 * groups below its own wherever it can: it is not to.
 */
export function preparation(runtime: OciRuntime, mounts: readonly MountEntry[]): readonly StageStep[] {
	const of = (type: string) => mounts.filter((mount) => mount.type === type).map(({ mountPoint }) => mountPoint);
	const [v1, v2] = [of("cgroup"), of("cgroup2")];
	if (runtime === "runc") return [...v1, ...v2].map((at) => ({ op: "restrict", at, flags: ["ro"] }));
	return v1.length === 0 ? [] : v2.map((at) => ({ op: "tmpfs", at }));
}

/**
 * A sysfs shows the network namespace in which it was mounted, and only the owner of that may mount it: not the program's
 * user namespace, which lies below. So it is mounted around the runtime, and bound.
 */
function withNetwork(asked: Spec, network: EnteredNetwork, dir: RunDir): Spec {
	const spec = inEnteredNetwork(asked, network, writeResolver(dir, network.resolvConf));
	const bound = (mount: Mount): Mount =>
		mount.type === "sysfs" ? { ...mount, type: "bind", source: dir.root, options: [...SYSFS] } : mount;
	return { ...spec, mounts: spec.mounts.map(bound) };
}

/**
 * The control group around the whole runtime keeps the limits, the same for every runtime. Where the jail shows the
 * folder for temporary files, it would show the run's own. An ordinary user's user namespace is around the runtime, and the
 * user is root in it: neither runtime starts in one without a root, and there is but one id.
 */
function forBundle(spec: Spec, dir: RunDir, privileged: boolean): Spec {
	const { resources: _resources, cgroupsPath: _path, ...rest } = spec.linux;
	const linux = privileged ? rest : withoutUserNamespace(rest);
	const process = privileged ? spec.process : { ...spec.process, user: { ...spec.process.user, ...ROOT } };
	return { ...spec, process, linux: { ...linux, maskedPaths: [...(linux.maskedPaths ?? []), dir.path] } };
}

function withoutUserNamespace(linux: Linux): Linux {
	const { uidMappings: _uids, gidMappings: _gids, ...rest } = linux;
	return { ...rest, namespaces: linux.namespaces.filter(({ type }) => type !== "user") };
}

class OciCliRun implements DrivenRun {
	readonly job: DrivenRun["job"];
	readonly config: Spec;
	readonly #dir: RunDir;
	readonly #input: OciArgvInput;

	constructor(dir: RunDir, input: OciArgvInput, { job, config }: Pick<DrivenRun, "job" | "config">) {
		this.#dir = dir;
		this.#input = input;
		this.job = job;
		this.config = config;
	}

	end(status: number | undefined): RawExit | VmjailError {
		const errors = errorsIn(read(this.#input.log));
		const exit: RawExit = status === undefined ? { kind: "signaled", signal: 9 } : exitOfWait(status);
		if (exit.kind === "signaled") return exit;
		return errors.length > 0 ? failureOf(this.#input.runtime, errors) : exitOfStatus(exit.exitCode);
	}

	/** They do little before; what they start takes over their process. */
	hasStarted(): boolean {
		return true;
	}

	/** Both pass on what they get. */
	signal(): boolean {
		return false;
	}

	/** After a run that ended by itself nothing is left, and the runtime says that it knows no such container. */
	async remove(): Promise<void> {
		const [file = "", ...args] = deleteArgv(this.#input);
		await promisify(execFile)(file, args, { timeout: 10_000 }).catch(() => undefined);
		this.#dir.remove();
	}
}

function read(path: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return "";
	}
}
