import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { LinuxSeccomp, SeccompAction, SeccompArg, SeccompOperator } from "../../../src/oci/types.ts";
import { compileSeccomp } from "../../../src/plan/seccomp/compile.ts";
import { syscallNumber, syscallTable } from "../../../src/plan/syscalls.ts";
import { ARCH, checkProgram, run } from "../../helpers/bpf.ts";
import { requireOr } from "../../helpers/requirement.ts";
import { actionValue, buildOracle, libseccompProgram } from "./libseccomp.ts";

const skip = requireOr(buildOracle());

const NAMES = ["read", "ioctl", "clone", "socket", "openat", "futex", "mount", "seccomp"] as const;
const ARGS = [0, 1, 2] as const;
/** Few values, so that rules meet each other, at the edges of both halves. */
const VALUES = [0n, 1n, 2n, 0x5412n, 0x7fffffffn, 0x80000000n, 0xffffffffn, 1n << 32n, (1n << 32n) + 1n, (1n << 63n) - 1n, 1n << 63n, (1n << 64n) - 1n];

const arch = fc.constantFrom("x86_64", "aarch64");
const value = fc.constantFrom(...VALUES);
const arg: fc.Arbitrary<SeccompArg> = fc.record({
	index: fc.constantFrom(...ARGS),
	op: fc.constantFrom<SeccompOperator[]>(
		"SCMP_CMP_NE",
		"SCMP_CMP_LT",
		"SCMP_CMP_LE",
		"SCMP_CMP_EQ",
		"SCMP_CMP_GE",
		"SCMP_CMP_GT",
		"SCMP_CMP_MASKED_EQ",
	),
	value,
	valueTwo: value,
});
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
	.record({ action, errno: fc.constantFrom(undefined, 0, 1, 38, 4095) })
	.map(({ action, errno }) => {
		const takesErrno = action === "SCMP_ACT_ERRNO" || action === "SCMP_ACT_TRACE";
		return takesErrno && errno !== undefined ? { action, errnoRet: errno } : { action };
	});
const defaults = verdict
	.filter(({ action }) => action !== "SCMP_ACT_NOTIFY")
	.map((v) => ("errnoRet" in v ? { defaultAction: v.action, defaultErrnoRet: v.errnoRet } : { defaultAction: v.action }));
const data = fc.record({
	nr: fc.oneof(
		{ weight: 4, arbitrary: fc.constantFrom(...NAMES) },
		{ weight: 1, arbitrary: fc.integer({ min: 0, max: 600 }) },
	),
	args: fc.array(fc.oneof(value, fc.bigInt({ min: 0n, max: (1n << 64n) - 1n })), { minLength: 6, maxLength: 6 }),
});
const calls = fc.array(data, { minLength: 40, maxLength: 40 });

describe.skipIf(skip)("our filters and libseccomp's", () => {
	/** Rules of one action per call: their order cannot matter, so every answer must be the same. */
	const profile = fc
		.record({
			defaults,
			calls: fc.uniqueArray(
				fc.record({
					name: fc.constantFrom(...NAMES),
					verdict,
					alternatives: fc.array(fc.array(arg, { maxLength: 3 }), { minLength: 1, maxLength: 6 }),
				}),
				{ selector: ({ name }) => name, maxLength: 6 },
			),
		})
		.map(
			({ defaults, calls }): LinuxSeccomp => ({
				...defaults,
				syscalls: calls.flatMap(({ name, verdict, alternatives }) =>
					alternatives.map((args) => ({ names: [name], ...verdict, args })),
				),
			}),
		);

	it("answer every call alike", { timeout: 120_000 }, () => {
		fc.assert(
			fc.property(arch, profile, calls, (arch, profile, calls) => {
				const theirs = libseccompProgram(profile, arch);
				fc.pre(theirs !== undefined);
				const ours = compileSeccomp(profile, arch).instructions;
				checkProgram(ours);
				for (const { nr, args } of calls) {
					const call = { nr: typeof nr === "number" ? nr : (syscallNumber(arch, nr) ?? -1), arch: ARCH[arch], args };
					expect({ call, value: run(ours, call).value }).toEqual({ call, value: run(theirs, call).value });
				}
			}),
			{ numRuns: 1000 },
		);
	});
});
void syscallTable; void actionValue;
