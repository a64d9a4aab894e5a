import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Budget } from "../../src/jail/stdio.ts";

describe("a budget of output", () => {
	it("lets as much pass as is left, and tells once that it is exceeded", () => {
		let exceeded = 0;
		const budget = new Budget(10, () => exceeded++);
		expect([budget.take(4), budget.take(6)]).toEqual([4, 6]);
		expect(exceeded).toBe(0);
		expect([budget.take(1), budget.take(100)]).toEqual([0, 0]);
		expect(exceeded).toBe(1);
	});

	it("is exceeded by the first byte where it is nothing", () => {
		let exceeded = 0;
		const budget = new Budget(0, () => exceeded++);
		expect([budget.take(0), exceeded]).toEqual([0, 0]);
		expect([budget.take(1), exceeded]).toEqual([0, 1]);
	});

	it("lets exactly the smaller of its size and all output pass", () => {
		fc.assert(
			fc.property(fc.nat(1000), fc.array(fc.nat(300)), (max, chunks) => {
				let exceeded = false;
				const budget = new Budget(max, () => {
					exceeded = true;
				});
				const total = chunks.reduce((sum, size) => sum + size, 0);
				expect(chunks.reduce((sum, size) => sum + budget.take(size), 0)).toBe(Math.min(max, total));
				expect(exceeded).toBe(total > max);
			}),
		);
	});
});
