import { describe, expect, it } from "vitest";
import { ARCH, checkProgram, run, type SockFilter } from "./bpf.ts";

const instruction = (code: number, k = 0, jt = 0, jf = 0): SockFilter => ({ code, jt, jf, k });
const ret = (k: number) => instruction(0x06, k);
const call = (nr: number, ...args: bigint[]) => ({ nr, arch: ARCH.x86_64, args });

describe("checkProgram", () => {
	it.each<[string, SockFilter[]]>([
		["0 instructions", []],
		["does not end with a return", [ret(0), instruction(0x20, 0)]],
		["loads from outside", [instruction(0x20, 64), ret(0)]],
		["loads from outside", [instruction(0x20, 2), ret(0)]],
		["jumps past the end", [instruction(0x15, 0, 0, 1), ret(0)]],
		["jumps past the end", [instruction(0x05, 1), ret(0)]],
		["is not among the instructions", [instruction(0x30, 0), ret(0)]],
		["4097 instructions", Array.from({ length: 4097 }, () => ret(0))],
	])("%s", (message, program) => {
		expect(() => checkProgram(program)).toThrow(message);
	});
});

describe("run", () => {
	it("loads the halves of arguments, masks, and takes the ways of each comparison", () => {
		const on = (offset: number, code: number, k: number) => [
			instruction(0x20, offset),
			instruction(code, k, 0, 1),
			ret(1),
			ret(2),
		];
		expect(run(on(16, 0x15, 7), call(0, (9n << 32n) | 7n)).value).toBe(1);
		expect(run(on(20, 0x15, 9), call(0, (9n << 32n) | 7n)).value).toBe(1);
		expect(run(on(0, 0x25, 5), call(5)).value).toBe(2);
		expect(run(on(0, 0x35, 5), call(5)).value).toBe(1);
		expect(run(on(0, 0x45, 0x80000000), call(-1)).value).toBe(1);
		const masked = [
			instruction(0x20, 0),
			instruction(0x54, 0xf0000000),
			instruction(0x15, 0xf0000000, 1, 0),
			ret(2),
			ret(1),
		];
		expect(run(masked, call(-1))).toEqual({ value: 1, steps: 4 });
		expect(run([instruction(0x05, 1), ret(2), ret(3)], call(0))).toEqual({ value: 3, steps: 2 });
	});
});
