import { describe, expect, it } from "vitest";
import { cgroupChecks, swapAccounting } from "../../src/cgroup/findings.ts";
import type { Examination, Finding } from "../../src/host/findings/types.ts";
import { kernelOf } from "../../src/host/probe.ts";
import type { CgroupFacts } from "../../src/host/types.ts";
import { fakeFs } from "../host/fake-fs.ts";
import { delegatedScope, systemdRoot, userSession, v1Host } from "./fixtures.ts";

const id = "1-2-0123456789abcdef";

function examination(cgroup: CgroupFacts, privileged: boolean): Examination {
	const caller = { uid: 0, gid: 0, groups: [], privileged, cwd: "/", env: {} };
	return {
		fs: fakeFs({}),
		facts: {
			arch: "x86_64",
			kernel: kernelOf("6.1"),
			caller,
			idMap: { uids: [], gids: [] },
			landlockAbi: 0,
			mac: { apparmor: false, selinux: false },
			cpus: 1,
			cgroup,
			paths: {},
		},
		run: () => Promise.reject(new Error("starts nothing")),
		find: () => undefined,
	};
}

async function findings(cgroup: CgroupFacts, privileged = true, errno?: string): Promise<readonly Finding[]> {
	const checks = cgroupChecks({ id, makeAndRemove: () => errno });
	return await Promise.all(checks.map((check) => check(examination(cgroup, privileged))));
}

const verdicts = (all: readonly Finding[]): string => all.map(({ name, ok }) => `${name.slice(8)}:${ok}`).join(" ");

describe("findings on control groups", () => {
	it("say which controllers there are", async () => {
		expect(verdicts(await findings(systemdRoot))).toBe("memory:yes cpu:yes cpuset:yes pids:yes io:yes");
		expect(verdicts(await findings(delegatedScope, false))).toBe("memory:yes cpu:yes cpuset:no pids:yes io:no");
		expect(verdicts(await findings(v1Host()))).toBe("memory:yes cpu:yes cpuset:yes pids:yes io:partly");
	});

	it("make a group where they say that one can be made", async () => {
		const made: string[] = [];
		const makeAndRemove = (path: string): undefined => {
			made.push(path);
		};
		for (const check of cgroupChecks({ id, makeAndRemove })) await check(examination(systemdRoot, true));
		expect(new Set(made)).toEqual(new Set([`/sys/fs/cgroup/vmjail-${id}`]));
	});

	it("believe the kernel rather than the facts", async () => {
		const all = await findings(systemdRoot, true, "ENOSPC");
		expect(all.every(({ ok, detail }) => ok === "no" && detail.includes("ENOSPC"))).toBe(true);
	});

	it.each([
		["a user on v2", userSession, false, "systemd-run --user --scope -p Delegate=yes"],
		["a user on v1", v1Host(false), false, "as root (cgroup v1"],
		["root in a container", v1Host(false), true, "docker run"],
	])("advise %s", async (_who, facts, privileged, words) => {
		const [first] = await findings(facts, privileged);
		expect(first?.fix).toContain(words);
	});

	it.each([
		["a host without swap", delegatedScope, "yes"],
		["swap that is counted", systemdRoot, "yes"],
		["swap and no groups", { v1: [], blockDevices: [], swapOn: true }, "no"],
		[
			"swap that is not counted",
			{ v1: [{ name: "memory", path: "/m", writable: true, swapLimit: false }], blockDevices: [], swapOn: true },
			"no",
		],
	] as const)("judge %s", async (_what, facts, ok) => {
		expect((await swapAccounting(examination(facts, true))).ok).toBe(ok);
	});
});
