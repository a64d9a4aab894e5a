import { describe, expect, it } from "vitest";
import { limitsOf } from "../../src/server/limits.ts";
import { policyOf } from "../helpers/policy.ts";

const MIB = 2 ** 20;
const policy = policyOf({
	system: {
		memory: { maxBytes: 256 * MIB, swapBytes: 0 },
		pids: { max: 64 },
		time: { cpuMs: 2000, wallMs: 6000 },
		rlimits: { stack: 64 * MIB },
		cpu: { cores: 1, pin: "0-1" },
	},
});
const args = ["true"];

describe("the limits of a command", () => {
	it("are in nanoseconds and bytes, and become milliseconds", () => {
		const command = { args, cpuLimit: 1_000_000_000, clockLimit: 1_500_000_001, memoryLimit: 64 * MIB, procLimit: 3 };
		expect(limitsOf(command, policy, "cmd[0]")).toEqual({
			cpuMs: 1000,
			wallMs: 1501,
			memoryBytes: 64 * MIB,
			pids: 3,
		});
	});

	it("that are absent or 0 are the policy's", () => {
		expect(limitsOf({ args }, policy, "cmd[0]")).toEqual({});
		expect(limitsOf({ args, cpuLimit: 0, memoryLimit: 0, procLimit: 0 }, policy, "cmd[0]")).toEqual({});
	});

	it("realCpuLimit is the wall limit by its old name, and goes before clockLimit", () => {
		const command = { args, clockLimit: 1_000_000_000, realCpuLimit: 2_000_000_000 };
		expect(limitsOf(command, policy, "cmd[0]")).toEqual({ wallMs: 2000 });
	});

	it.each([
		["cpuLimit", 2_000_000_001, "system.time.cpu: 2000000000"],
		["clockLimit", 6_000_000_001, "system.time.wall: 6000000000"],
		["realCpuLimit", 6_000_000_001, "system.time.wall: 6000000000"],
		["memoryLimit", 256 * MIB + 1, `system.memory.max: ${256 * MIB}`],
		["procLimit", 65, "system.pids.max: 64"],
		["stackLimit", 64 * MIB + 1, `system.rlimits.stack: ${64 * MIB}`],
	])("%s above the policy's is refused, naming both", (key, value, policyText) => {
		const limit = () => limitsOf({ args, [key]: value }, policy, "cmd[3]");
		expect(limit).toThrow(`cmd[3].${key}: ${value} is more than this server's policy allows (${policyText})`);
		expect(() => limitsOf({ args, [key]: value - 1 }, policy, "cmd[3]")).not.toThrow();
	});

	it("dataSegmentLimit and addressSpaceLimit are as large as the memory", () => {
		expect(limitsOf({ args, dataSegmentLimit: true, memoryLimit: MIB }, policy, "")).toEqual({
			memoryBytes: MIB,
			dataBytes: MIB,
		});
		expect(limitsOf({ args, strictMemoryLimit: true }, policy, "")).toEqual({ dataBytes: 256 * MIB });
		expect(limitsOf({ args, addressSpaceLimit: true }, policy, "")).toEqual({ addressSpaceBytes: 256 * MIB });
		expect(() => limitsOf({ args, addressSpaceLimit: true }, policyOf(), "c")).toThrow(
			"c.addressSpaceLimit: needs memoryLimit",
		);
	});

	it("cores that are not the policy's own are refused, never ignored", () => {
		expect(limitsOf({ args, cpuRateLimit: 1000, cpuSetLimit: "0-1" }, policy, "")).toEqual({});
		expect(() => limitsOf({ args, cpuRateLimit: 500 }, policy, "c")).toThrow("c.cpuRateLimit: 500");
		expect(() => limitsOf({ args, cpuSetLimit: "1" }, policy, "c")).toThrow("c.cpuSetLimit: 1");
	});
});
