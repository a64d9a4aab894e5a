/** What every runtime is driven through: a spec and three descriptors in, a handle on the running program out. */

import type { Spec } from "../oci/types.ts";

export type DriverName = "runlc" | "runsc" | "runc" | "crun";

/** Descriptors of this process that become the program's 0, 1 and 2. They stay the caller's to close. */
export interface Stdio {
	readonly stdin: number;
	readonly stdout: number;
	readonly stderr: number;
}

/** The control group that the whole runtime, with everything it starts, is put into before it runs. */
export interface CgroupHook {
	/** Moves a process that has not started anything yet. Rejects where the kernel refuses. */
	attach(pid: number): void | Promise<void>;
}

export interface StartOptions {
	readonly cgroup?: CgroupHook;
	/** Folder for the runtime's own diagnostics; kept. Default: none are written. */
	readonly debugLog?: string;
}

/**
 * How the program ended, as the kernel counts it: the signal's number, or the exit status. A limit, a denial or a
 * cancellation is read out of this and the usage by the outcome, not here.
 */
export type RawExit =
	| { readonly kind: "exited"; readonly exitCode: number }
	| { readonly kind: "signaled"; readonly signal: number };

export interface Handle {
	/** Of the outermost process of the runtime: killing it ends the jail. */
	readonly pid: number;

	/**
	 * Resolves when the program has ended and the runtime has left the process table. May be called more than once.
	 *
	 * @throws VmjailError COMMAND_NOT_FOUND, COMMAND_NOT_EXECUTABLE or LAUNCH_FAILED where the program never ran.
	 */
	wait(): Promise<RawExit>;

	/** Sends a signal to the program; 9 ends the whole jail. Does nothing once the program has ended. */
	kill(signal: number): void;

	/** Ends the jail if it still runs, waits for it, and removes every file of it. May be called more than once. */
	close(): Promise<void>;
}

export interface Driver {
	readonly name: DriverName;

	/**
	 * Starts the spec's program.
	 *
	 * @throws VmjailError HOST_UNSUPPORTED for a control of the spec that this runtime cannot enforce, PATH_INVALID for a
	 *   mount that has no place to go, LAUNCH_FAILED where the runtime does not start.
	 */
	start(spec: Spec, stdio: Stdio, options?: StartOptions): Promise<Handle>;
}
