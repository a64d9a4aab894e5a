/** What the conformance suite is written against. */

/** A policy file's content, as a user writes it. */
export type PolicyJson = Readonly<Record<string, unknown>>;

export interface RunOptions {
	readonly stdin?: string;
	/** Whoever writes to standard input goes on having it open, and writes nothing. */
	readonly stdinStaysOpen?: boolean;
	/** Standard input, output and error are one terminal; its output is in `stdout`. */
	readonly terminal?: boolean;
	/** Sent to the program as soon as it has written its first line. */
	readonly signalAfterFirstLine?: number;
	/** The caller's environment and working directory. */
	readonly env?: Readonly<Record<string, string>>;
	readonly cwd?: string;
}

export interface RunResult {
	/** As the command line gives it: the program's own, 128 + n for signal n, 125, 126 or 127 where it did not run. */
	readonly exitCode: number;
	readonly stdout: string;
	readonly stderr: string;
	/** The code of the VmjailError, where the program did not run. */
	readonly error?: string;
	/** How the program ended, where it was not a limit. */
	readonly ended?: "exited" | "signaled";
	/** The limit that ended it. */
	readonly limit?: string;
	readonly memoryPeakBytes?: number;
}

export interface RuntimeUnderTest {
	/** "runsc 0.0~20240729.0, systrap" */
	readonly name: string;
	readonly kind: "runlc" | "runsc" | "runc" | "crun";
	readonly gives: ReadonlySet<Need>;
	/** Whom vmjail is started as. */
	readonly caller: { readonly uid: number; readonly gid: number };
	run(policy: PolicyJson, argv: readonly string[], options?: RunOptions): Promise<RunResult>;
}

/**
 * What not every runtime gives, and what docs/runsc.md says about those that do not:
 * "limits": control groups hold what the policy says;
 * "log-refused": the kernel's log cannot be read (gVisor shows one of its own: "own-log");
 * "exact-status": a program that exits with 137 is told from one that was killed;
 * "kills-itself": a signal that the program sends itself ends it (under runc and crun it is the init of its pid
 * namespace, and the kernel drops the signal);
 * "erofs-first": a read-only place answers "read-only" even to a user whom its permissions refuse as well;
 * "any-id": root's alone: the program may be another user than the caller;
 * "own-id": the program is seen as the caller's own id (else as 0);
 * "terminal", "terminal-size".
 */
export type Need =
	| "log-refused"
	| "own-log"
	| "limits"
	| "exact-status"
	| "kills-itself"
	| "erofs-first"
	| "any-id"
	| "own-id"
	| "terminal"
	| "terminal-size";

/** Folders and files on the host that a case is about; removed at its end. */
export interface Scratch {
	readonly path: string;
	readonly caller: { readonly uid: number; readonly gid: number };
	/** Makes a file below the scratch folder, folders included. Returns its absolute path. */
	file(name: string, content?: string, mode?: number): string;
	folder(name: string): string;
	read(name: string): string;
	exists(name: string): boolean;
}

export interface Case {
	readonly name: string;
	readonly needs?: readonly Need[];
	run(runtime: RuntimeUnderTest, scratch: Scratch): Promise<void>;
}
