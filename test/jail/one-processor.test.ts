import { describe, expect, it } from "vitest";
import { removeGroup } from "../../src/cgroup/files.ts";
import { loadAddon } from "../../src/executor/addon.ts";
import { cpuNumbers, groupsOf, OneProcessor } from "../../src/jail/one-processor.ts";
import { cstring } from "../../src/plan/steps.ts";
import type { Step } from "../../src/plan/types.ts";

describe("cpuNumbers", () => {
	it.each([
		["0", [0]],
		["0-2,5", [0, 1, 2, 5]],
		["3,7-8", [3, 7, 8]],
		["", []],
		["x", []],
		["4-2", []],
	])("reads %j", (list, wanted) => {
		expect(cpuNumbers(list)).toEqual(wanted);
	});
});

describe("groupsOf", () => {
	it("finds the groups that a plan removes, and no other file", () => {
		const groups = ["/sys/fs/cgroup/pids/a", "/sys/fs/cgroup/memory/b"];
		const remove = (path: string) => removeGroup({ slot: "group", path, forAccountOnly: false });
		const file: Step = { label: "remove a file", call: "unlinkat", args: [-100, cstring("/x"), 0] };
		const cleanup = [...groups.map(remove), file];
		expect(groupsOf({ cleanup })).toEqual(groups);
		expect(groupsOf({ cleanup: [] })).toEqual([]);
	});
});

describe("OneProcessor", () => {
	it("does without where there is no group to find tasks by", () => {
		expect(OneProcessor.of([], 0)).toBeUndefined();
		expect(OneProcessor.of(["/nowhere/group"], 0)).toBeUndefined();
	});
});

describe("setAffinity", () => {
	const addon = loadAddon();
	const numbers = (...all: readonly number[]) => Int32Array.from(all);

	it("passes over tasks that are gone", () => {
		expect(addon.setAffinity(numbers(0x3fff_ffff), numbers(0))).toBe(0);
		expect(addon.setAffinity(numbers(), numbers(0))).toBe(0);
	});

	it("throws where a task may not be set, or an argument is none", () => {
		// No processor at all; the caller itself by 0.
		expect(() => addon.setAffinity(numbers(process.pid), numbers())).toThrowError(/sched_setaffinity/);
		expect(() => addon.setAffinity(numbers(process.pid), numbers(1023))).toThrowError(/sched_setaffinity/);
		expect(() => addon.setAffinity(numbers(0), numbers(0))).toThrowError(/setAffinity/);
		expect(() => addon.setAffinity(numbers(1), numbers(-1))).toThrowError(/setAffinity/);
		expect(() => addon.setAffinity(numbers(1), numbers(100_000))).toThrowError(/setAffinity/);
		expect(() => addon.setAffinity([1] as never, numbers(0))).toThrowError(/setAffinity/);
	});
});
