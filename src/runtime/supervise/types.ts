/** What starts a runtime's process and answers for its end. */

import { constants } from "node:os";
import type { CgroupHook, RawExit, Stdio } from "../driver.ts";
import type { Stage } from "../stage/types.ts";

export interface Job {
	/** Absolute path of a program, and its arguments. */
	readonly argv: readonly string[];
	readonly env: Readonly<Record<string, string>>;
	readonly stdio: Stdio;
	/** More descriptors of this process: they become 4, 5 and so on in the program. */
	readonly pass?: readonly number[];
	/** Made in a mount namespace of the program's own. */
	readonly stage?: Stage;
	/** In a user namespace where the caller has these ids, and every capability. Default: the caller's namespace. */
	readonly asIds?: { readonly uid: number; readonly gid: number };
	/** Standard input is a terminal that nobody else has: it becomes the controlling terminal of a new session. */
	readonly terminal?: boolean;
	readonly cgroup?: CgroupHook;
	/** File that says why a step before the program failed. */
	readonly report: string;
}

export interface Supervised {
	/** On the host; killing it ends everything that the program started. */
	readonly pid: number;
	/** When the program and everything it started is gone. */
	readonly ended: Promise<{ readonly exitCode: number | null; readonly signal: NodeJS.Signals | null }>;
	/** To the program itself, or with 9 to everything. Returns false where there is nobody to signal. */
	kill(signal: number): boolean;
	/** Runs another program in the same namespaces, to its end. Rejects where it fails, or the jail is gone. */
	inside(argv: readonly string[]): Promise<void>;
}

/**
 * Starts a job in a pid namespace of its own, so that nothing it starts can outlive it, and so that it cannot outlive
 * this process, however this process ends.
 */
export type Supervisor = (job: Job) => Promise<Supervised>;

/** The end of a job that a signal ended; undefined where none did. */
export function signaled(signal: NodeJS.Signals | null): RawExit | undefined {
	return signal === null ? undefined : { kind: "signaled", signal: constants.signals[signal] };
}
