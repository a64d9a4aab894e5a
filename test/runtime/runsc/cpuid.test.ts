import { describe, expect, it } from "vitest";
import type { Step } from "../../../src/plan/types.ts";
import { nativeCpuidSteps } from "../../../src/runtime/runsc/cpuid.ts";
import { ARCH, checkProgram, parseProgram, RET, run } from "../../helpers/bpf.ts";

function programOf({ args }: Step) {
	const [, , filter] = args;
	const [patch] = typeof filter === "object" && "patches" in filter ? (filter.patches ?? []) : [];
	if (patch?.kind !== "pointer") throw new Error("no filter");
	return parseProgram(patch.to.bytes);
}

describe("nativeCpuidSteps", () => {
	const ARCH_PRCTL = 158;
	const steps = nativeCpuidSteps("x86_64");
	const program = steps.map(programOf)[0] ?? [];
	const answer = (nr: number, first: bigint, arch: number = ARCH.x86_64) =>
		run(program, { nr, arch, args: [first] }).value;

	it("lets no process ask for faults at CPUID", () => {
		checkProgram(program);
		expect(answer(ARCH_PRCTL, 0x1012n)).toBe(RET.ERRNO + 19);
		// The kernel takes the request as an int.
		expect(answer(ARCH_PRCTL, 0xffff_ffff_0000_1012n)).toBe(RET.ERRNO + 19);
	});

	it("leaves every other call to gVisor's own filters", () => {
		for (const request of [0x1002n, 0x1003n, 0x1011n, 0n]) expect(answer(ARCH_PRCTL, request)).toBe(RET.ALLOW);
		expect(answer(0, 0x1012n)).toBe(RET.ALLOW);
		expect(answer(ARCH_PRCTL, 0x1012n, ARCH.i386)).toBe(RET.ALLOW);
	});

	it("is nothing on processors without CPUID", () => {
		expect(nativeCpuidSteps("aarch64")).toEqual([]);
	});
});
