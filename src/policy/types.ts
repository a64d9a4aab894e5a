/** The normalised policy: every default applied, every size in bytes, every duration in milliseconds. */

import type { LinuxSeccomp } from "../oci/types.ts";

export type RuntimeName = "runlc" | "runsc" | "runc" | "crun" | "auto";
export type Accel = "systrap" | "ptrace" | "kvm";
export type NetworkMode = "none" | "host" | "hostwithpolicy";

/** Controls that a host may be unable to give and that `system.optional` may name. */
export type Control =
	| "memory"
	| "swap"
	| "cpu"
	| "cpuset"
	| "pids"
	| "io"
	| "landlock"
	| "seccomp"
	| "devices"
	| "apparmor"
	| "selinux";

/** The resource names of setrlimit(2), in lower case and without the RLIMIT_ prefix. */
export type RlimitName =
	| "as"
	| "core"
	| "cpu"
	| "data"
	| "fsize"
	| "locks"
	| "memlock"
	| "msgqueue"
	| "nice"
	| "nofile"
	| "nproc"
	| "rss"
	| "rtprio"
	| "rttime"
	| "sigpending"
	| "stack";

/** Inclusive range of ports; 0–65535 stands for any port. */
export interface PortRange {
	readonly from: number;
	readonly to: number;
}

/** Destination by address. `host` is "*", an IPv4 or IPv6 address, or a CIDR block, in canonical form. */
export interface AddressRule {
	readonly host: string;
	readonly ports: PortRange;
	/** The rule as the policy spells it, for messages. */
	readonly text: string;
}

/** Destination by name: lower case, A-labels, no trailing dot; `subdomains` where it was written "*.name". */
export interface NameRule {
	readonly name: string;
	readonly subdomains: boolean;
	readonly ports: PortRange;
	readonly text: string;
}

/** A port of the jail published on the host. */
export interface PublishedPort {
	readonly hostAddress: string;
	readonly hostPort: number;
	readonly jailPort: number;
}

export interface TmpfsMount {
	readonly path: string;
	readonly sizeBytes: number;
}

export interface Policy {
	readonly system: {
		readonly runtime: RuntimeName;
		readonly rollback: "" | Exclude<RuntimeName, "auto">;
		readonly accel: Accel;
		readonly root: { readonly path: string; readonly readonly: boolean };
		/** `swapBytes` is swap beyond memory: 0 unless the policy says otherwise. */
		readonly memory: { readonly maxBytes?: number; readonly swapBytes: number };
		/** `cores` may be a fraction; `pin` is a cpuset list such as "0-1,3". */
		readonly cpu: { readonly cores?: number; readonly pin?: string };
		readonly pids: { readonly max?: number };
		readonly io: { readonly readBytesPerSecond?: number; readonly writeBytesPerSecond?: number };
		readonly time: { readonly cpuMs?: number; readonly wallMs?: number };
		readonly output: { readonly maxBytes?: number };
		/** Bytes, counts or seconds as setrlimit(2) takes them; Infinity is RLIM_INFINITY. Soft and hard are the same. */
		readonly rlimits: Readonly<Partial<Record<RlimitName, number>>>;
		readonly devices: readonly string[];
		/** Names with the CAP_ prefix. */
		readonly capabilities: readonly string[];
		/** Absent: the caller's own. */
		readonly user?: { readonly uid: number; readonly gid: number };
		readonly hostname: string;
		/** Absent: the caller's working directory where the jail shows it, else "/". */
		readonly cwd?: string;
		readonly env: { readonly pass: readonly string[]; readonly set: Readonly<Record<string, string>> };
		readonly optional: readonly Control[];
	};
	readonly security: {
		readonly network: {
			readonly mode: NetworkMode;
			readonly policy: {
				readonly listen: readonly PublishedPort[];
				readonly tcp: readonly AddressRule[];
				readonly udp: readonly AddressRule[];
				readonly dns: readonly NameRule[];
				/** All connections and datagrams, both directions together. */
				readonly bytesPerSecond?: number;
			};
		};
		readonly file: {
			readonly writablePaths: readonly string[];
			/** Read-only views of host paths laid over masks and tmpfs (`--ro`). */
			readonly readablePaths: readonly string[];
			readonly maskedPaths: readonly string[];
			readonly tmpfs: readonly TmpfsMount[];
		};
		readonly process: { readonly allow: readonly string[] };
		readonly syscalls: "default" | "strict" | LinuxSeccomp;
		readonly mac: { readonly apparmor?: string; readonly selinux?: string };
	};
}
