import { describe, expect, it } from "vitest";
import { roomyTableSteps } from "../../../src/runtime/runsc/descriptors.ts";

describe("roomyTableSteps", () => {
	const [make, move, close, ...rest] = roomyTableSteps();

	it("leave one descriptor of something inert, out of the way of gVisor's own numbers", () => {
		expect([make?.call, make?.save, rest]).toEqual(["eventfd2", "inert", []]);
		expect([move?.call, close?.call, close?.args]).toEqual(["dup3", "close", [{ slot: "inert" }]]);
		const [from, number, flags] = move?.args ?? [];
		expect([from, flags]).toEqual([{ slot: "inert" }, 0]);
		// The kernel doubles a table: 253 to 258 have to be in the one that holds this number.
		expect(number).toBeGreaterThan(258);
	});

	it("do without where the limit of open files is lower", () => {
		expect(move?.tolerate).toEqual(["EBADF"]);
	});
});
