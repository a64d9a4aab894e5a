/** The driver of runc and crun: a bundle on disk, and the runtime in a pid namespace that ends with us. */

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { VmjailError } from "../../errors.ts";
import { type MountEntry, parseMountinfo } from "../../host/mountinfo.ts";
import type { Spec } from "../../oci/types.ts";
import { exportBundle } from "../bundle/export.ts";
import type { Driver, Handle, RawExit, StartOptions, Stdio } from "../driver.ts";
import { makeRunDir, type RunDir } from "../run-dir.ts";
import type { StageStep } from "../stage/types.ts";
import { type Supervised, type Supervisor, signaled } from "../supervise/types.ts";
import { superviseByUtilLinux } from "../supervise/util-linux.ts";
import { deleteArgv, type OciArgvInput, type OciRuntime, runArgv } from "./argv.ts";
import { errorsIn, exitOfStatus, failureOf } from "./exit.ts";

export interface OciCliOptions {
	readonly runtime: OciRuntime;
	/** Absolute path of the binary. */
	readonly path: string;
	readonly caller: { readonly uid: number; readonly gid: number; readonly privileged: boolean };
	/** Default: util-linux. */
	readonly supervisor?: Supervisor;
	/** Parent of the private folders. Default: the folder for temporary files. */
	readonly runDir?: string;
}

export function ociCliDriver(options: OciCliOptions): Driver {
	return {
		name: options.runtime,
		start: (spec, stdio, startOptions = {}) => start(options, spec, stdio, startOptions),
	};
}

async function start(options: OciCliOptions, spec: Spec, stdio: Stdio, { cgroup }: StartOptions): Promise<Handle> {
	const { runtime, path, caller, supervisor = superviseByUtilLinux } = options;
	if (spec.linux.resources !== undefined && cgroup === undefined) {
		throw new VmjailError("HOST_UNSUPPORTED", `${runtime} is given limits and no control group to keep them`, {
			remedy: "Run vmjail where it may make control groups, or take the limits out of the policy.",
		});
	}
	const dir = makeRunDir(options.runDir);
	try {
		exportBundle({ spec: withoutLimits(spec), dir: dir.bundle });
		const input: OciArgvInput = {
			...{ runtime, path, state: dir.state, log: join(dir.logs, "log") },
			...{ bundle: dir.bundle, id: dir.id },
		};
		const process = await supervisor({
			argv: runArgv(input),
			env: {},
			stdio,
			stage: { root: dir.root, steps: preparation(runtime, parseMountinfo(read("/proc/self/mountinfo"))) },
			...(caller.privileged ? {} : { asIds: { uid: caller.uid, gid: caller.gid } }),
			...(cgroup === undefined ? {} : { cgroup }),
			report: dir.report,
			...(spec.process.terminal === true ? { terminal: true } : {}),
		});
		return handle(process, dir, input);
	} catch (cause) {
		dir.remove();
		throw cause;
	}
}

/** crun 1.8 does not start where a cgroup2 with controllers lies beside cgroup v1; it needs neither from us. */
export function preparation(runtime: OciRuntime, mounts: readonly MountEntry[]): readonly StageStep[] {
	const of = (type: string) => mounts.filter((mount) => mount.type === type).map(({ mountPoint }) => mountPoint);
	if (runtime !== "crun" || of("cgroup").length === 0) return [];
	return of("cgroup2").map((at) => ({ op: "tmpfs", at }));
}

/** The control group around the whole runtime keeps the limits, the same for every runtime. */
function withoutLimits(spec: Spec): Spec {
	const { resources: _resources, cgroupsPath: _path, ...linux } = spec.linux;
	return { ...spec, linux };
}

function handle(process: Supervised, dir: RunDir, input: OciArgvInput): Handle {
	let killed = false;
	const ended = process.ended.then(async ({ exitCode, signal }): Promise<RawExit | VmjailError> => {
		const errors = errorsIn(read(input.log));
		const report = read(dir.report);
		await discard(input);
		dir.remove();
		const byUs = signaled(killed ? "SIGKILL" : signal);
		if (byUs !== undefined) return byUs;
		return errors.length > 0 || report !== "" ? failureOf(input.runtime, errors, report) : exitOfStatus(exitCode ?? 0);
	});
	return {
		pid: process.pid,
		async wait() {
			const exit = await ended;
			if (exit instanceof VmjailError) throw exit;
			return exit;
		},
		kill(signal) {
			if (process.kill(signal) && signal === 9) killed = true;
		},
		async close() {
			this.kill(9);
			await ended;
		},
	};
}

/** After a run that ended by itself nothing is left, and the runtime says that it knows no such container. */
async function discard(input: OciArgvInput): Promise<void> {
	const [file = "", ...args] = deleteArgv(input);
	await promisify(execFile)(file, args, { timeout: 10_000 }).catch(() => undefined);
}

function read(path: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return "";
	}
}
