/**
 * Conditions on arguments that the kernel reads as 32 bits (int, unsigned int): the upper half must not count.
 * A comparison of 64 bits would let 0x100005412 pass where 0x5412 is refused, and the kernel would still see 0x5412.
 */

import type { SeccompArg } from "../types.ts";

const WORD = 0xffffffff;

/** The low 32 bits of the argument are `value`. */
export function isValue32(index: number, value: number): SeccompArg {
	return maskedEqual(index, WORD, value);
}

/** None of these bits is set. */
export function hasNone(index: number, bits: number): SeccompArg {
	return maskedEqual(index, bits, 0);
}

/** One condition per bit: the bit is set. Together they are what {@link hasNone} is not. */
export function hasAny(index: number, bits: number): readonly SeccompArg[] {
	return bitsOf(bits).map((bit) => maskedEqual(index, bit, bit));
}

/**
 * Conditions of which at least one holds exactly where the argument's low 32 bits are none of `values`.
 *
 * OCI has no "is none of" for half an argument, so it is said by bits: where all values agree on a bit, an argument that
 * differs there is none of them; a bit on which they disagree splits them in two smaller sets.
 */
export function exceptValues32(index: number, values: readonly number[]): readonly SeccompArg[] {
	const distinct = [...new Set(values.map((value) => value >>> 0))];
	return differing(index, distinct, { mask: 0, datum: 0 }, WORD);
}

/** @param known what is known of the argument already @param free bits not looked at yet */
function differing(
	index: number,
	values: readonly number[],
	known: { readonly mask: number; readonly datum: number },
	free: number,
): readonly SeccompArg[] {
	const [first] = values;
	if (first === undefined) return [maskedEqual(index, known.mask, known.datum)];
	const agreed = bitsOf(free).filter((bit) => values.every((value) => ((value ^ first) & bit) === 0));
	const found = agreed.map((bit) => maskedEqual(index, known.mask | bit, known.datum | (~first & bit)));
	const left = agreed.reduce((bits, bit) => bits & ~bit, free);
	const [splitting] = bitsOf(left);
	if (splitting === undefined) return found;
	const sides = [0, splitting].map((side) =>
		differing(
			index,
			values.filter((value) => (value & splitting) >>> 0 === side),
			{ mask: known.mask | splitting, datum: known.datum | side },
			left & ~splitting,
		),
	);
	return [...found, ...sides.flat()];
}

function bitsOf(word: number): readonly number[] {
	return Array.from({ length: 32 }, (_, at) => (1 << at) >>> 0).filter((bit) => (word & bit) !== 0);
}

function maskedEqual(index: number, mask: number, datum: number): SeccompArg {
	return { index, op: "SCMP_CMP_MASKED_EQ", value: mask >>> 0, valueTwo: datum >>> 0 };
}
