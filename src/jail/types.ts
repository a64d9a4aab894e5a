/** What a caller says and gets, whichever way a program is run. */

import type { Missing } from "../host/types.ts";
import type { NetworkEvent } from "../network/events.ts";
import type { Denial, Outcome } from "../outcome/types.ts";
import type { Terminal } from "../plan/terminal.ts";
import type { Policy } from "../policy/types.ts";
import type { Choice } from "../runtime/choose.ts";
import type { RuntimeOptions } from "./choose.ts";
import type { Budget, Streams } from "./stdio.ts";

export interface RunOptions extends Streams, RuntimeOptions {
	readonly policy: Policy;
	/** Ends the program and the jail; the outcome is then `cancelled`. */
	readonly signal?: AbortSignal;
	/** A terminal of the jail's own in place of some streams. */
	readonly terminal?: TerminalRequest;
	/** Called for each thing that the network gateway saw or refused, as it happens. */
	readonly onNetworkEvent?: (event: NetworkEvent) => void;
	/** Called for each distinct refusal, as it happens. */
	readonly onDenial?: (denial: Denial) => void;
}

export interface TerminalRequest extends Terminal {
	/** Gets the master side. With a limit on output, what is read from it must be offered to `budget` first. */
	readonly onMaster: (descriptor: number, budget: Budget | undefined) => void;
	/** The program was stopped (Ctrl-Z); it goes on when it gets SIGCONT. */
	readonly onStopped?: (signal: number) => void;
}

/** What the program did, and what it wrote where that was collected. */
export type RunResult = Outcome & { readonly stdout?: Buffer; readonly stderr?: Buffer };

/** A program that runs in a jail of its own. */
export interface Running {
	/** @throws VmjailError as `run` does */
	readonly result: Promise<RunResult>;
	/** Controls that go unenforced because the policy's `optional` lets them. */
	readonly missing: readonly Missing[];
	/** Sends a signal to the program's process group. */
	signal(number: number): void;
	resize(rows: number, columns: number): void;
	cancel(): void;
	/** The runtime that carries it out, and why where it is not the policy's first. */
	readonly choice: Choice;
}
