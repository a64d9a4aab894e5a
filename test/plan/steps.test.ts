import { describe, expect, it } from "vitest";
import { cstring, pathWithPid, space, stringArray, struct, text } from "../../src/plan/steps.ts";

describe("blocks", () => {
	it("are laid out as C does on little-endian machines, fields next to each other", () => {
		const to = cstring("x");
		const { bytes, patches } = struct("s", [
			{ u16: 0x0102 },
			{ u32: 0x03040506 },
			{ u64: 0x0708090a0b0c0d0en },
			{ u64: -1 },
			{ zeros: 2 },
			{ pointer: to },
			{ slot: "a" },
			{ pid32: true },
		]);
		expect([...bytes.subarray(0, 22)]).toEqual([2, 1, 6, 5, 4, 3, 14, 13, 12, 11, 10, 9, 8, 7, ...Array(8).fill(255)]);
		expect(bytes).toHaveLength(40);
		expect(patches).toEqual([
			{ at: 24, kind: "pointer", to },
			{ at: 32, kind: "slot", slot: "a" },
			{ at: 36, kind: "pid32" },
		]);
	});

	it("of text end in NUL for the kernel, not for write(2), and count bytes", () => {
		expect(cstring("é").bytes).toEqual(new Uint8Array([0xc3, 0xa9, 0]));
		expect(text("é").bytes).toEqual(new Uint8Array([0xc3, 0xa9]));
	});

	it("leave ten bytes for a process id", () => {
		const { bytes, patches, shown } = pathWithPid("/proc/", "/uid_map");
		expect(new TextDecoder().decode(bytes)).toBe("/proc////////////uid_map\0");
		expect([patches, shown]).toEqual([[{ at: 6, kind: "pid", pad: "/" }], '"/proc/<pid>/uid_map"']);
	});

	it("of strings end in a null pointer", () => {
		const { bytes, patches } = stringArray(["a", "b"], "argv");
		expect([bytes.length, patches?.map(({ at }) => at)]).toEqual([24, [0, 8]]);
		expect(space(3).bytes).toEqual(new Uint8Array(3));
	});
});
