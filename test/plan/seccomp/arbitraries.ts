/** Random profiles and calls, for fast-check. */

import fc from "fast-check";
import type { LinuxSeccomp, SeccompAction, SeccompArg, SeccompOperator } from "../../../src/oci/types.ts";

export interface Call {
	readonly nr: string | number;
	readonly args: readonly bigint[];
}

export const NAMES = ["read", "ioctl", "clone", "socket", "openat", "futex", "mount", "seccomp"] as const;
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

export const arch = fc.constantFrom("x86_64", "aarch64");
const value = fc.constantFrom(...VALUES);
export const OPERATORS: readonly SeccompOperator[] = [
	"SCMP_CMP_NE",
	"SCMP_CMP_LT",
	"SCMP_CMP_LE",
	"SCMP_CMP_EQ",
	"SCMP_CMP_GE",
	"SCMP_CMP_GT",
	"SCMP_CMP_MASKED_EQ",
];
export function args(operators: readonly SeccompOperator[], maxLength: number): fc.Arbitrary<SeccompArg[]> {
	const arg = fc.record({ index: fc.constantFrom(...ARGS), op: fc.constantFrom(...operators), value, valueTwo: value });
	return fc.uniqueArray(arg, { maxLength, selector: ({ index }) => index });
}
export function rules(one: fc.Arbitrary<SeccompArg[]>): fc.Arbitrary<SeccompArg[][]> {
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
export const verdict = fc
	.record({ action, errno: fc.constantFrom(undefined, 0, 1, 38, 4094 /* libseccomp's greatest */) })
	.map(({ action, errno }) => {
		const takesErrno = action === "SCMP_ACT_ERRNO" || action === "SCMP_ACT_TRACE";
		return takesErrno && errno !== undefined ? { action, errnoRet: errno } : { action };
	});
export const defaults = verdict
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
export const calls: fc.Arbitrary<Call[]> = fc.noShrink(fc.array(data, { minLength: 40, maxLength: 40 }));

/** Profiles whose calls have one verdict each: the order of rules cannot matter. */
export function profiles(alternatives: fc.Arbitrary<SeccompArg[][]>): fc.Arbitrary<LinuxSeccomp> {
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
