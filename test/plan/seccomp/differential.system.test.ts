import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { LinuxSeccomp, SeccompRule } from "../../../src/oci/types.ts";
import { compileSeccomp } from "../../../src/plan/seccomp/compile.ts";
import { syscallNumber } from "../../../src/plan/syscalls.ts";
import { ARCH, checkProgram, RET, run } from "../../helpers/bpf.ts";
import { requireOr } from "../../helpers/requirement.ts";
import { arch, args, type Call, calls, OPERATORS, profiles, rules } from "./arbitraries.ts";
import { askLibseccomp, buildOracle } from "./libseccomp.ts";

const skip = requireOr(buildOracle());

function expectSameAnswers(profile: LinuxSeccomp, arch: "x86_64" | "aarch64", calls: readonly Call[]): void {
	const theirs = askLibseccomp(profile, arch)?.program;
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
