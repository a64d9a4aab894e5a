import { expect, it } from "vitest";
import { disassemble } from "../../../src/plan/seccomp/disassemble.ts";

it("names calls, architectures, arguments, actions and targets, along jumps", () => {
	const program = [
		{ code: 0x20, jt: 0, jf: 0, k: 4 },
		{ code: 0x15, jt: 0, jf: 7, k: 0xc000003e },
		{ code: 0x20, jt: 0, jf: 0, k: 0 },
		{ code: 0x35, jt: 3, jf: 0, k: 16 },
		{ code: 0x20, jt: 0, jf: 0, k: 28 },
		{ code: 0x54, jt: 0, jf: 0, k: 0xff },
		{ code: 0x15, jt: 3, jf: 2, k: 16 },
		{ code: 0x05, jt: 0, jf: 0, k: 0 },
		{ code: 0x25, jt: 2, jf: 1, k: 16 },
		{ code: 0x06, jt: 0, jf: 0, k: 0x80000000 },
		{ code: 0x06, jt: 0, jf: 0, k: 0x50000 },
		{ code: 0x06, jt: 0, jf: 0, k: 0x7fff0000 },
	];
	expect(disassemble(program, "x86_64").split("\n")).toEqual([
		" 0  A = architecture",
		" 1  if A == x86_64 then 2 else 9",
		" 2  A = number",
		" 3  if A >= ioctl then 7 else 4",
		" 4  A = argument 1, high",
		" 5  A &= 0xff",
		" 6  if A == 0x10 then 10 else 9",
		" 7  go to 8",
		" 8  if A > ioctl then 11 else 10",
		" 9  return KILL_PROCESS",
		"10  return ERRNO 0",
		"11  return ALLOW",
		"",
	]);
});
