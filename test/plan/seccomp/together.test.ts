import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { LinuxSeccomp, SeccompRule } from "../../../src/oci/types.ts";
import { compileTogether } from "../../../src/plan/seccomp/together.ts";
import { syscallNumber } from "../../../src/plan/syscalls.ts";
import { ARCH, checkProgram, parseProgram, RET, run } from "../../helpers/bpf.ts";
import { arch, args, calls, defaults, NAMES, OPERATORS, verdict } from "./arbitraries.ts";
import { expectedValue } from "./model.ts";

const rule = fc
	.record({
		names: fc.uniqueArray(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 3 }),
		verdict,
		args: args(OPERATORS, 3),
	})
	.map(({ names, verdict, args }): SeccompRule => ({ names, ...verdict, args }))
	.filter(({ names, action }) => !(names.includes("write") && action === "SCMP_ACT_NOTIFY"));
const profile = fc
	.record({ defaults, syscalls: fc.array(rule, { maxLength: 6 }) })
	.map(({ defaults, syscalls }): LinuxSeccomp => ({ ...defaults, syscalls }));

/** What the kernel makes of filters that were installed in this order: seccomp(2), "the highest precedence", newest first. */
function combined(values: readonly number[]): number {
	const newestFirst = values.toReversed();
	return newestFirst.reduce((strictest, value) => (value >> 16 < strictest >> 16 ? value : strictest));
}

describe("compileTogether", () => {
	it("answers what all the profiles' filters would together", () => {
		fc.assert(
			fc.property(
				arch,
				fc.array(profile, { minLength: 1, maxLength: 3 }),
				calls,
				fc.constantFrom(undefined, undefined, ARCH.i386),
				(arch, profiles, calls, otherArch) => {
					const program = parseProgram(compileTogether(profiles, arch).bytes);
					checkProgram(program);
					for (const { nr, args } of calls) {
						const number = typeof nr === "number" ? nr : (syscallNumber(arch, nr) ?? 0);
						const call = { nr: number, arch: otherArch ?? ARCH[arch], args };
						const value = combined(profiles.map((one) => expectedValue(one, arch, call)));
						expect({ call, value: run(program, call).value }).toEqual({ call, value });
					}
				},
			),
			{ numRuns: 1000 },
		);
	});

	it("takes the later of two answers that are equally strict", () => {
		const refusing = (errnoRet: number): LinuxSeccomp => ({
			defaultAction: "SCMP_ACT_ERRNO",
			defaultErrnoRet: errnoRet,
		});
		const { instructions } = compileTogether([refusing(1), refusing(38)], "x86_64");
		expect(run(instructions, { nr: 0, arch: ARCH.x86_64, args: [] }).value).toBe(RET.ERRNO + 38);
	});

	it("does not grow without bounds where both have many conditions", () => {
		const long = (index: number): LinuxSeccomp => ({
			defaultAction: "SCMP_ACT_ERRNO",
			syscalls: Array.from({ length: 40 }, (_, value) => ({
				names: ["ioctl"],
				action: "SCMP_ACT_ALLOW",
				args: [{ index, op: "SCMP_CMP_EQ", value }],
			})),
		});
		const { instructions } = compileTogether([long(0), long(1)], "x86_64");
		const value = (first: bigint, second: bigint) =>
			run(instructions, { nr: 16, arch: ARCH.x86_64, args: [first, second] }).value;
		expect([value(39n, 39n), value(39n, 40n), value(40n, 39n)]).toEqual([RET.ALLOW, RET.ERRNO + 1, RET.ERRNO + 1]);
		expect(instructions.length).toBeLessThan(400);
	});
});
