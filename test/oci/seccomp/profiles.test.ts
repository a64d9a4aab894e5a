import { describe, expect, it } from "vitest";
import type { Architecture } from "../../../src/host/types.ts";
import { CONDITIONAL, GROUPS, MISSING, REFUSED } from "../../../src/oci/seccomp/groups.ts";
import { defaultProfile, strictProfile } from "../../../src/oci/seccomp/profiles.ts";
import { compileSeccomp } from "../../../src/plan/seccomp/compile.ts";
import { disassemble } from "../../../src/plan/seccomp/disassemble.ts";
import { syscallNumber, syscallTable } from "../../../src/plan/syscalls.ts";
import { ARCH, checkProgram, RET, run } from "../../helpers/bpf.ts";

const EPERM = RET.ERRNO + 1;
const ENOTTY = RET.ERRNO + 25;
const ENOSYS = RET.ERRNO + 38;
const EAFNOSUPPORT = RET.ERRNO + 97;
const GARBAGE = 0xdeadbeef_00000000n;

const ARCHITECTURES: readonly Architecture[] = ["x86_64", "aarch64"];
const strict = GROUPS.flatMap(({ strict }) => strict);
const more = GROUPS.flatMap(({ more }) => more);

function answerOf(profile: typeof defaultProfile, arch: Architecture) {
	const { instructions } = compileSeccomp(profile(arch), arch);
	checkProgram(instructions);
	return (name: string | number, ...args: (number | bigint)[]): number => {
		const nr = typeof name === "number" ? name : syscallNumber(arch, name);
		if (nr === undefined) throw new Error(`${arch} has no ${name}`);
		return run(instructions, { nr, arch: ARCH[arch], args: args.map(BigInt) }).value;
	};
}

describe("the lists of calls", () => {
	const listed = [...strict, ...more, ...CONDITIONAL, ...REFUSED, ...MISSING];

	it("hold every call of every architecture once, and no other", () => {
		const known = ARCHITECTURES.flatMap((arch) => [...syscallTable(arch).keys()]);
		expect(listed.toSorted()).toEqual([...new Set(known)].toSorted());
	});
});

describe.each(ARCHITECTURES)("on %s", (arch) => {
	const has = (name: string) => syscallNumber(arch, name) !== undefined;

	it.each([
		["default", defaultProfile, [...strict, ...more], REFUSED],
		["strict", strictProfile, strict, [...more, ...REFUSED, "socket", "personality", "seccomp"]],
	] as const)("the %s profile answers by its lists", (_, profile, allowed, refused) => {
		const answer = answerOf(profile, arch);
		const values = (names: readonly string[]) => names.filter(has).map((name) => [name, answer(name, GARBAGE)]);
		const all = (names: readonly string[], value: number) => names.filter(has).map((name) => [name, value]);
		expect(values(allowed)).toEqual(all(allowed, RET.ALLOW));
		expect(values(refused)).toEqual(all(refused, EPERM));
		expect(values(MISSING)).toEqual(all(MISSING, ENOSYS));
		// Newer than every table; and the gap that x86_64 has before the unified numbers.
		expect([answer(470), answer(1023), answer(400)]).toEqual([ENOSYS, ENOSYS, ENOSYS]);
	});

	it.each([
		["default", defaultProfile],
		["strict", strictProfile],
	] as const)("the %s profile lets clone make threads and processes, not namespaces", (_, profile) => {
		const answer = answerOf(profile, arch);
		const THREAD = 0x3d0f00; // as glibc's pthread_create
		const VFORK_AND_SIGCHLD = 0x4111;
		expect([answer("clone", 17), answer("clone", THREAD), answer("clone", VFORK_AND_SIGCHLD)]).toEqual(
			Array(3).fill(RET.ALLOW),
		);
		for (const namespace of [0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000]) {
			expect(answer("clone", namespace + 17)).toBe(EPERM);
			expect(answer("clone", GARBAGE + BigInt(namespace))).toBe(EPERM);
			expect(answer("unshare", namespace)).toBe(EPERM);
		}
		expect(answer("clone3", 0, 88)).toBe(ENOSYS);
	});

	it("the default profile opens local and Internet sockets and lists interfaces, nothing else", () => {
		const answer = answerOf(defaultProfile, arch);
		for (let family = 0; family < 64; family++) {
			const allowed = [1, 2, 10, 16].includes(family);
			expect([family, answer("socket", family, 1, 0)]).toEqual([family, allowed ? RET.ALLOW : EAFNOSUPPORT]);
			expect([family, answer("socket", GARBAGE + BigInt(family), 1, 6)]).toEqual([
				family,
				allowed && family !== 16 ? RET.ALLOW : EAFNOSUPPORT,
			]);
			expect(answer("socketpair", family, 1, 0)).toBe(family === 1 ? RET.ALLOW : EAFNOSUPPORT);
		}
	});

	it("the default profile knows personalities and filters that do no harm", () => {
		const answer = answerOf(defaultProfile, arch);
		expect([0, 8, 0x20000, 0x20008, 0xffffffff].map((it) => answer("personality", it))).toEqual(
			Array(5).fill(RET.ALLOW),
		);
		expect([0x40000, 0x0400000, 0xfffffffe, 4].map((it) => answer("personality", it))).toEqual(Array(4).fill(EPERM));
		expect([answer("seccomp", 1, 0), answer("seccomp", 1, 1)]).toEqual([RET.ALLOW, RET.ALLOW]);
		expect([answer("seccomp", 1, 8), answer("seccomp", 1, GARBAGE + 9n)]).toEqual([EPERM, EPERM]);
	});

	it("ioctl: default all but two commands, strict a few", () => {
		const relaxed = answerOf(defaultProfile, arch);
		const tight = answerOf(strictProfile, arch);
		expect([relaxed("ioctl", 0, 0x5401), tight("ioctl", 0, 0x5401)]).toEqual([RET.ALLOW, RET.ALLOW]);
		expect([relaxed("ioctl", 0, 0x40049409), tight("ioctl", 0, 0x40049409)]).toEqual([RET.ALLOW, ENOTTY]);
		for (const command of [0x5412n, 0x541cn, GARBAGE + 0x5412n, GARBAGE + 0x541cn]) {
			expect([relaxed("ioctl", 0, command), tight("ioctl", 0, command)]).toEqual([EPERM, ENOTTY]);
		}
		// The neighbours: every command that differs in one bit.
		for (let bit = 0; bit < 32; bit++) {
			expect(relaxed("ioctl", 0, (0x5412 ^ (1 << bit)) >>> 0)).toBe(RET.ALLOW);
		}
	});
});

describe("the programs", () => {
	it.each([
		["default", defaultProfile],
		["strict", strictProfile],
	] as const)("of the %s profile are as reviewed", async (name, profile) => {
		const { instructions, ignored } = compileSeccomp(profile("x86_64"), "x86_64");
		expect(ignored.filter((it) => it !== "umount")).toEqual([]);
		await expect(disassemble(instructions, "x86_64")).toMatchFileSnapshot(`golden/${name}-x86_64.txt`);
	});

	it("decide a call without conditions in at most 14 instructions", () => {
		for (const arch of ARCHITECTURES) {
			for (const profile of [defaultProfile, strictProfile]) {
				const { instructions } = compileSeccomp(profile(arch), arch);
				const plain = [...syscallTable(arch)].filter(([name]) => !CONDITIONAL.includes(name));
				const steps = plain.map(([, nr]) => run(instructions, { nr, arch: ARCH[arch], args: [] }).steps);
				expect(Math.max(...steps)).toBeLessThanOrEqual(15);
			}
		}
	});
});
