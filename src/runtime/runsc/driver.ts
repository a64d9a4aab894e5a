/** The driver of stock gVisor. */

import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { VmjailError } from "../../errors.ts";
import { errnoName } from "../../host/errno.ts";
import { parseMountinfo } from "../../host/mountinfo.ts";
import type { Architecture } from "../../host/types.ts";
import { specToJson } from "../../oci/json.ts";
import type { Spec } from "../../oci/types.ts";
import type { Step } from "../../plan/types.ts";
import type { Accel } from "../../policy/types.ts";
import {
	type DrivenRun,
	type Driver,
	exitOfWait,
	INNER_DESCRIPTORS,
	type PrepareOptions,
	type RawExit,
} from "../driver.ts";
import { inEnteredNetwork } from "../entered-network.ts";
import { pathKind } from "../path-kind.ts";
import { makeRunDir, type RunDir, writeResolver } from "../run-dir.ts";
import { stageOf, withFiles } from "../stage/stage.ts";
import type { Stage, StageCopy } from "../stage/types.ts";
import { requirePlatform } from "./abilities.ts";
import { type AdaptInput, adapt, forStage, networkOf, userFor } from "./adapt.ts";
import { runArgv } from "./argv.ts";
import { type Confined, confined, openSteps, reportedFailure } from "./confine.ts";
import { controlSocket, sendSignal } from "./control.ts";
import { nativeCpuidSteps } from "./cpuid.ts";
import { roomyTableSteps } from "./descriptors.ts";
import { exitOf, failureOf, hasStarted, type LogLine, parseLog } from "./exit.ts";
import type { Runsc } from "./find.ts";
import { INNER_SOCKET, innerFilters } from "./inner.ts";

export interface RunscOptions {
	readonly runsc: Runsc;
	readonly accel: Accel;
	readonly arch: Architecture;
	readonly caller: AdaptInput["caller"];
	/** Folder for everything that gVisor has to say; kept. Default: nothing is written. */
	readonly debugLog?: string;
	/** The program `vmjail-confine`, which installs a filter and becomes the jail's program. */
	readonly confine: string;
	/** Called when a run comes to nothing: what was believed of this runsc may no longer be true. */
	readonly onFailure?: () => void;
	/** Parent of the private folders. Default: see `defaultParent` in run-dir.ts. */
	readonly runDir?: string;
}

/** runsc itself, the gofer, the Sentry with its threads, and the process that a platform needs: 30 at most were seen. */
const OWN_TASKS = 48;

/** @throws VmjailError HOST_UNSUPPORTED where this runsc lacks the platform. */
export function runscDriver(options: RunscOptions): Driver {
	requirePlatform(options.runsc.abilities, options.accel);
	const { abilities } = options.runsc;
	return {
		name: "runsc",
		ownTasks: OWN_TASKS,
		inner: { filters: innerFilters, user: (user) => userFor(user, abilities, options.caller) },
		prepare: (spec, asked) => prepare(options, spec, asked),
	};
}

function prepare(options: RunscOptions, asked: Spec, { inner, copies = [], network }: PrepareOptions = {}): DrivenRun {
	const { runsc, caller, accel, arch } = options;
	const dir = makeRunDir(options.runDir);
	try {
		const spec =
			network === undefined ? asked : inEnteredNetwork(asked, network, writeResolver(dir, network.resolvConf));
		const alone = inner === undefined ? confined(spec, arch, INNER_SOCKET) : undefined;
		const first = alone === undefined ? spec : { ...spec, process: alone.process };
		const bundle = writeBundle(dir, first, { inner, filtered: alone !== undefined }, options);
		const stage = withFiles(bundle.stage, writeCopies(dir, copies));
		const debugLog = options.debugLog === undefined ? undefined : join(options.debugLog, dir.id);
		if (debugLog !== undefined) mkdirSync(debugLog, { recursive: true, mode: 0o700 });
		const log = join(dir.logs, "log");
		const argv = runArgv({
			...{ runsc, state: dir.state, log, accel, bundle: dir.bundle, id: dir.id },
			...(debugLog === undefined ? {} : { debugLog }),
			network: networkOf(spec.linux),
			rootless: !caller.privileged,
			...(inner === undefined && alone === undefined
				? {}
				: { passDescriptors: [{ host: PASSED, inside: INNER_SOCKET }], execDescriptor: PROGRAM }),
		});
		const ids = runsc.abilities.ownUid ? { uid: caller.uid, gid: caller.gid } : { uid: 0, gid: 0 };
		const job = {
			...{ argv, stage, last: [...roomyTableSteps(), ...nativeCpuidSteps(arch)] },
			...(inner !== undefined ? { passes: INNER_DESCRIPTORS } : {}),
			...(alone === undefined
				? {}
				: { passes: ["report", "program"], opens: openSteps(reportOf(dir), options.confine) }),
			...(caller.privileged ? {} : { asIds: ids }),
		};
		return new RunscRun(dir, options, { job, config: bundle.config, asked: spec, alone, debugLog });
	} catch (cause) {
		dir.remove();
		throw cause;
	}
}

/** Numbers of what a job passes: a descriptor that the jail's first process finds as INNER_SOCKET, and its program. */
const PASSED = 3;
const PROGRAM = 4;

/** What vmjail-confine has to say. */
const reportOf = (dir: RunDir) => join(dir.logs, "launch");

interface Bundle {
	readonly stage: Stage;
	readonly config: Spec;
}

function writeBundle(
	dir: RunDir,
	spec: Spec,
	own: Pick<AdaptInput, "inner" | "filtered">,
	{ runsc, caller }: RunscOptions,
): Bundle {
	// Where the jail shows the folder for temporary files, it would show the run's own.
	const masked = { ...spec, linux: { ...spec.linux, maskedPaths: [...(spec.linux.maskedPaths ?? []), dir.path] } };
	const shown = forStage(masked);
	const stage = stageOf({
		spec: shown,
		mounts: parseMountinfo(readFileSync("/proc/self/mountinfo", "utf8")),
		kindOf: pathKind,
		root: dir.root,
		emptyFile: dir.emptyFile,
	});
	const config = adapt({ spec: shown, stage, emptyFile: dir.emptyFile, abilities: runsc.abilities, caller, ...own });
	writeFileSync(join(dir.bundle, "config.json"), specToJson(config), { mode: 0o600 });
	return { stage, config };
}

/** Into the run's own folder, which the jail does not show. */
function writeCopies(dir: RunDir, copies: readonly StageCopy[]): readonly (readonly [string, string])[] {
	return copies.map(({ path, bytes }, i) => {
		const file = join(dir.path, `copy-${i}`);
		writeFileSync(file, bytes, { flag: "wx" });
		chmodSync(file, 0o555);
		return [file, path];
	});
}

interface PreparedRun extends Pick<DrivenRun, "job" | "config"> {
	readonly asked: Spec;
	readonly alone: Confined | undefined;
	readonly debugLog: string | undefined;
}

class RunscRun implements DrivenRun {
	readonly job: DrivenRun["job"];
	readonly config: Spec;
	readonly first?: readonly Step[];
	readonly #dir: RunDir;
	readonly #program: string;
	readonly #debugLog: string | undefined;
	readonly #onFailure: (() => void) | undefined;
	#over = false;

	constructor(dir: RunDir, { onFailure }: RunscOptions, { job, config, asked, alone, debugLog }: PreparedRun) {
		this.#dir = dir;
		this.#program = asked.process.args[0] ?? "";
		this.#debugLog = debugLog;
		this.#onFailure = onFailure;
		this.job = job;
		this.config = config;
		if (alone !== undefined) this.first = alone.steps;
	}

	end(status: number | undefined): RawExit | VmjailError {
		this.#over = true;
		const log = this.#log();
		const exit = status === undefined ? undefined : exitOfWait(status);
		const end =
			reportedFailure(read(reportOf(this.#dir)), this.#program, errnoName) ??
			exitOf(log) ??
			(exit?.kind === "signaled" ? exit : failureOf(log, this.#debugLog));
		const isFailure = end instanceof VmjailError ? end.code === "LAUNCH_FAILED" : !hasStarted(log);
		if (isFailure) this.#onFailure?.();
		return end;
	}

	hasStarted(): boolean {
		return hasStarted(this.#log());
	}

	#log(): readonly LogLine[] {
		return this.#logs().flatMap((path) => parseLog(read(path)));
	}

	#logs(): readonly string[] {
		const log = join(this.#dir.logs, "log");
		return [log, this.#debugLog === undefined ? `${log}.run` : join(this.#debugLog, "run.log")];
	}

	/** runsc itself passes signals on only where there is a terminal. */
	signal(number: number): boolean {
		if (number === 9) return false;
		void sendSignal(controlSocket(this.#dir.state, this.#dir.id), this.#dir.id, number, () => this.#over);
		return true;
	}

	remove(): Promise<void> {
		this.#over = true;
		this.#dir.remove();
		return Promise.resolve();
	}
}

function read(path: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return "";
	}
}
