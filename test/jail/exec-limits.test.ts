import { describe, expect, it } from "vitest";
import { limitsFor, narrowed, rlimitsFor } from "../../src/jail/limits.ts";
import { policyOf } from "../helpers/policy.ts";

const policy = policyOf({
	system: {
		memory: { maxBytes: 1000, swapBytes: 50 },
		pids: { max: 10 },
		time: { cpuMs: 100 },
		rlimits: { fsize: 77, nofile: 5 },
	},
});

describe("limits of one program", () => {
	it("are the policy's, and narrower ones in their place", () => {
		expect(limitsFor(policy)).toEqual({ memoryBytes: 1000, pids: 10, cpuMs: 100, fileSizeBytes: 77 });
		expect(limitsFor(policy, { memoryBytes: 1000, pids: 9, wallMs: 5 })).toEqual({
			memoryBytes: 1000,
			pids: 9,
			cpuMs: 100,
			wallMs: 5,
			fileSizeBytes: 77,
		});
	});

	it.each([
		[{ memoryBytes: 1001 }, "limits.memoryBytes: 1001 is more than the policy's 1000"],
		[{ fileSizeBytes: 78 }, "limits.fileSizeBytes: 78 is more than the policy's 77"],
		[{ wallMs: 0 }, "limits.wallMs: 0 is no limit"],
		[{ stackBytes: 1.5 }, "limits.stackBytes: 1.5 is no limit"],
		[{ outputBytes: Number.NaN }, "limits.outputBytes: NaN is no limit"],
	])("%j is refused", (limits, message) => {
		expect(() => limitsFor(policy, limits)).toThrow(expect.objectContaining({ code: "USAGE", message }));
	});

	it("of processors may be fractions and lists, within the policy's", () => {
		const pinned = policyOf({ system: { cpu: { cores: 1.5, pin: "0-2" } } });
		expect(limitsFor(pinned, { cpuCores: 0.5, cpuset: "1-2" })).toEqual({ cpuCores: 0.5, cpuset: "1-2" });
		expect(limitsFor(pinned)).toEqual({ cpuCores: 1.5, cpuset: "0-2" });
		expect(narrowed(pinned, { cpuCores: 1.5, cpuset: "0-2" })).toBeUndefined();
		expect(narrowed(pinned, { cpuCores: 0.5, cpuset: "1" })).toEqual({
			cpu: { quota: 50_000, period: 100_000, cpus: "1" },
		});
		for (const limits of [{ cpuCores: 2 }, { cpuset: "2-3" }, { cpuset: "" }, { cpuset: "a" }]) {
			expect(() => limitsFor(pinned, limits)).toThrow(expect.objectContaining({ code: "USAGE" }));
		}
	});

	it("concern the group only where they differ from the jail's", () => {
		expect(narrowed(policy, { memoryBytes: 1000, pids: 10 })).toBeUndefined();
		expect(narrowed(policy, { memoryBytes: 900 })).toEqual({ memory: { limit: 900, swap: 950 } });
		expect(narrowed(policyOf(), { pids: 3 })).toEqual({ pids: { limit: 3 } });
	});

	it("take the place of the spec's resource limits of the same name", () => {
		const nofile = { type: "RLIMIT_NOFILE", soft: 5, hard: 5 };
		const spec = [{ type: "RLIMIT_FSIZE", soft: 77, hard: 77 }, nofile];
		expect(rlimitsFor(spec, { fileSizeBytes: 5, stackBytes: 6 })).toEqual([
			nofile,
			{ type: "RLIMIT_FSIZE", soft: 5, hard: 5 },
			{ type: "RLIMIT_STACK", soft: 6, hard: 6 },
		]);
		expect(rlimitsFor(spec, {})).toEqual(spec);
	});
});
