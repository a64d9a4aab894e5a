import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Architecture } from "../../../src/host/types.ts";
import { applyFloor, withFloor } from "../../../src/oci/seccomp/floor.ts";
import { defaultProfile, strictProfile } from "../../../src/oci/seccomp/profiles.ts";
import type { LinuxSeccomp, SeccompArg, SeccompRule } from "../../../src/oci/types.ts";
import { compileSeccomp } from "../../../src/plan/seccomp/compile.ts";
import { syscallNumber, syscallTable } from "../../../src/plan/syscalls.ts";
import { ARCH, checkProgram, RET, run } from "../../helpers/bpf.ts";

/** Written down once more, so that a call lost from the floor is missed here. */
const FLOOR = `io_uring_setup io_uring_enter io_uring_register bpf keyctl add_key request_key userfaultfd ptrace
	process_vm_readv process_vm_writev kcmp pidfd_getfd mount umount2 pivot_root chroot fsopen fsconfig fsmount fspick
	move_mount open_tree open_tree_attr mount_setattr init_module finit_module delete_module kexec_load kexec_file_load
	reboot swapon swapoff perf_event_open setns open_by_handle_at quotactl quotactl_fd acct syslog iopl ioperm
	lookup_dcookie vhangup create_module query_module get_kernel_syms clone3`.split(/\s+/);
const NAMESPACES = [0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000];
const REFUSED_IOCTLS = [0x5412, 0x541c];
const HIGH_HALVES = [0n, 1n, 0x80000000n, 0xffffffffn].map((half) => half << 32n);
const ARCHITECTURES: readonly Architecture[] = ["x86_64", "aarch64"];

const everyName = (arch: Architecture) => [...syscallTable(arch).keys()];
const maskedEq = (index: number, value: number, valueTwo: number): SeccompArg => ({
	index,
	op: "SCMP_CMP_MASKED_EQ",
	value,
	valueTwo,
});

const PROFILES: readonly (readonly [string, (arch: Architecture) => LinuxSeccomp])[] = [
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

function answers(profile: LinuxSeccomp, arch: Architecture) {
	const { instructions } = compileSeccomp(profile, arch);
	checkProgram(instructions);
	return (name: string, ...args: bigint[]) =>
		run(instructions, { nr: syscallNumber(arch, name) ?? 0xffff, arch: ARCH[arch], args }).value;
}

function refuses(value: number): boolean {
	const action = (value & 0xffff0000) >>> 0;
	return action === RET.ERRNO || action === RET.KILL_PROCESS || action === RET.KILL_THREAD || action === RET.TRAP;
}

/** Every call that the floor refuses, with upper halves that the kernel does not read. */
function attacks(arch: Architecture): (readonly [string, ...bigint[]])[] {
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
		]),
	];
}

describe.each(ARCHITECTURES)("withFloor on %s", (arch) => {
	it.each(PROFILES)("refuses the floor's calls: %s", (_, profile) => {
		const answer = answers(withFloor(profile(arch), arch), arch);
		const passed = attacks(arch).filter(([name, ...args]) => !refuses(answer(name, ...args)));
		expect(passed).toEqual([]);
		expect(answer("clone3")).toBe(RET.ERRNO + 38);
	});

	it("is needed: without it the same attacks pass", () => {
		const answer = answers({ defaultAction: "SCMP_ACT_ALLOW" }, arch);
		expect(attacks(arch).filter(([name, ...args]) => refuses(answer(name, ...args)))).toEqual([]);
	});

	it.each(PROFILES)("changes no other call: %s", (_, profile) => {
		const before = answers(profile(arch), arch);
		const after = answers(withFloor(profile(arch), arch), arch);
		for (const name of everyName(arch).filter((it) => !FLOOR.includes(it))) {
			// No refused command of ioctl, no namespace: 0x5413 and flags of a thread.
			for (const args of [
				[0n, 0n],
				[1n, 0x5413n],
				[0x3d0f00n, 0x5401n],
				[17n, 0x8912n],
			]) {
				const value = before(name, ...args);
				expect([name, args, after(name, ...args)]).toEqual([name, args, value]);
			}
		}
	});

	it.each(PROFILES)("is its own floor: %s", (_, profile) => {
		const once = withFloor(profile(arch), arch);
		const [a, b] = [answers(once, arch), answers(withFloor(once, arch), arch)];
		for (const [name, ...args] of attacks(arch)) expect(b(name, ...args)).toBe(a(name, ...args));
		expect(applyFloor(once, arch)).toMatchObject({ overridden: [], narrowed: [] });
	});
});

describe("withFloor", () => {
	const ALLOW = { action: "SCMP_ACT_ALLOW" } as const;

	it("tells which rules have no effect, and which have less", () => {
		const profile: LinuxSeccomp = {
			defaultAction: "SCMP_ACT_ERRNO",
			syscalls: [{ names: ["read", "mount", "ioctl", "bpf", "clone"], ...ALLOW }],
		};
		const { overridden, narrowed } = applyFloor(profile, "x86_64");
		expect(overridden.toSorted()).toEqual(["bpf", "mount"]);
		expect(narrowed.toSorted()).toEqual(["clone", "ioctl"]);
	});

	it("leaves a profile alone that refuses all of it already, but for clone3", () => {
		const rule: SeccompRule = { names: ["clone"], ...ALLOW, args: [maskedEq(0, 0x7e020000, 0)] };
		const profile: LinuxSeccomp = { defaultAction: "SCMP_ACT_KILL", syscalls: [{ names: ["read"], ...ALLOW }, rule] };
		expect(applyFloor(profile, "x86_64")).toEqual({
			profile: {
				...profile,
				architectures: ["SCMP_ARCH_X86_64"],
				syscalls: [...(profile.syscalls ?? []), { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: 38 }],
			},
			overridden: [],
			narrowed: [],
		});
	});

	it("keeps the profile's own refusals", () => {
		const kill = { action: "SCMP_ACT_KILL_PROCESS" } as const;
		const profile: LinuxSeccomp = {
			defaultAction: "SCMP_ACT_ALLOW",
			syscalls: [
				{ names: ["bpf", "clone3", "unshare"], ...kill },
				{ names: ["ioctl"], ...kill, args: [maskedEq(1, 0xffffffff, 0x5412)] },
			],
		};
		const answer = answers(withFloor(profile, "x86_64"), "x86_64");
		for (const name of ["bpf", "clone3", "unshare"]) expect([name, answer(name)]).toEqual([name, RET.KILL_PROCESS]);
		expect([0x5412n, 0x541cn, 0x5413n].map((command) => answer("ioctl", 0n, command))).toEqual([
			RET.KILL_PROCESS,
			RET.ERRNO + 1,
			RET.ALLOW,
		]);
	});

	it("lets native system calls in only", () => {
		const architectures = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"];
		const profile: LinuxSeccomp = { defaultAction: "SCMP_ACT_ALLOW", architectures };
		expect(withFloor(profile, "x86_64").architectures).toEqual(["SCMP_ARCH_X86_64"]);
		expect(withFloor(profile, "aarch64").architectures).toEqual(["SCMP_ARCH_AARCH64"]);
	});

	it("refuses comparisons that cannot be narrowed", () => {
		const args: SeccompArg[] = [{ index: 1, op: "SCMP_CMP_NE", value: 0x5412 }];
		const profile: LinuxSeccomp = { defaultAction: "SCMP_ACT_ERRNO", syscalls: [{ names: ["ioctl"], ...ALLOW, args }] };
		expect(() => withFloor(profile, "x86_64")).toThrow("a rule about ioctl compares by SCMP_CMP_NE");
	});

	it("keeps every permitted command that a masked rule permits", () => {
		fc.assert(
			fc.property(fc.integer({ min: 0, max: 0xffff }), fc.integer({ min: 0, max: 0xffff }), (mask, datum) => {
				const args = [maskedEq(1, mask, datum)];
				const profile: LinuxSeccomp = {
					defaultAction: "SCMP_ACT_KILL",
					syscalls: [{ names: ["ioctl"], ...ALLOW, args }],
				};
				const answer = answers(withFloor(profile, "x86_64"), "x86_64");
				for (const command of [datum, datum ^ 0x5412, 0x5412, 0x5413, 0x541c, 0x541d]) {
					const matches = (command & mask) === (datum & mask);
					const allowed = matches && !REFUSED_IOCTLS.includes(command);
					expect(answer("ioctl", 0n, BigInt(command)) === RET.ALLOW).toBe(allowed);
				}
			}),
		);
	});
});
