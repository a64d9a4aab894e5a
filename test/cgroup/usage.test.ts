import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readUsage } from "../../src/cgroup/usage.ts";

const reports = (files: Readonly<Record<string, string>>): Record<string, Uint8Array> =>
	Object.fromEntries(Object.entries(files).map(([name, text]) => [name, new TextEncoder().encode(text)]));

describe("usage", () => {
	it("reads v2", () => {
		const usage = readUsage(
			reports({
				"memory.peak": "1048576\n",
				"memory.events": "low 0\nhigh 0\nmax 12\noom 2\noom_kill 3\noom_group_kill 1\n",
				"pids.peak": "9\n",
				"pids.events": "max 4\n",
				"cpu.stat": "usage_usec 2500\nuser_usec 1500\nsystem_usec 1000\nnr_periods 7\n",
			}),
		);
		const cpu = { cpuTotalMs: 2.5, cpuUserMs: 1.5, cpuSystemMs: 1 };
		expect(usage).toEqual({ memoryPeakBytes: 1048576, oomKills: 3, pidsPeak: 9, pidsRefused: 4, ...cpu });
	});

	it("reads v1, whose tick samples share out the exact total", () => {
		const usage = readUsage(
			reports({
				"memory.max_usage_in_bytes": "4096\n",
				"memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
				"pids.events": "max 0\n",
				"cpuacct.usage": "10000000\n",
				"cpuacct.usage_user": "12000000\n",
				"cpuacct.usage_sys": "4000000\n",
			}),
		);
		const cpu = { cpuTotalMs: 10, cpuUserMs: 7.5, cpuSystemMs: 2.5 };
		expect(usage).toEqual({ memoryPeakBytes: 4096, oomKills: 1, pidsRefused: 0, ...cpu });
	});

	it("gives the total alone where no tick met the program", () => {
		const files = { "cpuacct.usage": "900000\n", "cpuacct.usage_user": "0\n", "cpuacct.usage_sys": "0\n" };
		expect(readUsage(reports(files))).toEqual({ oomKills: 0, pidsRefused: 0, cpuTotalMs: 0.9 });
	});

	it("is short of what was not reported", () => {
		expect(readUsage({})).toEqual({ oomKills: 0, pidsRefused: 0 });
		expect(readUsage({ "memory.peak": new Uint8Array() })).toEqual({ oomKills: 0, pidsRefused: 0 });
	});

	it("never yields something else than numbers, whatever is reported", () => {
		const names = ["memory.peak", "memory.events", "pids.peak", "pids.events", "cpu.stat", "cpuacct.usage"];
		fc.assert(
			fc.property(fc.dictionary(fc.constantFrom(...names), fc.uint8Array({ maxLength: 64 })), (files) => {
				expect(Object.values(readUsage(files)).every((value) => Number.isFinite(value) && value >= 0)).toBe(true);
			}),
		);
	});
});
