/** Profiles, and the calls that must be refused under each of them once the floor is there. */

import type { Architecture } from "../../../src/host/types.ts";
import { defaultProfile, strictProfile } from "../../../src/oci/seccomp/profiles.ts";
import type { LinuxSeccomp, SeccompArg } from "../../../src/oci/types.ts";
import { syscallNumber, syscallTable } from "../../../src/plan/syscalls.ts";

/** Written down once more, so that a call lost from the floor is missed here. */
export const FLOOR = `io_uring_setup io_uring_enter io_uring_register bpf keyctl add_key request_key userfaultfd ptrace
	process_vm_readv process_vm_writev kcmp pidfd_getfd mount umount2 pivot_root chroot fsopen fsconfig fsmount fspick
	move_mount open_tree open_tree_attr mount_setattr init_module finit_module delete_module kexec_load kexec_file_load
	reboot swapon swapoff perf_event_open setns open_by_handle_at quotactl quotactl_fd acct syslog iopl ioperm
	lookup_dcookie vhangup create_module query_module get_kernel_syms clone3`.split(/\s+/);
const NAMESPACES = [0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000];
export const REFUSED_IOCTLS = [0x5412, 0x541c];
const HIGH_HALVES = [0n, 1n, 0x80000000n, 0xffffffffn].map((half) => half << 32n);
export const ARCHITECTURES: readonly Architecture[] = ["x86_64", "aarch64"];

export const everyName = (arch: Architecture) => [...syscallTable(arch).keys()];
export const maskedEq = (index: number, value: number, valueTwo: number): SeccompArg => ({
	index,
	op: "SCMP_CMP_MASKED_EQ",
	value,
	valueTwo,
});

export const PROFILES: readonly (readonly [string, (arch: Architecture) => LinuxSeccomp])[] = [
	["default", defaultProfile],
	["strict", strictProfile],
	["allow by default", () => ({ defaultAction: "SCMP_ACT_ALLOW" })],
	["log by default", () => ({ defaultAction: "SCMP_ACT_LOG" })],
	["trace by default", () => ({ defaultAction: "SCMP_ACT_TRACE" })],
	...(["SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_LOG"] as const).flatMap((defaultAction) =>
		(["SCMP_ACT_ALLOW", "SCMP_ACT_TRACE", "SCMP_ACT_NOTIFY"] as const).map(
			(action) =>
				[
					`${action} for everything, else ${defaultAction}`,
					(arch: Architecture): LinuxSeccomp => ({
						defaultAction,
						syscalls: [{ names: everyName(arch).filter((name) => name !== "write"), action }],
					}),
				] as const,
		),
	),
	[
		"everything by conditions that overlap",
		(arch) => ({
			defaultAction: "SCMP_ACT_ERRNO",
			syscalls: [
				{ names: everyName(arch), action: "SCMP_ACT_ALLOW", args: [maskedEq(1, 0, 0)] },
				{ names: everyName(arch), action: "SCMP_ACT_LOG", args: [maskedEq(0, 1, 1)] },
				{ names: everyName(arch), action: "SCMP_ACT_ALLOW", args: [maskedEq(0, 1, 0), maskedEq(1, 0xff, 0x12)] },
			],
		}),
	],
	[
		"the floor's own calls by name and value",
		() => ({
			defaultAction: "SCMP_ACT_KILL",
			syscalls: [
				{ names: ["ioctl"], action: "SCMP_ACT_ALLOW", args: [{ index: 1, op: "SCMP_CMP_EQ", value: 0x5412 }] },
				{ names: ["ioctl"], action: "SCMP_ACT_ALLOW", args: [{ index: 1, op: "SCMP_CMP_EQ", value: 0x1_0000_541c }] },
				{ names: ["clone", "unshare"], action: "SCMP_ACT_ALLOW", args: [maskedEq(0, 0x10000000, 0x10000000)] },
			],
		}),
	],
];

/** Every call that the floor refuses, with upper halves that the kernel does not read. */
export function attacks(arch: Architecture): (readonly [string, ...bigint[]])[] {
	const plain = FLOOR.filter((name) => syscallNumber(arch, name) !== undefined);
	return [
		...plain.flatMap((name) => [0n, 1n, (1n << 64n) - 1n].map((arg) => [name, arg, arg, arg] as const)),
		...HIGH_HALVES.flatMap((high) => [
			...REFUSED_IOCTLS.flatMap((command) => [0n, 1n, 9n].map((fd) => ["ioctl", fd, high | BigInt(command)] as const)),
			...NAMESPACES.flatMap((flag) =>
				[0, 17, 0x3d0f00].flatMap((more) => [
					["clone", high | BigInt((flag | more) >>> 0)] as const,
					["unshare", high | BigInt((flag | more) >>> 0)] as const,
				]),
			),
			["unshare", high | 0x80n] as const,
			// The limits of the jail's pid 1.
			["prlimit64", high | 1n] as const,
		]),
	];
}
