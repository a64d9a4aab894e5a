import { describe, expect, it } from "vitest";
import type { LinuxSeccomp } from "../../src/oci/types.ts";
import type { Step } from "../../src/plan/types.ts";
import {
	confinementSteps,
	entryOf,
	entryOfWaiting,
	mayWaitFiltered,
	waitingOf,
	workloadOf,
} from "../../src/plan/workload.ts";
import { policyOf } from "../helpers/policy.ts";
import { planned } from "./fixtures.ts";

const { spec, facts } = planned(policyOf());
const rlimit = (name: string, value: number) => ({ type: `RLIMIT_${name}`, soft: value, hard: value });
const had = { rlimits: [rlimit("STACK", 100), rlimit("CORE", 0)], cpuLimitMs: 5000 };
const process = { ...spec.process, rlimits: had.rlimits };
const labels = (steps: readonly Step[]) => steps.map(({ label }) => label);

describe("a process that waits", () => {
	const waiting = waitingOf({ ...spec, process }, facts, had.cpuLimitMs);
	const filtered = confinementSteps(spec, facts, [], true);
	const unfiltered = confinementSteps(spec, facts, [], false);

	it("goes, with its program, through every step of a process that does not wait, in the same order but for streams", () => {
		const entry = entryOfWaiting(process, had, { cpuLimitMs: had.cpuLimitMs });
		const together = [
			...(waiting?.entry ?? []),
			...unfiltered.child,
			...entry.child,
			...unfiltered.last,
			...entry.exec,
		];
		const whole = entryOf({ ...spec, process }, facts, { cpuLimitMs: had.cpuLimitMs });
		const alone = [...whole.child, ...unfiltered.child, ...unfiltered.last, ...whole.exec];
		const isLate = (label: string) => label.startsWith("use std") || label === `go to ${process.cwd}`;
		expect(labels(together).filter((label) => !isLate(label))).toEqual(labels(alone).filter((label) => !isLate(label)));
		expect(new Set(labels(together))).toEqual(new Set(labels(alone)));
	});

	it("is filtered before it waits, or just before exec; nothing is left out", () => {
		const isFilter = ({ call }: Step) => call === "seccomp";
		expect(filtered.child.filter(isFilter).length).toBeGreaterThan(0);
		expect(filtered.last.filter(isFilter)).toEqual([]);
		expect(unfiltered.child.filter(isFilter)).toEqual([]);
		expect(labels([...filtered.child, ...filtered.last]).toSorted()).toEqual(
			labels([...unfiltered.child, ...unfiltered.last]).toSorted(),
		);
		expect(unfiltered.last.at(-1)?.call).toBe("seccomp");
		expect(filtered.child.at(-1)?.call).toBe("seccomp");
	});

	it("gets the limits that differ, and enters its folder again", () => {
		const asked = { ...process, rlimits: [rlimit("STACK", 50), rlimit("CORE", 0)] };
		const { child } = entryOfWaiting(asked, had, { cpuLimitMs: 1000 });
		expect(labels(child).filter((label) => label.startsWith("limit"))).toEqual(["limit stack to 50", "limit cpu to 2"]);
		expect(labels(entryOfWaiting(process, had, { cpuLimitMs: 5000 }).child)).toEqual([
			"use stdin",
			"use stdout",
			"use stderr",
			`go to ${process.cwd}`,
		]);
	});

	it("is not, where its limit of open files leaves no room for its program's", () => {
		const few = { ...spec, process: { ...process, rlimits: [rlimit("NOFILE", 15)] } };
		expect(waitingOf(few, facts, undefined)).toBeUndefined();
		expect(waiting).toBeDefined();
	});
});

describe("waiting with the filters on", () => {
	const without = (name: string): LinuxSeccomp => ({
		defaultAction: "SCMP_ACT_ALLOW",
		syscalls: [{ names: [name], action: "SCMP_ACT_ERRNO" }],
	});
	const withProfile = (seccomp: LinuxSeccomp) => ({ linux: { ...spec.linux, seccomp } });

	it.each(["default", "strict"] as const)("is possible with the profile %s", (syscalls) => {
		expect(mayWaitFiltered(planned(policyOf({ syscalls })).spec)).toBe(true);
	});

	it("is not where a call is refused that is still to be made; every step of a program is among those", () => {
		const calls = [
			...entryOfWaiting({ ...process, rlimits: [rlimit("AS", 1)] }, had, {}).child,
			...confinementSteps(spec, facts, [], true).last,
			...entryOfWaiting(process, had, {}).exec,
		].map(({ call }) => call);
		for (const call of [...new Set([...calls, "recvmsg", "prctl"])]) {
			expect([call, mayWaitFiltered(withProfile(without(call)))]).toEqual([call, false]);
		}
		expect(mayWaitFiltered(withProfile(without("reboot")))).toBe(true);
	});
});

describe("a process that does not wait", () => {
	it("is filtered last before exec", () => {
		const { child } = workloadOf({ ...spec, process: { ...spec.process, args: ["/bin/true"] } }, facts);
		expect(child.slice(-2).map(({ call }) => call)).toEqual(["seccomp", "execve"]);
	});
});
