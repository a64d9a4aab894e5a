import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { newGroupId } from "../../src/cgroup/id.ts";
import { encodeHalves, encodePlan } from "../../src/executor/encode.ts";
import type { EndReport } from "../../src/executor/frames.ts";
import type { JailProcess } from "../../src/executor/jail-process.ts";
import { NO_SLOT } from "../../src/executor/wire.ts";
import type { CgroupFacts } from "../../src/host/types.ts";
import { placesOf } from "../../src/jail/places.ts";
import { prepare } from "../../src/jail/prepare.ts";
import { type Ahead, aheadOf, Spare } from "../../src/jail/spare.ts";
import type { Plan } from "../../src/plan/types.ts";
import type { Policy } from "../../src/policy/types.ts";
import { delegatedScope, hybrid, systemdRoot, v1Host } from "../cgroup/fixtures.ts";
import { network, policyOf } from "../helpers/policy.ts";
import { factsFor } from "../oci/fixtures.ts";

const OWNER = { pid: 77, startTime: "1234", namespace: "000000" };
const FACTS = factsFor(policyOf());
const HOST = {
	...FACTS,
	cgroup: {
		v1: [{ name: "memory", path: "/sys/fs/cgroup/memory", writable: true, swapLimit: true } as const],
		swapOn: false,
		blockDevices: [],
	},
};

function planned(policy: Policy = policyOf(), cgroup: CgroupFacts = HOST.cgroup) {
	const id = newGroupId(OWNER);
	const { plan } = prepare(policy, { ...HOST, cgroup }, ["true"], false, id);
	const jail = encodePlan(plan, "x86_64");
	return { plan, jail, ahead: aheadOf(plan, jail, `vmjail-${id}`, "x86_64") as Ahead };
}

describe("the two halves of a jail", () => {
	const sectionsOf = (bytes: Uint8Array) => {
		const view = new DataView(bytes.buffer, bytes.byteOffset);
		return Array.from({ length: 7 }, (_, i) => view.getUint32(36 + i * 8, true));
	};
	const unfinished = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset).getUint16(150, true);

	it("are all of it, in the slots and reports of the whole; only the first is launched as unfinished", () => {
		const { plan, jail } = planned();
		const { ahead, rest, firstStep } = encodeHalves(plan, jail, "x86_64");
		const [before, parent, child, account, cleanup] = sectionsOf(jail.bytes);
		expect(sectionsOf(ahead.bytes)).toEqual([before, parent, firstStep, account, cleanup, 0, 0]);
		expect(sectionsOf(rest.bytes)).toEqual([0, 0, (child ?? 0) - firstStep, 0, 0, 0, 0]);
		expect(firstStep).toBe(plan.ahead);
		expect([ahead.reports, ahead.slots, rest.slots]).toEqual([jail.reports, jail.slots, jail.slots]);
		expect([jail, ahead, rest].map(({ bytes }) => unfinished(bytes))).toEqual([0, 1, 0]);
	});

	it("are alike for any two runs of a policy, and for no two that make jails of different kinds", () => {
		const like = planned().ahead.likeness;
		expect(planned().ahead.likeness).toEqual(like);
		// What is mounted is not done ahead.
		expect(planned(policyOf({ file: { maskedPaths: ["/srv"] } })).ahead.likeness).toEqual(like);
		const others: Policy[] = [
			policyOf({ system: { hostname: "other" } }),
			policyOf({ system: { memory: { maxBytes: 1 << 20, swapBytes: 0 } } }),
			policyOf({ system: { capabilities: ["CAP_KILL"] } }),
			policyOf({ network: network("host") }),
		];
		for (const other of others) expect(planned(other).ahead.likeness).not.toEqual(like);
	});

	it("carry the name of each jail's own group", () => {
		const { ahead } = planned();
		const id = newGroupId(OWNER);
		const bytes = Buffer.from(ahead.named(id).bytes);
		expect(bytes.includes(`/sys/fs/cgroup/memory/vmjail-${id}\0`)).toBe(true);
		expect(Buffer.from(ahead.likeness).includes("vmjail-")).toBe(false);
	});

	it.each([
		["v1", v1Host(), false],
		["v2 below systemd's root", systemdRoot, true],
		["v2 in a scope of the user's own", delegatedScope, true],
		["hybrid", hybrid, false],
	])("are in control groups of their own from the start: %s", (_, cgroup, born) => {
		const limits = policyOf({ system: { memory: { maxBytes: 1 << 28, swapBytes: 0 }, pids: { max: 64 } } });
		const { ahead, jail, plan } = planned(limits, cgroup);
		const id = newGroupId(OWNER);
		const bytes = ahead.named(id).bytes;
		const made = plan.before.filter(({ call, label }) => call === "mkdirat" && label.startsWith("make the group"));
		expect(made.length).toBeGreaterThan(0);
		expect(placesOf(`vmjail-${id}`, bytes)).toHaveLength(placesOf("vmjail-77-", jail.bytes).length);
		expect(placesOf("vmjail-", ahead.halves.rest.bytes)).toEqual([]);
		// CLONE_INTO_CGROUP
		const slot = new DataView(bytes.buffer, bytes.byteOffset).getUint16(88, true);
		expect(slot).toBe(born ? jail.slots.get("cgroup.v2") : NO_SLOT);
	});

	it("are none where nothing can be done ahead, or where the jail lies below another", () => {
		const { plan } = planned();
		const jail = encodePlan(plan, "x86_64");
		const of = (other: Plan) => aheadOf(other, jail, "vmjail-x", "x86_64");
		const { ahead: _, ...none } = plan;
		expect(of(none)).toBeUndefined();
		expect(of({ ...plan, parentJail: { id: 1, slot: 0 } })).toBeUndefined();
	});
});

describe("the spare", () => {
	beforeEach(() => void vi.useFakeTimers());
	afterEach(() => void vi.useRealTimers());

	/** A host whose jails end when they are told to. */
	function fake() {
		const jails: { closed: boolean; told: string[]; finishEnd: (end: EndReport | undefined) => void }[] = [];
		const used: unknown[] = [];
		const seen = { swept: 0, alive: true, failing: "" };
		const tell = (jail: { told: string[] }, what: string) => {
			if (seen.failing === what) throw Object.assign(new Error(what), { code: "EMFILE" });
			jail.told.push(what);
		};
		const launchAhead = (): JailProcess => {
			let finishEnd: (report: EndReport | undefined) => void = () => {};
			const end = new Promise<EndReport | undefined>((resolve) => {
				finishEnd = resolve;
			});
			const jail = {
				closed: false,
				told: [] as string[],
				end,
				finishEnd,
				provide: () => tell(jail, "provide"),
				finish: () => tell(jail, "finish"),
				close: () => void Object.assign(jail, { closed: true }),
			};
			jails.push(jail);
			return jail as unknown as JailProcess;
		};
		const spare = new Spare({
			zygote: {
				get alive() {
					return seen.alive;
				},
				launchAhead,
				use: (jail) => void used.push(jail),
			},
			newGroupId: () => newGroupId(OWNER),
			sweepOwn: async () => void seen.swept++,
		});
		const endOf = (at: number, report: EndReport | undefined) => jails[at]?.finishEnd(report);
		return { spare, jails, used, seen, endOf };
	}

	const ENDED: EndReport = { status: 9, cleanupFailures: 0, reports: new Map() };
	const { ahead } = planned();
	const other = planned(policyOf({ system: { hostname: "other" } })).ahead;
	const twice = (spare: Spare, kind = ahead) => {
		spare.soon(kind);
		spare.soon(kind);
		vi.advanceTimersByTime(0);
	};

	it("is made when the caller has gone on, and is used once", () => {
		const { spare, jails, used } = fake();
		spare.soon(ahead);
		expect(spare.begin(ahead)).toBeUndefined();
		expect(jails).toHaveLength(0);
		vi.advanceTimersByTime(0);
		expect(jails).toHaveLength(1);
		expect(spare.begin(ahead)?.process).toBe(jails[0]);
		expect(jails[0]?.told).toEqual(["provide", "finish"]);
		expect(used).toEqual([jails[0]]);
		expect(spare.begin(ahead)).toBeUndefined();
	});

	it("is one at most, whatever runs end meanwhile", () => {
		const { spare, jails } = fake();
		for (let i = 0; i < 5; i++) twice(spare);
		expect(jails).toHaveLength(1);
	});

	it("stays where kinds take turns, and is not given to another kind", () => {
		const { spare, jails } = fake();
		for (let i = 0; i < 4; i++) {
			for (const kind of [ahead, other]) {
				spare.soon(kind);
				vi.advanceTimersByTime(0);
			}
		}
		expect(jails).toHaveLength(1);
		expect(spare.begin(other)).toBeUndefined();
		expect(spare.begin(planned().ahead)?.process).toBe(jails[0]);
	});

	it("gives way to a kind that comes twice in a row", () => {
		const { spare, jails } = fake();
		twice(spare);
		twice(spare, other);
		expect(jails.map(({ closed }) => closed)).toEqual([true, false]);
		expect(spare.begin(other)?.process).toBe(jails[1]);
	});

	it("that was to be made is not, once it is given up", () => {
		const { spare, jails } = fake();
		spare.soon(ahead);
		spare.soon(ahead);
		spare.discard();
		vi.advanceTimersByTime(0);
		expect(jails).toHaveLength(0);
	});

	it("is given up after half a minute", () => {
		const { spare, jails } = fake();
		twice(spare);
		vi.advanceTimersByTime(29_999);
		expect(jails[0]?.closed).toBe(false);
		vi.advanceTimersByTime(1);
		expect(jails[0]?.closed).toBe(true);
		expect(spare.begin(ahead)).toBeUndefined();
	});

	it("that dies is not given to anybody, and there is no other for a while; groups that nobody removes are swept", async () => {
		const { spare, jails, seen, endOf } = fake();
		twice(spare);
		endOf(0, ENDED);
		await vi.advanceTimersByTimeAsync(0);
		expect([spare.isReady, spare.begin(ahead), seen.swept]).toEqual([false, undefined, 0]);
		twice(spare);
		expect(jails).toHaveLength(1);
		await vi.advanceTimersByTimeAsync(30_000);
		twice(spare);
		expect(jails).toHaveLength(2);
		endOf(1, undefined);
		await vi.advanceTimersByTimeAsync(0);
		expect(seen.swept).toBe(1);
	});

	it("that cannot be had is nobody's error: not when it is made, and not when a run begins with it", () => {
		const { spare, jails, seen } = fake();
		seen.failing = "provide";
		twice(spare);
		expect([spare.isReady, jails[0]?.closed]).toEqual([false, true]);
		twice(spare);
		expect(jails).toHaveLength(1);
		vi.advanceTimersByTime(30_000);
		seen.failing = "finish";
		twice(spare);
		expect(spare.isReady).toBe(true);
		expect([spare.begin(ahead), spare.isReady, jails[1]?.closed]).toEqual([undefined, false, true]);
	});

	it("is not made by a dead executor", () => {
		const { spare, jails, seen } = fake();
		seen.alive = false;
		twice(spare);
		expect(jails).toHaveLength(0);
	});
});
