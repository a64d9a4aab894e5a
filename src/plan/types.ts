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
	/** Id of the process this plan starts (in the child: as it sees itself), in decimal ASCII, filled up to 10 bytes with `pad`. */
	| { readonly at: number; readonly kind: "pid"; readonly pad: "/" | " " }
	/** The same as a 32-bit number. */
	| { readonly at: number; readonly kind: "pid32" };

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
	/** Again after EBUSY, for at most two seconds. */
	readonly retryBusy?: true;
	/** Name under which the bytes that this read(2) returned are reported. */
	readonly report?: string;
}

/**
 * Not system calls, but the executor's own:
 * `expect_equal(a, offsetA, b, offsetB, length)` fails with ESTALE where the bytes differ;
 * `expect_ack(block)` fails with the error of the netlink answer that was received there;
 * `send_descriptor(slot)` sends a descriptor to vmjail;
 * `allow_program(slot)` adds an open file to those that the exec guard lets run;
 * `watch_exec(slot)` hands the exec guard the listener that announces execve(2).
 */
export type PseudoCall = "expect_equal" | "expect_ack" | "send_descriptor" | "allow_program" | "watch_exec";

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

/** Where pid 1 reads the CPU time that the jail has used: an open cpuacct.usage (v1) or cpu.stat (v2). */
export interface CpuUsage {
	readonly slot: SlotName;
	/** "shared": nanoseconds of a group that pid 1 is in as well, whose own time does not count. */
	readonly format: "nanoseconds" | "cpu.stat" | "shared";
}

/** A jail: what is done on the host, then inside, then at the end. */
export interface Plan extends Launch {
	/** In the zygote after the jail has ended: what the kernel measured. */
	readonly account: readonly Step[];
	/** In the zygote after that: each step is tried, whatever the earlier ones did. */
	readonly cleanup: readonly Step[];
	/**
	 * How many of the first steps of `child` depend on no path of the host: these, `before` and `parent` may be carried out
	 * before it is known when the jail will be used. Absent: none.
	 */
	readonly ahead?: number;
	/** The slots that pid 1 keeps for its workloads; every other one is closed when the jail is set up. */
	readonly keep: readonly SlotName[];
	/** An open cgroup v2 folder to start pid 1 in (CLONE_INTO_CGROUP). */
	readonly intoCgroup?: SlotName;
	readonly cpuUsage?: CpuUsage;
	/**
	 * An earlier jail of the same executor, whose plan saved its open user namespace on the host's side: this one's user
	 * namespace is made below that one, and `parent` runs inside it. `slot`: by number, in the earlier jail's program.
	 */
	readonly parentJail?: { readonly id: number; readonly slot: number };
}

/** A program that pid 1 starts. Its steps find the descriptors it was given in the slots `stdin`, `stdout`, `stderr`. */
export interface Workload extends Launch {
	/** CPU time of all its threads and descendants; absent: no limit. */
	readonly cpuLimitMs?: number;
	readonly wallLimitMs?: number;
	/** Slots of further descriptors that it is given. */
	readonly descriptors?: readonly SlotName[];
	/** In a jail that keeps a part of every workload: in the child after that part, and last. */
	readonly exec?: readonly Step[];
	/** In pid 1 when the program has ended: each step is tried, whatever the earlier ones did. */
	readonly cleanup?: readonly Step[];
	/** For the process that waits: it has gone through the kept `entry` and `child` already. */
	readonly waits?: true;
	/** An open cgroup v2 folder to start the program in. */
	readonly intoCgroup?: SlotName;
	/** Where its CPU time is read; absent: where the jail's is. */
	readonly cpuUsage?: CpuUsage;
}

/** A process that waits for its program. */
export interface Waiting extends Pick<Workload, "cloneFlags" | "parent" | "intoCgroup"> {
	/** In it, before the kept `child`. */
	readonly entry: readonly Step[];
}

/** In a jail that is used again: what is the same for all its programs, kept by pid 1. */
export interface Kept {
	/** In pid 1, before each program and when the last one is gone: makes anew what a program may have changed. */
	readonly before: readonly Step[];
	/** In each program's process, after its `child` or, where it waits, before that: takes its rights away. */
	readonly child: readonly Step[];
	/** In each program's process, just before its own `exec`. */
	readonly exec: readonly Step[];
	/** How a process is made that waits for the next program; absent: none is. */
	readonly waiting?: Waiting;
	/** In pid 1 when a program has ended: what the kernel measured. */
	readonly account: readonly Step[];
}
