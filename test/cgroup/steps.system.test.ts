import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmdirSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import { groupName, newGroupId, ownGroupOwner } from "../../src/cgroup/id.ts";
import { placeOf } from "../../src/cgroup/placement.ts";
import { type CgroupSteps, cgroupSteps } from "../../src/cgroup/steps.ts";
import { sweepStale } from "../../src/cgroup/sweep.ts";
import { readUsage } from "../../src/cgroup/usage.ts";
import { nodeFs } from "../../src/host/fs.ts";
import { probeHost } from "../../src/host/probe.ts";
import type { Resources } from "../../src/oci/types.ts";
import { requireOr } from "../helpers/requirement.ts";
import { closeAll, type Machine, run } from "./interpreter.ts";

const host = probeHost();
const facts = host.cgroup;
const MIB = 1024 * 1024;

function whyNot(): string | undefined {
	const lacking = (["memory", "cpu", "pids", "cpuset"] as const).find((one) => placeOf(one, facts).hierarchy !== "v1");
	if (lacking !== undefined)
		return `the ${lacking} controller of cgroup v1 is not this caller's: run as root on a v1 host`;
	return undefined;
}

/**
 * A shell that carries out the child's section (a "0" into each open `tasks`), says so, waits for a line on its standard
 * input and then becomes the script.
 */
async function waitingShell(script: string, tasks: readonly number[]): Promise<ChildProcess> {
	const attach = tasks.map((_, i) => `echo 0 >&${3 + i}; exec ${3 + i}>&-`).join("; ");
	const stdio = ["pipe", "pipe", "ignore", ...tasks] as const;
	const child = spawn("/bin/sh", ["-ec", `${attach}; echo in; read go; exec >/dev/null; set +e; ${script}`], {
		stdio: [...stdio],
	});
	if (child.stdout !== null) await once(child.stdout, "data");
	return child;
}

/** The descriptors that the child's steps write "0" to, in their order. */
function tasksOf(steps: CgroupSteps, machine: Machine): readonly number[] {
	return steps.child.map(({ args: [arg] }) =>
		typeof arg === "object" && "slot" in arg ? (machine.slots.get(arg.slot) ?? -1) : -1,
	);
}

describe.skipIf(requireOr(whyNot()))("control groups on this machine (v1)", () => {
	const undo: (() => void)[] = [];

	afterEach(() => {
		for (const one of undo.splice(0).reverse()) one();
	});

	async function prepared(
		resources: Resources,
		script: string,
	): Promise<{ steps: CgroupSteps; machine: Machine; child: ChildProcess; id: string }> {
		const id = newGroupId(ownGroupOwner());
		const steps = cgroupSteps({ resources, facts, optional: [], id, privileged: true });
		const machine: Machine = { slots: new Map(), reports: {}, pid: 0 };
		undo.push(() => closeAll(machine));
		undo.push(() => run(steps.cleanup, machine));
		run(steps.host, machine);
		const child = await waitingShell(script, tasksOf(steps, machine));
		undo.push(() => child.kill("SIGKILL"));
		return { steps, machine, child, id };
	}

	const fileOf = (controller: string, id: string, file: string): string => {
		const path = facts.v1.find(({ name }) => name === controller)?.path ?? "";
		return readFileSync(`${path}/${groupName(id)}/${file}`, "utf8").trim();
	};

	/** Waits for the end, then accounts and removes. */
	async function ended(jail: Awaited<ReturnType<typeof prepared>>): Promise<ReturnType<typeof readUsage>> {
		const { child, steps, machine, id } = jail;
		const exit = once(child, "exit");
		child.stdin?.end("go\n");
		await exit;
		run(steps.account, machine);
		run(steps.cleanup, machine);
		const left = facts.v1.filter(({ path }) => existsSync(`${path}/${groupName(id)}`));
		expect(left).toEqual([]);
		return readUsage(machine.reports);
	}

	it("writes every limit, and the process is in every group", async () => {
		const jail = await prepared(
			{
				memory: { limit: 64 * MIB, swap: 80 * MIB },
				cpu: { quota: 50_000, period: 200_000, cpus: "0" },
				pids: { limit: 7 },
			},
			"true",
		);
		expect(fileOf("memory", jail.id, "memory.limit_in_bytes")).toBe(`${64 * MIB}`);
		expect(fileOf("memory", jail.id, "memory.memsw.limit_in_bytes")).toBe(`${80 * MIB}`);
		expect(fileOf("cpu", jail.id, "cpu.cfs_quota_us")).toBe("50000");
		expect(fileOf("cpu", jail.id, "cpu.cfs_period_us")).toBe("200000");
		expect(fileOf("cpuset", jail.id, "cpuset.cpus")).toBe("0");
		expect(fileOf("pids", jail.id, "pids.max")).toBe("7");
		for (const name of ["memory", "cpu", "cpuset", "pids", "cpuacct"]) {
			expect([name, fileOf(name, jail.id, "cgroup.procs")]).toEqual([name, `${jail.child.pid}`]);
		}
		await ended(jail);
	});

	it("counts the time used, at the end and while the program runs", async () => {
		const jail = await prepared({}, "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done");
		expect(jail.steps.cpuUsage).toEqual({ slot: "cgroup.cpu", format: "nanoseconds" });
		const usage = await ended(jail);
		expect(usage.cpuTotalMs).toBeGreaterThan(1);
		expect((usage.cpuUserMs ?? 0) + (usage.cpuSystemMs ?? usage.cpuTotalMs ?? 0)).toBeCloseTo(usage.cpuTotalMs ?? 0, 6);
		expect(usage.memoryPeakBytes).toBeGreaterThan(0);
	});

	it("tells a kill for want of memory from another one", async () => {
		const hog = "exec dd if=/dev/zero of=/dev/null bs=200M count=1";
		const usage = await ended(await prepared({ memory: { limit: 16 * MIB, swap: 16 * MIB } }, hog));
		expect(usage.oomKills).toBeGreaterThan(0);
		expect(usage.memoryPeakBytes).toBeLessThanOrEqual(16 * MIB);
		const killed = await ended(await prepared({ memory: { limit: 16 * MIB, swap: 16 * MIB } }, "kill -KILL $$"));
		expect(killed.oomKills).toBe(0);
	});

	it("counts the forks that the limit refused, and none without a limit", async () => {
		const forks = "(sleep 0.1 & sleep 0.1 & sleep 0.1 & sleep 0.1 & wait)";
		const limited = await ended(await prepared({ pids: { limit: 3 } }, forks));
		expect(limited.pidsRefused).toBeGreaterThan(0);
		const free = await ended(await prepared({}, forks));
		expect(free.pidsRefused).toBe(0);
	});

	it("throttles whole block devices", async () => {
		const devices = facts.blockDevices.map(({ major, minor }) => ({ major, minor, rate: 50 * MIB }));
		expect(devices.length).toBeGreaterThan(0);
		const jail = await prepared(
			{ blockIO: { throttleReadBpsDevice: devices, throttleWriteBpsDevice: devices } },
			"true",
		);
		const lines = devices.map(({ major, minor, rate }) => `${major}:${minor} ${rate}`).join("\n");
		expect(fileOf("blkio", jail.id, "blkio.throttle.read_bps_device")).toBe(lines);
		expect(fileOf("blkio", jail.id, "blkio.throttle.write_bps_device")).toBe(lines);
		await ended(jail);
	});

	it("says which step failed", () => {
		const id = newGroupId(ownGroupOwner());
		const steps = cgroupSteps({ resources: { pids: { limit: 5 } }, facts, optional: [], id, privileged: true });
		const machine: Machine = { slots: new Map(), reports: {}, pid: 0 };
		undo.push(() => closeAll(machine));
		run(steps.host, machine);
		expect(() => run(steps.host, machine)).toThrow(/^make the group .*vmjail-.*: EEXIST/);
		run(steps.cleanup, machine);
	});

	it("sweeps the groups of a dead owner, and leaves those of a living one and foreign folders", () => {
		const folder = facts.v1.find(({ name }) => name === "pids")?.path ?? "";
		const owner = ownGroupOwner();
		const make = (name: string): string => {
			const path = `${folder}/${name}`;
			mkdirSync(path);
			undo.push(() => existsSync(path) && rmdirSync(path));
			return path;
		};
		const alive = make(groupName(newGroupId(owner)));
		const reused = make(groupName(newGroupId({ ...owner, startTime: "1" })));
		const gone = make(groupName(newGroupId({ ...owner, pid: 2 ** 22 + 1, startTime: "77" })));
		const foreign = make("vmjail-of-somebody-else");
		const only = { v1: facts.v1.filter(({ path }) => path === folder), blockDevices: [] };
		const at = (nowMs: number): readonly string[] =>
			sweepStale(only, { fs: nodeFs, removeFolder: (path) => rmdirSync(path), nowMs }).filter((path) =>
				[alive, reused, gone, foreign].includes(path),
			);
		expect(at(Date.now())).toEqual([]);
		expect([...at(Date.now() + 120_000)].sort()).toEqual([reused, gone].sort());
		expect([alive, foreign].every((path) => existsSync(path))).toBe(true);
	});
});
