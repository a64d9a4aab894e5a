/** What the host is and can do, found by read-only probes. Plain data, so that plans stay pure. */

import type { Control } from "../policy/types.ts";

export type Architecture = "x86_64" | "aarch64";

/** One cgroup v1 controller that can be used, or the reason why not. */
export interface CgroupV1Controller {
	readonly name: string;
	/** Absolute path of the folder below which our groups are made: the caller's own group. */
	readonly path: string;
	readonly writable: boolean;
	/** Why it is not writable. */
	readonly reason?: string;
	/** Of "memory": is there memory.memsw.limit_in_bytes? */
	readonly swapLimit?: boolean;
	/** Of "cpuset": the memory nodes of the caller's own group, which a new group must copy before it takes a process. */
	readonly mems?: string;
}

export interface CgroupV2 {
	/** Absolute path of the folder below which our groups are made. */
	readonly path: string;
	/** Controllers that a group made there gets. */
	readonly controllers: readonly string[];
	readonly writable: boolean;
	/** Must the caller's own processes first move to a leaf (delegated scope: no internal processes)? */
	readonly moveSelf: boolean;
	/** Controllers that cgroup.subtree_control of `path` has already. */
	readonly enabled?: readonly string[];
	/** With `moveSelf`: the processes to move, all of them the caller or started by it. */
	readonly own?: readonly number[];
	/** Why it is not writable. */
	readonly reason?: string;
	/** Why the groups go to `path`. */
	readonly because?: string;
	/** false: groups have no memory.swap.max. */
	readonly swapLimit?: boolean;
}

export interface CgroupFacts {
	readonly v1: readonly CgroupV1Controller[];
	readonly v2?: CgroupV2;
	/** Block devices that an io limit applies to. */
	readonly blockDevices: readonly { readonly major: number; readonly minor: number; readonly name: string }[];
	/** Does the host swap at all (/proc/swaps)? Absent: unknown, taken as yes. */
	readonly swapOn?: boolean;
	/** Processors that a cpuset may name, as a list such as "0-3". Absent: unknown. */
	readonly cpuList?: string;
}

/** One symbolic link that a path of the policy passes through (its last component included). */
export interface PathLink {
	/** Absolute path of the link itself; no component before the last is a link. */
	readonly path: string;
	/** What readlink(2) says. */
	readonly target: string;
	readonly ownerUid: number;
	/**
	 * Can somebody other than root and the caller make or replace entries in the folder that holds the link:
	 * is it writable by others (sticky or not), or owned by somebody else?
	 */
	readonly directoryWritableByOthers: boolean;
}

/** What a path of the policy is on the host, its links resolved. */
export interface PathFact {
	readonly path: string;
	/** With every symbolic link resolved; absent where the path does not exist. */
	readonly real?: string;
	/** Every link that was followed from `path` to `real`, in order. Absent or empty: none; then `real` must equal `path`. */
	readonly links?: readonly PathLink[];
	/** Of a character or block device. */
	readonly device?: { readonly major: number; readonly minor: number };
	readonly kind: "directory" | "file" | "char" | "block" | "fifo" | "socket" | "missing" | "unreadable";
}

/** A program of the policy's allow-list; all paths as the jail sees them, links resolved. */
export interface ProgramFact {
	/** As the policy spells it. */
	readonly path: string;
	readonly real: string;
	/** What its first line names, and so on: they run in its place. */
	readonly interpreters: readonly string[];
	/** Dynamic loaders that the program or its interpreters name: the kernel opens them for execution. */
	readonly loaders: readonly string[];
	/** Programs that env(1) looks up in PATH for scripts that begin with `#!/usr/bin/env NAME`: not allowed by this entry. */
	readonly lookedUp?: readonly string[];
	/** The content that the policy holds it to. */
	readonly sha256?: string;
	/** With `sha256`: the very bytes that were found to be right. `source` is a path of the host to read them from. */
	readonly snapshot?: { readonly source: string; readonly sizeBytes: number };
}

export interface HostFacts {
	readonly arch: Architecture;
	readonly kernel: { readonly release: string; readonly major: number; readonly minor: number };
	readonly caller: {
		readonly uid: number;
		readonly gid: number;
		readonly groups: readonly number[];
		/** Has CAP_SETUID, CAP_SETGID and CAP_SYS_ADMIN in its user namespace: may map any id. */
		readonly privileged: boolean;
		readonly cwd: string;
		readonly env: Readonly<Record<string, string>>;
	};
	/** Ids of the caller's user namespace that exist at all (from /proc/self/uid_map), for identity mappings. */
	readonly idMap: {
		readonly uids: readonly { readonly from: number; readonly count: number }[];
		readonly gids: readonly { readonly from: number; readonly count: number }[];
	};
	/** 0: none. */
	readonly landlockAbi: number;
	/** Mandatory access control that a policy may name a profile or label of: is it switched on? */
	readonly mac: { readonly apparmor: boolean; readonly selinux: boolean };
	readonly cpus: number;
	readonly cgroup: CgroupFacts;
	/** Every path that the policy names. */
	readonly paths: Readonly<Record<string, PathFact>>;
	/**
	 * Where the kernel's own file systems (proc, cgroup, debugfs, …) are mounted besides their usual places, for a chroot,
	 * say: what they show is the host's, whatever namespaces the reader is in.
	 */
	readonly kernelMounts?: readonly string[];
	/** One for each entry of the allow-list. Absent: the list is empty. */
	readonly programs?: readonly ProgramFact[];
}

/** A control that the policy asked for, that this host lacks, and that the policy lets go by `system.optional`. */
export interface Missing {
	readonly control: Control;
	readonly reason: string;
	readonly remedy: string;
}
