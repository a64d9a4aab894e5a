/** The part of the OCI runtime specification 1.2 that vmjail reads and writes. Field names are the specification's own. */

export type NamespaceType = "pid" | "network" | "mount" | "ipc" | "uts" | "user" | "cgroup" | "time";

export interface Mount {
	readonly destination: string;
	readonly type?: string;
	readonly source?: string;
	readonly options?: readonly string[];
}

export interface IdMapping {
	readonly containerID: number;
	readonly hostID: number;
	readonly size: number;
}

export interface Rlimit {
	/** "RLIMIT_NOFILE" */
	readonly type: string;
	readonly soft: number;
	readonly hard: number;
}

export interface Process {
	readonly terminal?: boolean;
	readonly cwd: string;
	readonly env: readonly string[];
	readonly args: readonly string[];
	readonly user: { readonly uid: number; readonly gid: number; readonly additionalGids?: readonly number[] };
	readonly capabilities?: Readonly<
		Record<"bounding" | "effective" | "permitted" | "inheritable" | "ambient", readonly string[]>
	>;
	readonly rlimits?: readonly Rlimit[];
	readonly noNewPrivileges?: boolean;
	readonly apparmorProfile?: string;
	readonly selinuxLabel?: string;
}

export interface ThrottleDevice {
	readonly major: number;
	readonly minor: number;
	readonly rate: number;
}

export interface DeviceRule {
	readonly allow: boolean;
	readonly type?: "a" | "b" | "c";
	readonly major?: number;
	readonly minor?: number;
	/** Of the letters r (read), w (write), m (mknod). */
	readonly access?: string;
}

export interface Resources {
	readonly devices?: readonly DeviceRule[];
	readonly memory?: { readonly limit?: number; readonly swap?: number };
	readonly cpu?: { readonly quota?: number; readonly period?: number; readonly cpus?: string };
	readonly pids?: { readonly limit: number };
	readonly blockIO?: {
		readonly throttleReadBpsDevice?: readonly ThrottleDevice[];
		readonly throttleWriteBpsDevice?: readonly ThrottleDevice[];
	};
}

export type SeccompAction =
	| "SCMP_ACT_KILL"
	| "SCMP_ACT_KILL_PROCESS"
	| "SCMP_ACT_KILL_THREAD"
	| "SCMP_ACT_TRAP"
	| "SCMP_ACT_ERRNO"
	| "SCMP_ACT_TRACE"
	| "SCMP_ACT_ALLOW"
	| "SCMP_ACT_LOG"
	| "SCMP_ACT_NOTIFY";

export type SeccompOperator =
	| "SCMP_CMP_NE"
	| "SCMP_CMP_LT"
	| "SCMP_CMP_LE"
	| "SCMP_CMP_EQ"
	| "SCMP_CMP_GE"
	| "SCMP_CMP_GT"
	| "SCMP_CMP_MASKED_EQ";

export interface SeccompArg {
	readonly index: number;
	/** A mask for SCMP_CMP_MASKED_EQ, else the value. Whole numbers below 2^64; beyond 2^53 as bigint. */
	readonly value: number | bigint;
	readonly valueTwo?: number | bigint;
	readonly op: SeccompOperator;
}

export interface SeccompRule {
	readonly names: readonly string[];
	readonly action: SeccompAction;
	readonly errnoRet?: number;
	readonly args?: readonly SeccompArg[];
}

export interface LinuxSeccomp {
	readonly defaultAction: SeccompAction;
	readonly defaultErrnoRet?: number;
	readonly architectures?: readonly string[];
	readonly flags?: readonly string[];
	readonly syscalls?: readonly SeccompRule[];
}

export interface Linux {
	readonly namespaces: readonly { readonly type: NamespaceType; readonly path?: string }[];
	readonly uidMappings?: readonly IdMapping[];
	readonly gidMappings?: readonly IdMapping[];
	readonly devices?: readonly {
		readonly type: "c" | "b" | "p" | "u";
		readonly path: string;
		readonly major?: number;
		readonly minor?: number;
		readonly fileMode?: number;
		readonly uid?: number;
		readonly gid?: number;
	}[];
	readonly cgroupsPath?: string;
	readonly resources?: Resources;
	readonly seccomp?: LinuxSeccomp;
	readonly maskedPaths?: readonly string[];
	readonly readonlyPaths?: readonly string[];
	readonly rootfsPropagation?: string;
	readonly sysctl?: Readonly<Record<string, string>>;
}

export interface Spec {
	readonly ociVersion: string;
	readonly process: Process;
	readonly root: { readonly path: string; readonly readonly?: boolean };
	readonly hostname?: string;
	readonly mounts: readonly Mount[];
	readonly annotations?: Readonly<Record<string, string>>;
	readonly linux: Linux;
}
