/** What every runtime is driven through: a spec in; a command to start, and how to read its end, out. */

import type { VmjailError } from "../errors.ts";
import type { LinuxSeccomp, Process, Spec } from "../oci/types.ts";
import type { Uses } from "../plan/inner.ts";
import type { Step } from "../plan/types.ts";
import type { EnteredNetwork } from "./entered-network.ts";
import type { StageCopy } from "./stage/types.ts";
import type { Job } from "./supervise/types.ts";

export type DriverName = "runlc" | "runsc" | "runc" | "crun";

/**
 * How the program ended, as the kernel counts it: the signal's number, or the exit status. A limit, a denial or a
 * cancellation is read out of this and the usage by the outcome, not here.
 */
export type RawExit =
	| { readonly kind: "exited"; readonly exitCode: number }
	| { readonly kind: "signaled"; readonly signal: number };

/** One run of a runtime. Everything that it reads lies in a folder of its own, until {@link DrivenRun.remove}. */
export interface DrivenRun {
	/** To be started in a jail of the executor's: see `supervise/plan.ts`. */
	readonly job: Job;

	/** What the runtime reads as config.json. */
	readonly config: Spec;

	/** What the jail's first process does before it is the program, where the runtime is not asked to. */
	readonly first?: readonly Step[];

	/**
	 * How the program ended, by what the runtime left behind.
	 *
	 * @param status of the runtime's own process, as wait(2) gives it; absent where it was killed with its surroundings
	 * @returns an error, COMMAND_NOT_FOUND, COMMAND_NOT_EXECUTABLE or LAUNCH_FAILED, where the program never ran
	 */
	end(status: number | undefined): RawExit | VmjailError;

	/** Has the program been started? False for a runtime that is still getting ready, or hangs. */
	hasStarted(): boolean;

	/**
	 * Sends a signal to the program.
	 *
	 * @returns false where the runtime passes on what its own process gets: the signal is to be sent to that
	 */
	signal(number: number): boolean;

	/** When nothing of it runs any more: removes what it has on disk. May be called more than once. */
	remove(): Promise<void>;
}

export interface Driver {
	readonly name: Exclude<DriverName, "runlc">;

	/** What it takes to run vmjail's own pid 1 in the jail; absent where this runtime cannot. */
	readonly inner?: InnerSupport;

	/** Tasks that the runtime needs for itself, beyond those of the program: the limit of processes is raised by them. */
	readonly ownTasks: number;

	/**
	 * Gets a run ready. Nothing is started.
	 *
	 * @throws VmjailError HOST_UNSUPPORTED for a control of the spec that this runtime cannot enforce, PATH_INVALID for a
	 *   mount that has no place to go.
	 */
	prepare(spec: Spec, options?: PrepareOptions): DrivenRun;
}

export interface PrepareOptions {
	/** Of the namespace in which the run's job will be started; absent: as the spec says. */
	readonly network?: EnteredNetwork;
	/** The jail's first process is vmjail's own pid 1 (`vmjail-executor inner 3`), which runs the program by and by. */
	readonly inner?: Uses;
	/** Files of the host that stand in the jail in place of others, read-only. */
	readonly copies?: readonly StageCopy[];
}

export interface InnerSupport {
	/** The filters of a program that pid 1 starts, in the words of the runtime's kernel. */
	filters(profile: LinuxSeccomp | undefined): readonly LinuxSeccomp[];
	/** The program's user, where the runtime shows the caller's files as somebody else's. */
	user(user: Process["user"]): Process["user"];
}

/** The descriptors of a job with an inner pid 1, in order: its end of the socket, and its program. */
export const INNER_DESCRIPTORS = ["control", "executor"] as const;

/** A wait status (wait(2)) → how the process ended. */
export function exitOfWait(status: number): RawExit {
	const signal = status & 0x7f;
	return signal === 0 ? { kind: "exited", exitCode: (status >> 8) & 0xff } : { kind: "signaled", signal };
}

/** The other way round. */
export function waitOfExit(exit: RawExit): number {
	return exit.kind === "exited" ? exit.exitCode << 8 : exit.signal;
}
