import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Cube, coversAll } from "../../../src/runtime/runsc/cover.ts";

describe("coversAll", () => {
	it("agrees with trying every value of six bits", () => {
		const cube = fc
			.tuple(fc.integer({ min: 0, max: 63 }), fc.integer({ min: 0, max: 63 }))
			.map(([mask, value]): Cube => ({ mask: BigInt(mask), value: BigInt(value & mask) }));
		fc.assert(
			fc.property(fc.array(cube, { maxLength: 12 }), (cubes) => {
				const all = Array.from({ length: 64 }, (_, i) => BigInt(i));
				const covered = all.every((v) => cubes.some(({ mask, value }) => (v & mask) === value));
				return coversAll(cubes) === covered;
			}),
			{ numRuns: 500 },
		);
	});

	it("sees one missing value among 2^32", () => {
		const bits = Array.from({ length: 32 }, (_, i) => 1n << BigInt(i));
		const missing = 0x5412n;
		const others = bits.map((bit) => ({ mask: bit, value: ~missing & bit }));
		expect(coversAll(others)).toBe(false);
		expect(coversAll([...others, { mask: 0xffffffffn, value: missing }])).toBe(true);
	});
});
