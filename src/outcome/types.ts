/** What a program did. A fault of the sandbox is a VmjailError instead. */

import type { Missing } from "../host/types.ts";

export type LimitName = "cpu-time" | "wall-time" | "memory" | "pids" | "output" | "file-size";

/** A refusal that the program met, once for each distinct one. */
export interface Denial {
	readonly control: "exec" | "syscall" | "network";
	readonly detail: string;
	/** The flag that would allow it. */
	readonly allowedBy?: string;
}

export interface Usage {
	/** User and system CPU time of all processes and threads, in milliseconds. */
	readonly cpuUserMs: number;
	readonly cpuSystemMs: number;
	/** From the program's start to its end, in milliseconds. */
	readonly wallMs: number;
	/** The kernel's own peak of the whole jail; without a memory cgroup, the largest resident size of the program. */
	readonly memoryPeakBytes: number;
	/** Absent where the host does not tell. */
	readonly pidsPeak?: number;
	readonly oomKills: number;
	readonly runtime: string;
	readonly rolledBackFrom?: string;
	/** Half a sentence: why the policy's first runtime did not run it. */
	readonly rolledBackWhy?: string;
	/** Controls that the policy asked for, this host lacks, and `system.optional` let go. */
	readonly missing: readonly Missing[];
	readonly denials: readonly Denial[];
}

export type End =
	| { readonly kind: "exited"; readonly exitCode: number }
	| { readonly kind: "signaled"; readonly signal: string }
	| { readonly kind: "limit"; readonly limit: LimitName }
	| { readonly kind: "denied"; readonly control: Denial["control"]; readonly detail: string }
	| { readonly kind: "cancelled" };

export type Outcome = Usage & End;
