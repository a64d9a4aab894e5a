/**
 * A Plan is data: system calls in order, with their arguments. The executor carries it out and knows nothing of policy.
 */

import type { SyscallName } from "./syscalls.ts";

/** Name of a descriptor (or other result) that one step saves and later steps use. */
export type SlotName = string;

export type Errno = string; // "ENOENT"; see errno.ts

/** A place inside a byte block that the executor fills in just before the call. */
export type Patch =
	/** 64-bit address of another block. */
	| { readonly at: number; readonly kind: "pointer"; readonly to: Bytes }
	/** 32-bit result saved in a slot. */
	| { readonly at: number; readonly kind: "slot"; readonly slot: SlotName }
	/** Id of the process this plan starts, in decimal ASCII, filled up to 10 bytes with `pad`. */
	| { readonly at: number; readonly kind: "pid"; readonly pad: "/" | " " };

/** A block of memory handed to the kernel by address. */
export interface Bytes {
	readonly bytes: Uint8Array;
	readonly patches?: readonly Patch[];
	/** How `vmjail plan` shows it. */
	readonly shown: string;
}

export type Arg = number | bigint | { readonly slot: SlotName } | { readonly pid: true } | Bytes;

export interface Step {
	/** "mount tmpfs on /tmp": what errors and `vmjail plan` say. */
	readonly label: string;
	readonly call: SyscallName | PseudoCall;
	readonly args: readonly Arg[];
	readonly save?: SlotName;
	/** Errors after which the section goes on. */
	readonly tolerate?: readonly Errno[];
	/** The section ends here, successfully, if this step succeeds (used for the last of several alternatives). */
	readonly finishes?: true;
	/** Name under which the bytes that this read(2) returned are reported. */
	readonly report?: string;
}

/**
 * Not system calls, but the executor's own:
 * `expect_equal(a, offsetA, b, offsetB, length)` fails with ESTALE where the bytes differ;
 * `send_descriptor(slot)` sends a descriptor to vmjail.
 */
export type PseudoCall = "expect_equal" | "send_descriptor";

/** A program to be started: by the zygote (the jail's pid 1) or by pid 1 (a workload). */
export interface Launch {
	/** Flags for clone3. */
	readonly cloneFlags: bigint;
	/** In the parent, before the clone. */
	readonly before: readonly Step[];
	/** In the parent, after the clone, while the child waits. */
	readonly parent: readonly Step[];
	/** In the child. */
	readonly child: readonly Step[];
}

/** A jail: what is done on the host, then inside, then at the end. */
export interface Plan extends Launch {
	/** In the zygote after the jail has ended: what the kernel measured. */
	readonly account: readonly Step[];
	/** In the zygote after that: each step is tried, whatever the earlier ones did. */
	readonly cleanup: readonly Step[];
}
