import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Architecture } from "../../../src/host/types.ts";
import { applyFloor, withFloor } from "../../../src/oci/seccomp/floor.ts";
import type { LinuxSeccomp, SeccompArg, SeccompRule } from "../../../src/oci/types.ts";
import { compileSeccomp } from "../../../src/plan/seccomp/compile.ts";
import { syscallNumber } from "../../../src/plan/syscalls.ts";
import { ARCH, checkProgram, RET, run } from "../../helpers/bpf.ts";
import { ARCHITECTURES, attacks, everyName, FLOOR, maskedEq, PROFILES, REFUSED_IOCTLS } from "./floor-cases.ts";

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
			// No refused command of ioctl, no namespace, not pid 1: 0x5413 and flags of a thread.
			for (const args of [
				[0n, 0n],
				[2n, 0x5413n],
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
