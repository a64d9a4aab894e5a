/** Names that a policy may use, and where they come from. */

import type { Accel, Control, NetworkMode, RlimitName, RuntimeName } from "./types.ts";

export const RUNTIMES = ["runlc", "runsc", "runc", "crun", "auto"] as const satisfies readonly RuntimeName[];
export const ROLLBACKS = ["", "runlc", "runsc", "runc", "crun"] as const satisfies readonly ("" | RuntimeName)[];
export const ACCELS = ["systrap", "ptrace", "kvm"] as const satisfies readonly Accel[];
export const NETWORK_MODES = ["none", "host", "hostwithpolicy"] as const satisfies readonly NetworkMode[];
export const CONTROLS = [
	"memory",
	"swap",
	"cpu",
	"cpuset",
	"pids",
	"io",
	"landlock",
	"seccomp",
	"devices",
	"apparmor",
	"selinux",
] as const satisfies readonly Control[];

/** capabilities(7), in the order of linux/capability.h, up to Linux 6.12. */
export const CAPABILITIES: readonly string[] = [
	"CAP_CHOWN",
	"CAP_DAC_OVERRIDE",
	"CAP_DAC_READ_SEARCH",
	"CAP_FOWNER",
	"CAP_FSETID",
	"CAP_KILL",
	"CAP_SETGID",
	"CAP_SETUID",
	"CAP_SETPCAP",
	"CAP_LINUX_IMMUTABLE",
	"CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST",
	"CAP_NET_ADMIN",
	"CAP_NET_RAW",
	"CAP_IPC_LOCK",
	"CAP_IPC_OWNER",
	"CAP_SYS_MODULE",
	"CAP_SYS_RAWIO",
	"CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE",
	"CAP_SYS_PACCT",
	"CAP_SYS_ADMIN",
	"CAP_SYS_BOOT",
	"CAP_SYS_NICE",
	"CAP_SYS_RESOURCE",
	"CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG",
	"CAP_MKNOD",
	"CAP_LEASE",
	"CAP_AUDIT_WRITE",
	"CAP_AUDIT_CONTROL",
	"CAP_SETFCAP",
	"CAP_MAC_OVERRIDE",
	"CAP_MAC_ADMIN",
	"CAP_SYSLOG",
	"CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ",
	"CAP_PERFMON",
	"CAP_BPF",
	"CAP_CHECKPOINT_RESTORE",
];

/** setrlimit(2): what each resource counts. */
export const RLIMITS: Readonly<Record<RlimitName, "bytes" | "count" | "seconds" | "microseconds">> = {
	as: "bytes",
	core: "bytes",
	cpu: "seconds",
	data: "bytes",
	fsize: "bytes",
	locks: "count",
	memlock: "bytes",
	msgqueue: "bytes",
	nice: "count",
	nofile: "count",
	nproc: "count",
	rss: "bytes",
	rtprio: "count",
	rttime: "microseconds",
	sigpending: "count",
	stack: "bytes",
};

export const SECCOMP_ACTIONS = [
	"SCMP_ACT_KILL",
	"SCMP_ACT_KILL_PROCESS",
	"SCMP_ACT_KILL_THREAD",
	"SCMP_ACT_TRAP",
	"SCMP_ACT_ERRNO",
	"SCMP_ACT_TRACE",
	"SCMP_ACT_ALLOW",
	"SCMP_ACT_LOG",
	"SCMP_ACT_NOTIFY",
] as const;
export const SECCOMP_OPERATORS = [
	"SCMP_CMP_NE",
	"SCMP_CMP_LT",
	"SCMP_CMP_LE",
	"SCMP_CMP_EQ",
	"SCMP_CMP_GE",
	"SCMP_CMP_GT",
	"SCMP_CMP_MASKED_EQ",
] as const;
/** OCI runtime specification, config-linux, "seccomp". */
export const SECCOMP_ARCHITECTURES = [
	"SCMP_ARCH_X86",
	"SCMP_ARCH_X86_64",
	"SCMP_ARCH_X32",
	"SCMP_ARCH_ARM",
	"SCMP_ARCH_AARCH64",
	"SCMP_ARCH_MIPS",
	"SCMP_ARCH_MIPS64",
	"SCMP_ARCH_MIPS64N32",
	"SCMP_ARCH_MIPSEL",
	"SCMP_ARCH_MIPSEL64",
	"SCMP_ARCH_MIPSEL64N32",
	"SCMP_ARCH_PPC",
	"SCMP_ARCH_PPC64",
	"SCMP_ARCH_PPC64LE",
	"SCMP_ARCH_S390",
	"SCMP_ARCH_S390X",
	"SCMP_ARCH_PARISC",
	"SCMP_ARCH_PARISC64",
	"SCMP_ARCH_RISCV64",
	"SCMP_ARCH_LOONGARCH64",
	"SCMP_ARCH_M68K",
	"SCMP_ARCH_SH",
	"SCMP_ARCH_SHEB",
] as const;
export const SECCOMP_FLAGS = [
	"SECCOMP_FILTER_FLAG_TSYNC",
	"SECCOMP_FILTER_FLAG_LOG",
	"SECCOMP_FILTER_FLAG_SPEC_ALLOW",
	"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
] as const;

/** Environment variables passed on where the policy does not say which. */
export const DEFAULT_PASS: readonly string[] = ["HOME", "LANG", "PATH", "TERM"];
