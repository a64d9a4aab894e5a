import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { VmjailError } from "../../../src/errors.ts";
import type { LinuxSeccomp, SeccompArg, SeccompRule } from "../../../src/oci/types.ts";
import { compileSeccomp } from "../../../src/plan/seccomp/compile.ts";
import { syscallNumber, syscallTable } from "../../../src/plan/syscalls.ts";
import { ARCH, checkProgram, parseProgram, RET, run } from "../../helpers/bpf.ts";
import { arch, args, calls, defaults, NAMES, OPERATORS, verdict } from "./arbitraries.ts";
import { expectedValue } from "./model.ts";

const ALLOW_NOTHING: LinuxSeccomp = { defaultAction: "SCMP_ACT_ERRNO" };

function read(...args: SeccompArg[]): SeccompRule {
	return { names: ["read"], action: "SCMP_ACT_ALLOW", args };
}

describe("compileSeccomp", () => {
	/** Everything at once: several verdicts for one call, every operator, conditions on one argument. */
	const rule = fc
		.record({
			names: fc.uniqueArray(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 3 }),
			verdict,
			args: args(OPERATORS, 3),
		})
		.chain(({ names, verdict, args: first }) =>
			args(OPERATORS, 1).map((more): SeccompRule => ({ names, ...verdict, args: [...first, ...more] })),
		)
		.filter(({ names, action }) => !(names.includes("write") && action === "SCMP_ACT_NOTIFY"));
	const profile = fc
		.record({ defaults, syscalls: fc.array(rule, { maxLength: 12 }) })
		.map(({ defaults, syscalls }): LinuxSeccomp => ({ ...defaults, syscalls }));
	const otherArch = fc.constantFrom<(number | undefined)[]>(
		undefined,
		undefined,
		undefined,
		ARCH.i386,
		ARCH.aarch64,
		0,
	);

	it("answers what the profile means", () => {
		fc.assert(
			fc.property(arch, profile, calls, otherArch, (arch, profile, calls, otherArch) => {
				const { bytes } = compileSeccomp(profile, arch);
				const program = parseProgram(bytes);
				checkProgram(program);
				for (const { nr, args } of calls) {
					const number = typeof nr === "number" ? nr : (syscallNumber(arch, nr) ?? 0);
					const call = { nr: number, arch: otherArch ?? ARCH[arch], args };
					expect({ call, value: run(program, call).value }).toEqual({
						call,
						value: expectedValue(profile, arch, call),
					});
				}
			}),
			{ numRuns: 1000 },
		);
	});

	it.each([0x40000000, 0x40000000 + 520, 0x7fffffff, 0x80000000, 0xffffffff])("refuses x32's number %i", (nr) => {
		const { instructions } = compileSeccomp({ defaultAction: "SCMP_ACT_ALLOW" }, "x86_64");
		expect(run(instructions, { nr, arch: ARCH.x86_64, args: [] }).value).toBe(RET.ERRNO + 38);
	});

	it("kills a process that calls as another architecture, even one that the profile lists", () => {
		const architectures = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"];
		const compiled = compileSeccomp({ defaultAction: "SCMP_ACT_ALLOW", architectures }, "x86_64");
		expect(run(compiled.instructions, { nr: 3, arch: ARCH.i386, args: [] }).value).toBe(RET.KILL_PROCESS);
		expect(compiled.refusedArchitectures).toEqual(["SCMP_ARCH_X86", "SCMP_ARCH_X32"]);
	});

	it("reports names that the architecture does not have, once", () => {
		const syscalls: SeccompRule[] = [
			{ names: ["open", "read", "no_such_call"], action: "SCMP_ACT_ALLOW" },
			{ names: ["open"], action: "SCMP_ACT_LOG" },
		];
		expect(compileSeccomp({ ...ALLOW_NOTHING, syscalls }, "aarch64").ignored).toEqual(["open", "no_such_call"]);
	});

	it("asks a logarithm of questions", () => {
		// The worst case: every second number is allowed, so that no neighbours can be merged.
		const numbers = [...syscallTable("x86_64")].filter(([, number]) => number % 2 === 0);
		const syscalls: SeccompRule[] = [{ names: numbers.map(([name]) => name), action: "SCMP_ACT_ALLOW" }];
		const { instructions } = compileSeccomp({ ...ALLOW_NOTHING, syscalls }, "x86_64");
		const steps = [...syscallTable("x86_64").values()].map(
			(nr) => run(instructions, { nr, arch: ARCH.x86_64, args: [] }).steps,
		);
		const ranges = numbers.length * 2;
		// Beside the tree: two loads, the architecture, x32, the return, a detour.
		expect(Math.max(...steps)).toBeLessThanOrEqual(Math.ceil(Math.log2(ranges)) + 6);
	});

	it("reaches over more than 255 instructions, on both ways of a question", () => {
		const many = (op: "SCMP_CMP_EQ" | "SCMP_CMP_NE"): SeccompRule[] =>
			Array.from({ length: 300 }, (_, at) => ({
				names: ["read", "write", "ioctl"],
				action: "SCMP_ACT_ALLOW",
				args: [
					{ index: 0, op, value: at * 3 },
					{ index: 1, op, value: 1n << 40n },
				],
			}));
		for (const syscalls of [many("SCMP_CMP_EQ"), many("SCMP_CMP_NE")]) {
			const profile: LinuxSeccomp = { ...ALLOW_NOTHING, syscalls };
			const { instructions } = compileSeccomp(profile, "x86_64");
			checkProgram(instructions);
			expect(instructions.length).toBeGreaterThan(600);
			for (const nr of [0, 1, 2, 16]) {
				for (const first of [0n, 3n, 897n, 898n]) {
					const call = { nr, arch: ARCH.x86_64, args: [first, 1n << 40n] };
					expect(run(instructions, call).value).toBe(expectedValue(profile, "x86_64", call));
				}
			}
		}
	});

	it("refuses what does not fit into 4096 instructions", () => {
		const syscalls = Array.from({ length: 5000 }, (_, at) => read({ index: 0, op: "SCMP_CMP_EQ", value: at }));
		expect(() => compileSeccomp({ ...ALLOW_NOTHING, syscalls }, "x86_64")).toThrow("longer than 4096 instructions");
	});

	it.each([
		[["SCMP_ACT_ALLOW"], [], 0],
		[["SCMP_ACT_ALLOW"], ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"], 6],
		[["SCMP_ACT_NOTIFY"], ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"], 0x28],
		[["SCMP_ACT_NOTIFY"], ["SECCOMP_FILTER_FLAG_TSYNC"], 0x19],
	] as const)("%j with %j has the flags %i", ([action], flags, expected) => {
		const profile: LinuxSeccomp = { ...ALLOW_NOTHING, flags, syscalls: [{ names: ["read"], action }] };
		expect(compileSeccomp(profile, "x86_64").flags).toBe(expected);
	});

	const eq: SeccompArg = { index: 0, op: "SCMP_CMP_EQ", value: 0 };
	it.each<[string, LinuxSeccomp]>([
		['defaultAction: "SCMP_ACT_DENY" is none of', { defaultAction: "SCMP_ACT_DENY" as "SCMP_ACT_KILL" }],
		["defaultAction: SCMP_ACT_NOTIFY cannot be", { defaultAction: "SCMP_ACT_NOTIFY" }],
		["defaultErrnoRet: 4096 is not", { defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 4096 }],
		["defaultErrnoRet: SCMP_ACT_ALLOW takes no", { defaultAction: "SCMP_ACT_ALLOW", defaultErrnoRet: 1 }],
		["syscalls[0].names: names at least", { ...ALLOW_NOTHING, syscalls: [{ names: [], action: "SCMP_ACT_ALLOW" }] }],
		[
			"syscalls[0].names[1]: is empty",
			{ ...ALLOW_NOTHING, syscalls: [{ names: ["read", ""], action: "SCMP_ACT_ALLOW" }] },
		],
		[
			"syscalls[0].action: write cannot",
			{ ...ALLOW_NOTHING, syscalls: [{ names: ["write"], action: "SCMP_ACT_NOTIFY" }] },
		],
		[
			"syscalls[0].errnoRet: -1 is not",
			{ ...ALLOW_NOTHING, syscalls: [{ names: ["read"], action: "SCMP_ACT_ERRNO", errnoRet: -1 }] },
		],
		["syscalls[1].args[1].index: 6 is not", { ...ALLOW_NOTHING, syscalls: [read(), read(eq, { ...eq, index: 6 })] }],
		['args[0].op: "EQ" is none of', { ...ALLOW_NOTHING, syscalls: [read({ ...eq, op: "EQ" as "SCMP_CMP_EQ" })] }],
		["args[0].value: -1 does not fit", { ...ALLOW_NOTHING, syscalls: [read({ ...eq, value: -1 })] }],
		["args[0].value: 1.5 is not", { ...ALLOW_NOTHING, syscalls: [read({ ...eq, value: 1.5 })] }],
		["args[0].value: 18446744073709552000 is not", { ...ALLOW_NOTHING, syscalls: [read({ ...eq, value: 2 ** 64 })] }],
		[
			"args[0].valueTwo: 18446744073709551616 does",
			{ ...ALLOW_NOTHING, syscalls: [read({ ...eq, valueTwo: 1n << 64n })] },
		],
		['architectures[0]: "x86_64" is no', { ...ALLOW_NOTHING, architectures: ["x86_64"] }],
		['flags[0]: "TSYNC" is none of', { ...ALLOW_NOTHING, flags: ["TSYNC"] }],
		[
			"flags[0]: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs",
			{ ...ALLOW_NOTHING, flags: ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"] },
		],
	])("refuses a faulty profile: %s", (message, profile) => {
		const error = thrownBy(() => compileSeccomp(profile, "x86_64"));
		expect(error).toBeInstanceOf(VmjailError);
		expect(error).toMatchObject({ code: "POLICY_INVALID", message: expect.stringContaining(`seccomp: `) });
		expect((error as VmjailError).message).toContain(message);
	});
});

function thrownBy(act: () => unknown): unknown {
	try {
		act();
	} catch (error) {
		return error;
	}
	return undefined;
}
