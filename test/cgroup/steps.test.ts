import { describe, expect, it } from "vitest";
import { type CgroupRequest, type CgroupSteps, cgroupSteps } from "../../src/cgroup/steps.ts";
import { VmjailError } from "../../src/errors.ts";
import type { CgroupFacts } from "../../src/host/types.ts";
import type { Resources } from "../../src/oci/types.ts";
import type { Arg, Step } from "../../src/plan/types.ts";
import { delegatedScope, hybrid, systemdRoot, userSession, v1Host } from "./fixtures.ts";

const id = "100-200-0123456789abcdef";
const MIB = 1024 * 1024;
const all: Resources = {
	memory: { limit: 64 * MIB, swap: 80 * MIB },
	cpu: { quota: 150_000, period: 100_000, cpus: "0-1" },
	pids: { limit: 32 },
	blockIO: {
		throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 1000 }],
		throttleWriteBpsDevice: [{ major: 8, minor: 0, rate: 2000 }],
	},
};

function request(facts: CgroupFacts, resources: Resources, more: Partial<CgroupRequest> = {}): CgroupRequest {
	return { facts, resources, id, optional: [], privileged: true, ...more };
}

function shown(arg: Arg): string {
	if (typeof arg !== "object") return `${arg}`;
	if ("shown" in arg) return arg.shown;
	return "slot" in arg ? `[${arg.slot}]` : "<pid>";
}

const lines = (steps: readonly Step[]): readonly string[] =>
	steps.map(({ call, args, save, tolerate, retryBusy }) =>
		[
			`${call}(${args.map(shown).join(", ")})`,
			save === undefined ? "" : `→ [${save}]`,
			tolerate === undefined ? "" : `tolerating ${tolerate.join(" ")}`,
			retryBusy ? "retrying" : "",
		]
			.filter(Boolean)
			.join(" "),
	);

function golden({ host, parent, child, account, cleanup, ...rest }: CgroupSteps): string {
	const sections = Object.entries({ host, parent, child, account, cleanup });
	const text = sections.map(([name, steps]) => [`${name}:`, ...lines(steps)].join("\n  "));
	return `${[...text, `rest: ${JSON.stringify(rest)}`].join("\n")}\n`;
}

/** What ends up in which file. */
function written(steps: CgroupSteps): readonly string[] {
	const host = steps.host;
	return host.flatMap(({ call, args }, i) => {
		const path = host[i - 1]?.args[1];
		const value = args[1];
		if (call !== "write" || path === undefined || value === undefined) return [];
		return [`${shown(path).slice(1, -1)} = ${shown(value).slice(1, -1)}`];
	});
}

function fails(facts: CgroupFacts, resources: Resources, more: Partial<CgroupRequest> = {}): VmjailError {
	try {
		cgroupSteps(request(facts, resources, more));
	} catch (error) {
		if (error instanceof VmjailError) return error;
		throw error;
	}
	throw new Error("no error");
}

describe("plans of control groups", () => {
	it.each([
		["v1", v1Host(), all],
		["v2-root", systemdRoot, all],
		["v2-delegated", delegatedScope, { memory: { limit: 64 * MIB }, pids: { limit: 32 } }],
		["hybrid", hybrid, { memory: { limit: 64 * MIB }, cpu: { quota: 50_000 }, pids: { limit: 32 } }],
		["v2-accounts-only", delegatedScope, {}],
	] as const)("%s is the golden one", async (name, facts, resources) => {
		await expect(golden(cgroupSteps(request(facts, resources)))).toMatchFileSnapshot(`golden/${name}.txt`);
	});
});

describe("limits", () => {
	it("sets v1's memory before memory and swap together, and no swap where none is asked for", () => {
		expect(written(cgroupSteps(request(v1Host(true, ["memory"]), { memory: { limit: 1000 } })))).toEqual([
			"memory.limit_in_bytes = 1000",
			"memory.memsw.limit_in_bytes = 1000",
		]);
	});

	it("takes OCI's -1 as any amount of swap", () => {
		const resources = { memory: { limit: 1000, swap: -1 } };
		expect(written(cgroupSteps(request(v1Host(true, ["memory"]), resources)))).toContain(
			"memory.memsw.limit_in_bytes = -1",
		);
		expect(written(cgroupSteps(request(systemdRoot, resources)))).toContain("memory.swap.max = max");
	});

	it("subtracts the memory from OCI's sum for v2", () => {
		const resources = { memory: { limit: 1000, swap: 1500 } };
		expect(written(cgroupSteps(request(systemdRoot, resources)))).toContain("memory.swap.max = 500");
	});

	it("lets memory.swap.max be absent only where the host does not swap", () => {
		const tolerates = (swapOn: boolean): boolean => {
			const { host } = cgroupSteps(request({ ...systemdRoot, swapOn }, { memory: { limit: 1000 } }));
			return host.some(
				({ label, tolerate }) => label.startsWith("set memory.swap.max") && tolerate?.includes("ENOENT"),
			);
		};
		expect([tolerates(true), tolerates(false)]).toEqual([false, true]);
	});

	it("gives a v1 group the parent's cpuset where another controller is mounted with it", () => {
		const folder = "/sys/fs/cgroup/cpuset,cpu";
		const v1 = ["cpu", "cpuset"].map((name) => ({ name, path: folder, writable: true, mems: "0" }));
		const facts = { v1, blockDevices: [], cpuList: "0-3" };
		const steps = cgroupSteps(request(facts, { cpu: { quota: 10_000 } }));
		expect(written(steps)).toEqual(["cpuset.mems = 0", "cpuset.cpus = 0-3", "cpu.cfs_quota_us = 10000"]);
		expect(steps.cleanup).toHaveLength(1);
	});

	it("enters v1 groups by its own hand, through files that the host opened", () => {
		const { host, parent, child } = cgroupSteps(request(v1Host(), { pids: { limit: 5 } }));
		const opened = host.filter(({ label }) => label.startsWith("open tasks of")).map(({ save }) => `[${save}]`);
		expect(parent).toEqual([]);
		expect(child.map(({ args }) => args.map(shown))).toEqual(opened.map((slot) => [slot, '"0"', "1"]));
		expect(opened.length).toBeGreaterThan(0);
	});

	it("is born in its v2 group when that limits, and attached when that only counts", () => {
		const limited = cgroupSteps(request(systemdRoot, { pids: { limit: 5 } }));
		expect([limited.intoCgroup, limited.parent]).toEqual(["cgroup.v2", []]);
		const counted = cgroupSteps(request(systemdRoot, {}));
		expect(counted.intoCgroup).toBeUndefined();
		expect(counted.parent.every(({ tolerate }) => tolerate?.includes("EACCES"))).toBe(true);
	});
});

describe("what the host lacks", () => {
	it("makes no group and no error where nothing is asked for", () => {
		const steps = cgroupSteps(request(userSession, {}));
		expect(steps).toEqual({ host: [], parent: [], child: [], account: [], cleanup: [], missing: [] });
	});

	it("names control, reason and remedy", () => {
		const error = fails(userSession, { memory: { limit: 1000 } }, { privileged: false });
		expect(error.code).toBe("HOST_UNSUPPORTED");
		expect(error.message).toMatch(/^system\.memory\.max: .*session-3\.scope is not delegated to this user/);
		expect(error.remedy).toContain("systemd-run --user --scope -p Delegate=yes vmjail");
		expect(error.remedy).toContain('"optional": ["memory"]');
	});

	it.each([
		["a controller that v2 does not list", delegatedScope, { cpu: { cpus: "0" } }, /^system\.cpu\.pin: .*cpuset/],
		["no hierarchy at all", { v1: [], blockDevices: [] }, { pids: { limit: 1 } }, /^system\.pids\.max: .*mounted/],
		["a v1 folder of another user", v1Host(false), { cpu: { quota: 1000 } }, /^system\.cpu\.number: .*EACCES/],
		["processors that are not there", systemdRoot, { cpu: { cpus: "6-9" } }, /processors 8-9 are not/],
	] as const)("refuses %s", (_what, facts, resources, message) => {
		expect(fails(facts, resources).message).toMatch(message);
	});

	it("goes without what the policy lets go, and says so", () => {
		const resources = { memory: { limit: 1000 }, pids: { limit: 5 } };
		const steps = cgroupSteps(request(userSession, resources, { optional: ["memory", "pids"] }));
		expect(steps.missing.map(({ control }) => control)).toEqual(["memory", "pids"]);
		expect(steps.host).toEqual([]);
	});

	it("does not let go one control for another", () => {
		expect(fails(userSession, { memory: { limit: 1000 } }, { optional: ["pids", "swap"] }).message).toContain("memory");
	});

	it("keeps the memory limit where only swap cannot be limited", () => {
		const facts = v1Host(true, ["memory"]);
		const noSwap = { ...facts, v1: facts.v1.map((one) => ({ ...one, swapLimit: false })) };
		expect(fails(noSwap, { memory: { limit: 1000 } }).message).toMatch(/^system\.memory\.swap: /);
		const steps = cgroupSteps(request(noSwap, { memory: { limit: 1000 } }, { optional: ["swap"] }));
		expect(steps.missing.map(({ control }) => control)).toEqual(["swap"]);
		expect(written(steps)).toEqual(["memory.limit_in_bytes = 1000", "memory.swappiness = 0"]);
		const noSwapHost = cgroupSteps(request({ ...noSwap, swapOn: false }, { memory: { limit: 1000 } }));
		expect(noSwapHost.missing).toEqual([]);
	});
});
