import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { LinuxSeccomp, SeccompAction, SeccompArg, SeccompOperator, SeccompRule } from "../../../src/oci/types.ts";
import { compileSeccomp } from "../../../src/plan/seccomp/compile.ts";
import { syscallNumber } from "../../../src/plan/syscalls.ts";
import { ARCH, checkProgram, RET, run } from "../../helpers/bpf.ts";
import { requireOr } from "../../helpers/requirement.ts";
import { buildOracle, libseccompProgram } from "./libseccomp.ts";

const skip = requireOr(buildOracle());

interface Call {
	readonly nr: string | number;
	readonly args: readonly bigint[];
}

const NAMES = ["read", "ioctl", "clone", "socket", "openat", "futex", "mount", "seccomp"] as const;
const ARGS = [0, 1, 2] as const;
/** Few values, so that rules meet each other, at the edges of both halves. */
const VALUES = [
	0n,
	1n,
	2n,
	0x5412n,
	0x7fffffffn,
	0x80000000n,
	0xffffffffn,
	1n << 32n,
	(1n << 32n) + 1n,
	(1n << 63n) - 1n,
	1n << 63n,
	(1n << 64n) - 1n,
];

const arch = fc.constantFrom("x86_64", "aarch64");
const value = fc.constantFrom(...VALUES);
const OPERATORS: readonly SeccompOperator[] = [
	"SCMP_CMP_NE",
	"SCMP_CMP_LT",
	"SCMP_CMP_LE",
	"SCMP_CMP_EQ",
	"SCMP_CMP_GE",
	"SCMP_CMP_GT",
	"SCMP_CMP_MASKED_EQ",
];
function args(operators: readonly SeccompOperator[], maxLength: number): fc.Arbitrary<SeccompArg[]> {
	const arg = fc.record({ index: fc.constantFrom(...ARGS), op: fc.constantFrom(...operators), value, valueTwo: value });
	return fc.uniqueArray(arg, { maxLength, selector: ({ index }) => index });
}
function rules(one: fc.Arbitrary<SeccompArg[]>): fc.Arbitrary<SeccompArg[][]> {
	return fc.array(one, { minLength: 1, maxLength: 6 });
}
const action = fc.constantFrom<SeccompAction[]>(
	"SCMP_ACT_KILL",
	"SCMP_ACT_KILL_PROCESS",
	"SCMP_ACT_TRAP",
	"SCMP_ACT_ERRNO",
	"SCMP_ACT_TRACE",
	"SCMP_ACT_ALLOW",
	"SCMP_ACT_LOG",
	"SCMP_ACT_NOTIFY",
);
const verdict = fc
	.record({ action, errno: fc.constantFrom(undefined, 0, 1, 38, 4094 /* libseccomp's greatest */) })
	.map(({ action, errno }) => {
		const takesErrno = action === "SCMP_ACT_ERRNO" || action === "SCMP_ACT_TRACE";
		return takesErrno && errno !== undefined ? { action, errnoRet: errno } : { action };
	});
const defaults = verdict
	.filter(({ action }) => action !== "SCMP_ACT_NOTIFY")
	.map((v) =>
		"errnoRet" in v ? { defaultAction: v.action, defaultErrnoRet: v.errnoRet } : { defaultAction: v.action },
	);
const data = fc.record({
	nr: fc.oneof(
		{ weight: 4, arbitrary: fc.constantFrom(...NAMES) },
		{ weight: 1, arbitrary: fc.integer({ min: 0, max: 600 }) },
	),
	args: fc.array(fc.oneof(value, fc.bigInt({ min: 0n, max: (1n << 64n) - 1n })), { minLength: 6, maxLength: 6 }),
});
const calls: fc.Arbitrary<Call[]> = fc.noShrink(fc.array(data, { minLength: 40, maxLength: 40 }));

/** Profiles whose calls have one verdict each: the order of rules cannot matter. */
function profiles(alternatives: fc.Arbitrary<SeccompArg[][]>): fc.Arbitrary<LinuxSeccomp> {
	const call = fc.record({ name: fc.constantFrom(...NAMES), verdict, alternatives });
	return fc
		.record({ defaults, calls: fc.uniqueArray(call, { selector: ({ name }) => name, maxLength: 6 }) })
		.map(({ defaults, calls }) => ({
			...defaults,
			syscalls: calls.flatMap(({ name, verdict, alternatives }) =>
				alternatives.map((args) => ({ names: [name], ...verdict, args })),
			),
		}));
}

function expectSameAnswers(profile: LinuxSeccomp, arch: "x86_64" | "aarch64", calls: readonly Call[]): void {
	const theirs = libseccompProgram(profile, arch);
	fc.pre(theirs !== undefined);
	checkProgram(theirs);
	const ours = compileSeccomp(profile, arch).instructions;
	checkProgram(ours);
	for (const { nr, args } of calls) {
		const call = { nr: typeof nr === "number" ? nr : (syscallNumber(arch, nr) ?? -1), arch: ARCH[arch], args };
		expect({ call, value: run(ours, call).value }).toEqual({ call, value: run(theirs, call).value });
	}
}

/**
 * What is left out, and why: libseccomp 2.5 itself answers wrongly where one call has several rules that mix NE with
 * other conditions, or several with LT, LE, GE or GT (`arg < 0` beside `arg < 2^32+1` does not match 0). Our answers
 * there are held by the model in compile.test.ts. x32 and other architectures are refused differently by design.
 */
describe.skipIf(skip)("our filters and libseccomp's", () => {
	it.each([
		["rules of one equality", profiles(rules(args(["SCMP_CMP_EQ", "SCMP_CMP_NE", "SCMP_CMP_MASKED_EQ"], 1)))],
		["rules of several equalities", profiles(rules(args(["SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ"], 3)))],
		["one rule of any operators", profiles(fc.tuple(args(OPERATORS, 3)))],
	])(
		"answer every call alike: %s",
		(_, profile) => {
			fc.assert(
				fc.property(arch, profile, calls, (arch, profile, calls) => expectSameAnswers(profile, arch, calls)),
				{ numRuns: 400 },
			);
		},
		120_000,
	);

	it("prefer an unconditional rule to one with conditions, and the first of two", () => {
		const always = (errnoRet: number): SeccompRule => ({ names: ["read"], action: "SCMP_ACT_ERRNO", errnoRet });
		const sometimes: SeccompRule = {
			names: ["read"],
			action: "SCMP_ACT_ALLOW",
			args: [{ index: 0, op: "SCMP_CMP_EQ", value: 0 }],
		};
		for (const syscalls of [
			[sometimes, always(7)],
			[always(7), sometimes],
			[always(7), always(8)],
		]) {
			const profile: LinuxSeccomp = { defaultAction: "SCMP_ACT_KILL", syscalls };
			expectSameAnswers(profile, "x86_64", [{ nr: "read", args: [0n] }]);
			expect(run(compileSeccomp(profile, "x86_64").instructions, { nr: 0, arch: ARCH.x86_64, args: [] }).value).toBe(
				RET.ERRNO + 7,
			);
		}
	});

	it("split a rule with two conditions on one argument, as runc does", () => {
		const profile: LinuxSeccomp = {
			defaultAction: "SCMP_ACT_ERRNO",
			syscalls: [
				{
					names: ["read"],
					action: "SCMP_ACT_ALLOW",
					args: [
						{ index: 0, op: "SCMP_CMP_EQ", value: 1 },
						{ index: 0, op: "SCMP_CMP_EQ", value: 2 },
						{ index: 1, op: "SCMP_CMP_EQ", value: 3 },
					],
				},
			],
		};
		const calls = [[1n], [2n], [3n], [0n, 3n], [0n, 4n]].map((args): Call => ({ nr: "read", args }));
		expectSameAnswers(profile, "x86_64", calls);
	});
});
