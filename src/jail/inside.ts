/** What all programs of one jail share. */

import { VmjailError } from "../errors.ts";
import type { EncodedProgram } from "../executor/encode.ts";
import type { EndReport, StepFailure } from "../executor/frames.ts";
import type { JailProcess } from "../executor/jail-process.ts";
import type { Kept, Launch, Plan, Waiting } from "../plan/types.ts";
import type { Policy } from "../policy/types.ts";
import type { Choice } from "../runtime/choose.ts";
import type { Cause } from "./ending.ts";
import type { Files } from "./files.ts";
import { launchError } from "./launch-error.ts";
import type { OneProcessor } from "./one-processor.ts";
import type { Programs } from "./programs.ts";
import type { Reusable } from "./reusable.ts";
import type { ReusedNetwork } from "./reused-network.ts";
import type { Passable } from "./stdio.ts";

export interface Inside {
	readonly policy: Policy;
	readonly reusable: Reusable;
	/** The pid 1 that runs the programs. Its `end` is that of the jail on the host. */
	readonly process: JailProcess;
	readonly plan: EncodedProgram;
	readonly kept: Kept;
	readonly keptProgram: EncodedProgram;
	readonly files: Files;
	readonly programs: Programs;
	readonly choice: Choice;
	readonly around: Around;
	/** Where the policy has network rules. */
	readonly network?: ReusedNetwork;
}

/** The jail as the host's kernel has it: the same, or the one that holds the runtime in which the programs run. */
export interface Around {
	readonly plan: Plan;
	/** Names of what is measured when it has ended. */
	readonly reports: readonly string[];
	/** Where a short program is better off on one processor. */
	readonly processor?: Pick<OneProcessor, "begin" | "end">;
	/** Absent: programs may have any descriptor. */
	readonly passable?: Passable;
	/** @throws VmjailError where the loss of pid 1 is a fault of the sandbox */
	checkLost(end: EndReport | undefined, cause: Cause): void;
	/** Ends it, with all that is in it. */
	close(): void;
}

/** Kept steps in the shape in which failures name steps. */
export function asLaunch(kept: Kept): Launch & Pick<Kept, "exec"> & Partial<Waiting> {
	const { before, child, exec, waiting } = kept;
	return { cloneFlags: 0n, parent: [], ...waiting, before, child, exec };
}

/** The error for a jail that could not be made anew after a program: nothing runs in what another one left. */
export function renewalError({ kept, reusable }: Inside, failure: StepFailure): VmjailError {
	const why = launchError(failure.kept ? asLaunch(kept) : reusable.plan, failure, []);
	return new VmjailError("JAIL_CLOSED", `the jail could not be renewed and has ended: ${why.message}`, {
		remedy: "Open another one.",
		cause: why,
	});
}
