/** The driver of stock gVisor. */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { VmjailError } from "../../errors.ts";
import { parseMountinfo } from "../../host/mountinfo.ts";
import { specToJson } from "../../oci/json.ts";
import type { Spec } from "../../oci/types.ts";
import type { Accel } from "../../policy/types.ts";
import type { Driver, Handle, RawExit, StartOptions, Stdio } from "../driver.ts";
import { pathKind } from "../path-kind.ts";
import { makeRunDir, type RunDir } from "../run-dir.ts";
import { stageOf } from "../stage/stage.ts";
import { type Supervised, type Supervisor, signaled } from "../supervise/types.ts";
import { superviseByUtilLinux } from "../supervise/util-linux.ts";
import { requirePlatform } from "./abilities.ts";
import { type AdaptInput, adapt, forStage, networkOf } from "./adapt.ts";
import { killArgv, runArgv } from "./argv.ts";
import { exitOf, failureOf, parseLog } from "./exit.ts";
import type { Runsc } from "./find.ts";
import { requireFaithful } from "./streams.ts";

export interface RunscOptions {
	readonly runsc: Runsc;
	readonly accel: Accel;
	readonly caller: AdaptInput["caller"];
	/** Default: util-linux. */
	readonly supervisor?: Supervisor;
	/** Parent of the private folders. Default: the folder for temporary files. */
	readonly runDir?: string;
}

/** @throws VmjailError HOST_UNSUPPORTED where this runsc lacks the platform. */
export function runscDriver(options: RunscOptions): Driver {
	requirePlatform(options.runsc.abilities, options.accel);
	return { name: "runsc", start: (spec, stdio, startOptions = {}) => start(options, spec, stdio, startOptions) };
}

async function start(options: RunscOptions, spec: Spec, stdio: Stdio, startOptions: StartOptions): Promise<Handle> {
	if (spec.linux.resources !== undefined && startOptions.cgroup === undefined) {
		throw new VmjailError("HOST_UNSUPPORTED", "runsc is given limits and no control group to keep them", {
			remedy: "Run vmjail where it may make control groups, or take the limits out of the policy.",
		});
	}
	requireFaithful(stdio);
	const dir = makeRunDir(options.runDir);
	try {
		const { runsc, caller, accel, supervisor = superviseByUtilLinux } = options;
		const files = prepare(dir, spec, options);
		const debugLog = startOptions.debugLog === undefined ? undefined : join(startOptions.debugLog, dir.id);
		if (debugLog !== undefined) mkdirSync(debugLog, { recursive: true, mode: 0o700 });
		const log = join(dir.logs, "log");
		const process = await supervisor({
			argv: runArgv({
				...{ runsc, state: dir.state, log, accel, bundle: dir.bundle, id: dir.id },
				...(debugLog === undefined ? {} : { debugLog }),
				network: networkOf(spec.linux),
				rootless: !caller.privileged,
			}),
			env: {},
			stdio,
			stage: files.stage,
			...(caller.privileged
				? {}
				: { asIds: runsc.abilities.ownUid ? { uid: caller.uid, gid: caller.gid } : { uid: 0, gid: 0 } }),
			...(startOptions.cgroup === undefined ? {} : { cgroup: startOptions.cgroup }),
			report: dir.report,
			...(spec.process.terminal === true ? { terminal: true } : {}),
		});
		const kill = (signal: number) =>
			killArgv({ runsc, state: dir.state, rootless: !caller.privileged, id: dir.id }, signal);
		const logs = [log, debugLog === undefined ? `${log}.run` : join(debugLog, "run.log")];
		return handle(process, dir, logs, debugLog, kill);
	} catch (cause) {
		dir.remove();
		throw cause;
	}
}

function prepare(dir: RunDir, spec: Spec, { runsc, caller }: RunscOptions) {
	const own = forStage(spec);
	const stage = stageOf({
		spec: own,
		mounts: parseMountinfo(readFileSync("/proc/self/mountinfo", "utf8")),
		kindOf: pathKind,
		root: dir.root,
		emptyFile: dir.emptyFile,
	});
	const adapted = adapt({ spec: own, stage, emptyFile: dir.emptyFile, abilities: runsc.abilities, caller });
	writeFileSync(join(dir.bundle, "config.json"), specToJson(adapted), { mode: 0o600 });
	return { stage };
}

function handle(
	process: Supervised,
	dir: RunDir,
	logs: readonly string[],
	debugLog: string | undefined,
	killCommand: (signal: number) => readonly string[],
): Handle {
	let killed = false;
	const ended = process.ended.then(({ signal }): RawExit | VmjailError => {
		const log = logs.flatMap((path) => parseLog(read(path)));
		const exit = exitOf(log) ?? signaled(killed ? "SIGKILL" : signal) ?? failureOf(log, read(dir.report), debugLog);
		dir.remove();
		return exit;
	});
	return {
		pid: process.pid,
		async wait() {
			const exit = await ended;
			if (exit instanceof VmjailError) throw exit;
			return exit;
		},
		kill(signal) {
			// runsc itself passes signals on only where there is a terminal.
			if (signal !== 9) void process.inside(killCommand(signal)).catch(() => undefined);
			else if (process.kill(9)) killed = true;
		},
		async close() {
			this.kill(9);
			await ended;
		},
	};
}

function read(path: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return "";
	}
}
