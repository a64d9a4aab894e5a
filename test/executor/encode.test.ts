import { constants } from "node:os";
import { describe, expect, it } from "vitest";
import { encodePlan, encodeWorkload } from "../../src/executor/encode.ts";
import { errnoNumber } from "../../src/executor/errno.ts";
import { MAX_PROGRAM, NO_REPORT, NO_SLOT } from "../../src/executor/wire.ts";
import { cstring, pathWithPid, space, stringArray, struct } from "../../src/plan/steps.ts";
import { syscallNumber } from "../../src/plan/syscalls.ts";
import type { Plan, Step, Workload } from "../../src/plan/types.ts";
import { policyOf } from "../helpers/policy.ts";
import { planned } from "../plan/fixtures.ts";
import { decodeProgram } from "./decoder.ts";

const EMPTY: Plan = { cloneFlags: 0n, before: [], parent: [], child: [], account: [], cleanup: [], keep: [] };
const [NUMBER, BLOCK, SLOT, PID] = [0, 1, 2, 3];
const [TO_BLOCK, TO_SLOT, TO_PID, TO_PID_TEXT] = [0, 1, 2, 3];

function encoded(plan: Partial<Plan>) {
	const program = encodePlan({ ...EMPTY, ...plan }, "x86_64");
	return { ...program, decoded: decodeProgram(program.bytes) };
}

/** The only step of a plan with that step. */
function single(step: Step) {
	const program = encoded({ child: [step] });
	const [decoded] = program.decoded.sections[2] ?? [];
	if (decoded === undefined) throw new Error("no step");
	return { ...program, step: decoded };
}

const bytesAt = (bytes: Uint8Array, at: number | bigint, length: number): Uint8Array =>
	bytes.slice(Number(at), Number(at) + length);

describe("encodePlan", () => {
	it("writes the header", () => {
		const program = encoded({
			cloneFlags: 0x7c02_0000n,
			before: [{ label: "a", call: "openat", args: [], save: "group" }],
			parent: [{ label: "b", call: "openat", args: [], save: "usage" }],
			keep: ["usage"],
			intoCgroup: "group",
			cpuUsage: { slot: "usage", format: "cpu.stat" },
		});
		expect(program.decoded).toMatchObject({
			magic: 0x4c4a4d56,
			version: 3,
			size: program.bytes.length,
			cloneFlags: 0x7c02_0000n,
			cgroupSlot: 0,
			cpuUsage: { slot: 1, format: 2 },
			firstSlot: 0,
			keep: [1],
			wallLimitNs: 0n,
			cpuLimitNs: 0n,
		});
		expect(program.bytes.length % 8).toBe(0);
	});

	it("says so where there is no cgroup", () => {
		expect(encoded({}).decoded).toMatchObject({
			cgroupSlot: NO_SLOT,
			cpuUsage: { slot: NO_SLOT, format: 0 },
			keep: [],
		});
	});

	it("names the jail below whose user namespace this one is made, or none", () => {
		expect(encoded({}).decoded.parent).toEqual({ jail: 0, slot: NO_SLOT });
		expect(encoded({ parentJail: { id: 70000, slot: 3 } }).decoded.parent).toEqual({ jail: 70000, slot: 3 });
	});

	it("keeps the sections apart, in the executor's order", () => {
		const named = (error: string): readonly Step[] => [{ label: "x", call: "setsid", args: [], tolerate: [error] }];
		const { sections } = encoded({
			cleanup: named("EIO"),
			before: named("EPERM"),
			account: named("EINTR"),
			child: [...named("ESRCH"), ...named("ESRCH")],
			parent: named("ENOENT"),
		}).decoded;
		expect(sections.map((steps) => steps.map(({ tolerated }) => tolerated[0]))).toEqual([[1], [2], [3, 3], [4], [5]]);
	});

	it("writes numbers as the kernel reads them, with a sign, in 64 bits", () => {
		const { step } = single({ label: "x", call: "fchown", args: [0, -1, -100, 0xffff_ffff, 0x7fff_ffff_ffffn] });
		expect(step.call).toBe(93);
		expect(step.args.map(({ kind }) => kind)).toEqual([NUMBER, NUMBER, NUMBER, NUMBER, NUMBER]);
		expect(step.args.map(({ value }) => value)).toEqual([
			0n,
			0xffff_ffff_ffff_ffffn,
			0xffff_ffff_ffff_ff9cn,
			0xffff_ffffn,
			0x7fff_ffff_ffffn,
		]);
	});

	it("writes slots, process ids, flags, tolerated errors and reports", () => {
		const { decoded, reports } = encoded({
			before: [{ label: "o", call: "openat", args: [], save: "a" }],
			account: [
				{
					label: "r",
					call: "read",
					args: [{ slot: "a" }, space(8), 8],
					report: "memory.peak",
					tolerate: ["ENOENT", "EACCES"],
				},
				{ label: "k", call: "kill", args: [{ pid: true }, 9], retryBusy: true },
			],
		});
		const [read, kill] = decoded.sections[3] ?? [];
		expect(read?.args[0]).toMatchObject({ kind: SLOT, value: 0n });
		expect(read).toMatchObject({ report: 0, save: NO_SLOT, tolerated: [2, 13], flags: 0 });
		expect(kill?.args[0]).toMatchObject({ kind: PID, value: 0n });
		expect(kill).toMatchObject({ report: NO_REPORT, tolerated: [], flags: 1 });
		expect(decoded.sections[0]?.[0]).toMatchObject({ save: 0 });
		expect(reports).toEqual(["memory.peak"]);
	});

	it("lays each block down once, aligned, behind everything else", () => {
		const shared = cstring("shared");
		const program = encoded({
			child: [
				{ label: "a", call: "chdir", args: [shared] },
				{ label: "b", call: "chdir", args: [cstring("own")] },
				{ label: "c", call: "chdir", args: [shared] },
			],
		});
		const args = (program.decoded.sections[2] ?? []).map((step) => step.args[0]);
		expect(args.map((arg) => arg?.kind)).toEqual([BLOCK, BLOCK, BLOCK]);
		expect(args[0]).toEqual(args[2]);
		for (const arg of args) {
			expect(Number(arg?.value) % 8).toBe(0);
			expect(Number(arg?.value)).toBeGreaterThanOrEqual(program.decoded.blocks);
		}
		expect(bytesAt(program.bytes, args[0]?.value ?? 0, 7)).toEqual(new TextEncoder().encode("shared\0"));
		expect(args[1]?.length).toBe(4);
	});

	it("patches pointers, also those behind pointers, slots and process ids", () => {
		const argv = stringArray(["a", "bc"], "argv");
		const outer = struct("outer", [{ pointer: argv }, { slot: "later" }, { pid32: true }]);
		const { bytes, step, slots } = single({ label: "x", call: "execve", args: [outer, pathWithPid("/p/", "")] });
		const base = Number(step.args[0]?.value);
		const [pointer, slot, pid, first, second, text] = step.patches;
		expect(pointer).toMatchObject({ at: base, kind: TO_BLOCK });
		expect(slot).toEqual({ at: base + 8, kind: TO_SLOT, value: slots.get("later") });
		expect(pid).toEqual({ at: base + 12, kind: TO_PID, value: 0 });
		expect([first?.at, second?.at]).toEqual([pointer?.value, (pointer?.value ?? 0) + 8]);
		expect(bytesAt(bytes, second?.value ?? 0, 3)).toEqual(new TextEncoder().encode("bc\0"));
		expect(text).toEqual({ at: Number(step.args[1]?.value) + 3, kind: TO_PID_TEXT, value: "/".charCodeAt(0) });
	});

	it("numbers calls by architecture", () => {
		const plan = {
			...EMPTY,
			child: [
				{ label: "x", call: "openat2", args: [] },
				{ label: "y", call: "chdir", args: [] },
			],
		} as const;
		const calls = (["x86_64", "aarch64"] as const).map((arch) =>
			decodeProgram(encodePlan(plan, arch).bytes).sections[2]?.map(({ call }) => call),
		);
		expect(calls).toEqual([
			[437, 80],
			[437, 49],
		]);
	});

	it("gives the executor's own calls numbers beyond every system call", () => {
		for (const call of ["expect_equal", "expect_ack", "send_descriptor", "allow_program", "watch_exec"] as const) {
			expect(single({ label: "x", call, args: [] }).step.call).toBeGreaterThan(0xffff);
		}
	});
});

describe("a plan that cannot be written down", () => {
	const steps = (count: number, of: (i: number) => Partial<Step>): readonly Step[] =>
		Array.from({ length: count }, (_, i) => ({ label: "x", call: "setsid", args: [], ...of(i) }));

	it.each<[string, readonly Step[]]>([
		["has more slots than there are", steps(257, (i) => ({ save: `slot ${i}` }))],
		["has a call that the architecture lacks", [{ label: "x", call: "open", args: [] }]],
		["tolerates an error without a number", steps(1, () => ({ tolerate: ["EWHAT"] }))],
		["has more than six arguments", steps(1, () => ({ args: [1, 2, 3, 4, 5, 6, 7] }))],
		["tolerates more than four errors", steps(1, () => ({ tolerate: ["EPERM", "EIO", "EINTR", "EBADF", "ENOENT"] }))],
		[
			"has a step with more patches than are counted",
			steps(1, () => ({ args: [stringArray(Array(65536).fill("a"), "a")] })),
		],
		["is too large", steps(1, () => ({ args: [space(MAX_PROGRAM)] }))],
	])("%s", (_, child) => {
		expect(() => encodePlan({ ...EMPTY, child }, "aarch64")).toThrow(RangeError);
	});

	it("is one slot or patch beyond one that can", () => {
		expect(() => encoded({ child: steps(256, (i) => ({ save: `slot ${i}` })) })).not.toThrow();
		expect(() =>
			encoded({ child: steps(1, () => ({ args: [stringArray(Array(65535).fill("a"), "a")] })) }),
		).not.toThrow();
	});
});

describe("encodeWorkload", () => {
	const plan: Plan = {
		...EMPTY,
		child: [
			{ label: "a", call: "openat", args: [], save: "scratch" },
			{ label: "b", call: "openat", args: [], save: "ruleset" },
		],
		keep: ["ruleset"],
		cpuUsage: { slot: "ruleset", format: "nanoseconds" },
	};
	const jail = encodePlan(plan, "x86_64");
	const workload: Workload = {
		cloneFlags: 0n,
		before: [{ label: "m", call: "openat", args: [], save: "master" }],
		parent: [],
		child: [
			{ label: "r", call: "landlock_restrict_self", args: [{ slot: "ruleset" }, 0] },
			{ label: "i", call: "dup3", args: [{ slot: "stdin" }, 0, 0] },
			{ label: "e", call: "dup3", args: [{ slot: "stderr" }, 2, 0] },
		],
		wallLimitMs: 1500,
		cpuLimitMs: 0.0000001,
	};
	const decoded = decodeProgram(encodeWorkload(workload, jail, plan, "x86_64").bytes);

	it("uses the slots that the jail keeps, then puts the standard streams behind them, then its own", () => {
		expect(decoded.firstSlot).toBe(2);
		expect(decoded.sections[2]?.map(({ args }) => args[0]?.value)).toEqual([1n, 2n, 4n]);
		expect(decoded.sections[0]?.[0]?.save).toBe(5);
		expect(decoded.cpuUsage).toEqual({ slot: 1, format: 1 });
	});

	it("finds further descriptors right behind the standard streams", () => {
		const more = {
			...workload,
			descriptors: ["extra"],
			parent: [{ label: "x", call: "fchdir", args: [{ slot: "extra" }] }],
		};
		const [step] = decodeProgram(encodeWorkload(more as Workload, jail, plan, "x86_64").bytes).sections[1] ?? [];
		expect(step?.args[0]?.value).toBe(5n);
	});

	it("writes limits in nanoseconds, never as none", () => {
		expect([decoded.wallLimitNs, decoded.cpuLimitNs]).toEqual([1_500_000_000n, 1n]);
	});

	it("reads real plans in full", () => {
		const { plan: real, workload: program } = planned(policyOf());
		const first = encodePlan(real, "x86_64");
		const read = decodeProgram(first.bytes);
		expect(read.sections.map((steps) => steps.length)).toEqual([0, real.parent.length, real.child.length, 0, 0]);
		expect(read.sections[2]?.map(({ call }) => call)).toEqual(
			real.child.map(({ call }) => syscallNumber("x86_64", call) ?? expect.any(Number)),
		);
		const second = decodeProgram(encodeWorkload(program, first, real, "x86_64").bytes);
		expect(second.firstSlot).toBe(Math.max(...read.keep) + 1);
	});
});

describe("errnoNumber", () => {
	it("is the kernel's number for every name that plans use", () => {
		const { plan, workload } = planned(policyOf(), { command: ["sh"] });
		const names = [...plan.child, ...workload.child].flatMap(({ tolerate = [] }) => tolerate);
		const all = new Set([...names, "EBUSY", "ESRCH", "ENOTEMPTY", "EOPNOTSUPP", "ELOOP", "ENOSYS", "EROFS"]);
		expect(all.size).toBeGreaterThan(9);
		for (const name of all) {
			expect([name, errnoNumber(name)]).toEqual([name, constants.errno[name as keyof typeof constants.errno]]);
		}
	});
});
