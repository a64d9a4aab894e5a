/** What `vmjail doctor` tells of one ability of the host. */

import type { ExecutorProbe } from "../executor-probe.ts";
import type { HostFs } from "../fs.ts";
import type { HostFacts } from "../types.ts";

export interface Finding {
	/** Short and stable: "user namespaces". */
	readonly name: string;
	readonly ok: "yes" | "no" | "partly";
	/** What was found, in one line. */
	readonly detail: string;
	/** A command that a person can paste, or one sentence where no command helps. */
	readonly fix?: string;
	/** Can runlc start no jail without it? */
	readonly needed: boolean;
	/** Of a runtime that was tried out. */
	readonly runtime?: RuntimeFound;
}

export interface RuntimeFound {
	/** Absolute path of the binary. */
	readonly path: string;
	/** As it says itself. */
	readonly version: string;
	/** Values of system.accel that it has. */
	readonly platforms: readonly string[];
	/** It ran a program earlier since the machine started, and was not asked again. */
	readonly remembered: boolean;
}

export interface RunResult {
	/** Absent: the program could not be started, was killed, or took too long. */
	readonly status?: number;
	readonly stdout: string;
	readonly stderr: string;
}

/** What a check has to work with. */
export interface Examination {
	readonly fs: HostFs;
	readonly facts: HostFacts;
	/** Starts a program and waits for a few seconds at most. Never throws. */
	readonly run: (command: string, args: readonly string[]) => Promise<RunResult>;
	/** Absolute path of a program of PATH or of the system folders. */
	readonly find: (name: string) => string | undefined;
	/** Absent: the executor is not built, or does not run here. */
	readonly executor?: ExecutorProbe;
	/** Absent: the executor is not built. */
	readonly executorPath?: string;
}

export type Check = (examination: Examination) => Finding | Promise<Finding>;
