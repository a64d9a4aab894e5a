/** Can two lists of conditions hold at once? */

import type { Condition } from "./rules.ts";

const ALL_BITS = (1n << 64n) - 1n;

/**
 * True where some argument would have to differ from itself in a bit that both lists look at: they never hold for one
 * call. False where they may, also where that is not plain to see (operators other than EQ and MASKED_EQ).
 */
export function exclude(a: readonly Condition[], b: readonly Condition[]): boolean {
	return a.some((one) =>
		b.some((other) => {
			const [x, y] = [bitsAsked(one), bitsAsked(other)];
			return one.index === other.index && ((x.datum ^ y.datum) & x.mask & y.mask) !== 0n;
		}),
	);
}

function bitsAsked({ op, value, valueTwo }: Condition): { readonly mask: bigint; readonly datum: bigint } {
	if (op === "SCMP_CMP_EQ") return { mask: ALL_BITS, datum: value };
	return op === "SCMP_CMP_MASKED_EQ" ? { mask: value, datum: valueTwo } : { mask: 0n, datum: 0n };
}
