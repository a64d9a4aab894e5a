import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { exceptValues32, hasAny, hasNone, isValue32 } from "../../../src/oci/seccomp/masks.ts";
import type { SeccompArg } from "../../../src/oci/types.ts";

function holds({ value, valueTwo }: SeccompArg, actual: bigint): boolean {
	return (actual & BigInt(value)) === BigInt(valueTwo ?? 0);
}

/** Close to one another, so that arguments next to the values are tried. */
const word = fc.oneof(
	fc.integer({ min: 0x5400, max: 0x541f }),
	fc.integer({ min: 0, max: 0xffffffff }),
	fc.constantFrom(0, 1, 0x7fffffff, 0x80000000, 0xffffffff),
);
const garbage = fc.bigInt({ min: 0n, max: 0xffffffffn });

describe("exceptValues32", () => {
	it("holds for every 32-bit value but the given ones, whatever the upper half", () => {
		fc.assert(
			fc.property(fc.array(word, { maxLength: 8 }), fc.array(word), garbage, (values, tried, upper) => {
				const rules = exceptValues32(1, values);
				const flipped = values.flatMap((value) => Array.from({ length: 32 }, (_, at) => (value ^ (1 << at)) >>> 0));
				for (const low of [...values, ...flipped, ...tried]) {
					const actual = (upper << 32n) | BigInt(low);
					expect([low, rules.some((rule) => holds(rule, actual))]).toEqual([low, !values.includes(low)]);
				}
			}),
		);
	});

	it("takes 33 conditions for TIOCSTI and TIOCLINUX", () => {
		expect(exceptValues32(1, [0x5412, 0x541c])).toHaveLength(33);
	});

	it("holds for everything where there is nothing to except", () => {
		expect(exceptValues32(2, [])).toEqual([{ index: 2, op: "SCMP_CMP_MASKED_EQ", value: 0, valueTwo: 0 }]);
	});
});

describe("conditions on 32 bits", () => {
	it("see the lower half only", () => {
		expect(holds(isValue32(0, 0x80000000), 0x1_8000_0000n)).toBe(true);
		expect(holds(isValue32(0, 0x80000000), 0x1_8000_0001n)).toBe(false);
	});

	it("hasAny holds exactly where hasNone does not", () => {
		fc.assert(
			fc.property(word, word, garbage, (bits, low, upper) => {
				const actual = (upper << 32n) | BigInt(low);
				const any = hasAny(0, bits).some((rule) => holds(rule, actual));
				expect(any).toBe(!holds(hasNone(0, bits), actual));
			}),
		);
	});
});
