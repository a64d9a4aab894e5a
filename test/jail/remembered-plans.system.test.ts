import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { newGroupId } from "../../src/cgroup/id.ts";
import { encodeRun } from "../../src/jail/encoded.ts";
import { type Prepared, prepare } from "../../src/jail/prepare.ts";
import { RememberedPlans } from "../../src/jail/remembered.ts";
import type { Plan } from "../../src/plan/types.ts";
import type { Policy } from "../../src/policy/types.ts";
import { removeFolder } from "../helpers/folder.ts";
import { type PolicyParts, policyOf } from "../helpers/policy.ts";
import { factsFor } from "../oci/fixtures.ts";

/** A host with a memory group, so that the group's name is in the plan. */
const FACTS = factsFor(policyOf());
const HOST = {
	...FACTS,
	// Links of the caller's own are followed.
	caller: { ...FACTS.caller, uid: process.geteuid?.() ?? 0 },
	cgroup: {
		v1: [{ name: "memory", path: "/sys/fs/cgroup/memory", writable: true, swapLimit: true }],
		swapOn: false,
		blockDevices: [],
	},
};
const OWNER = { pid: 77, startTime: "1234", namespace: "000000" };
const LIMITED: PolicyParts = { system: { memory: { maxBytes: 1 << 28, swapBytes: 0 }, optional: ["swap"] } };

const at = { folder: "" };
beforeEach(() => {
	at.folder = mkdtempSync(join(tmpdir(), "remembered-test-"));
	mkdirSync(join(at.folder, "writable"));
});
afterEach(() => removeFolder(at.folder));

const writable = (): Policy => policyOf({ ...LIMITED, file: { writablePaths: [join(at.folder, "writable")] } });

const labelsOf = ({ before, parent, child, account, cleanup }: Plan) =>
	[before, parent, child, account, cleanup].map((steps) => steps.map(({ label }) => label));

/** What is sent to the executor; and that it is what would have been sent without anything remembered. */
function bytesOf(prepared: Prepared, policy: Policy, command: readonly string[], id: string, host = HOST) {
	const fresh = prepare(policy, host, command, false, id);
	const { jail, program } = encodeRun(fresh, {});
	expect(prepared.spec).toEqual(fresh.spec);
	expect(prepared.ready?.encoded.jail).toEqual(jail);
	expect(prepared.ready?.encoded.program).toEqual(program);
	expect(labelsOf(prepared.ready?.shown() ?? prepared.plan)).toEqual(labelsOf(fresh.plan));
	return { jail: jail.bytes, program: program.bytes };
}

describe("a policy that has been run before", () => {
	it("gets the same plan for its new group, without planning again", () => {
		const plans = new RememberedPlans();
		const [policy, ids] = [writable(), [newGroupId(OWNER), newGroupId(OWNER)] as const];
		const first = plans.prepare(policy, HOST, ["true"], ids[0]);
		const second = plans.prepare(writable(), HOST, ["true"], ids[1]);
		expect(second.plan).toBe(first.plan);
		const [one, other] = [bytesOf(first, policy, ["true"], ids[0]), bytesOf(second, policy, ["true"], ids[1])];
		expect(Buffer.from(one.jail).includes(ids[0]) && Buffer.from(other.jail).includes(ids[1])).toBe(true);
		expect(Buffer.from(other.jail).includes(ids[0])).toBe(false);
	});

	it("keeps the plan and plans the program anew for another command", () => {
		const plans = new RememberedPlans();
		const policy = writable();
		const { plan } = plans.prepare(policy, HOST, ["true"], newGroupId(OWNER));
		for (const command of [["echo", "a"], ["echo", "b"], ["echo", "b"], ["true"], ["echo", "x".repeat(10_000)]]) {
			const id = newGroupId(OWNER);
			const prepared = plans.prepare(policy, HOST, command, id);
			expect(prepared.plan).toBe(plan);
			bytesOf(prepared, policy, command, id);
		}
		expect(() => plans.prepare(policy, HOST, [], newGroupId(OWNER))).toThrow(
			expect.objectContaining({ code: "USAGE" }),
		);
		expect(() => plans.prepare(policy, HOST, ["a\0b"], newGroupId(OWNER))).toThrow(
			expect.objectContaining({ code: "USAGE" }),
		);
	});

	it("a text that looks like a group's name stays as it is", () => {
		const plans = new RememberedPlans();
		const policy = writable();
		const ids = [newGroupId(OWNER), newGroupId(OWNER), newGroupId(OWNER)] as const;
		plans.prepare(policy, HOST, ["true"], ids[0]);
		const command = ["echo", `vmjail-${ids[0]}`];
		bytesOf(plans.prepare(policy, HOST, command, ids[1]), policy, command, ids[1]);
		bytesOf(plans.prepare(policy, HOST, command, ids[2]), policy, command, ids[2]);
	});
});

describe("a plan is made anew", () => {
	const changed = (change: () => { policy?: Policy; host?: typeof HOST }, policy = writable()) => {
		const plans = new RememberedPlans();
		const { plan } = plans.prepare(policy, HOST, ["true"], newGroupId(OWNER));
		const id = newGroupId(OWNER);
		const { policy: now = policy, host = HOST } = change();
		const prepared = plans.prepare(now, host, ["true"], id);
		expect(prepared.plan).not.toBe(plan);
		return bytesOf(prepared, now, ["true"], id, host);
	};

	it("where a path has become a link", () => {
		const { jail } = changed(() => {
			rmSync(join(at.folder, "writable"), { recursive: true });
			mkdirSync(join(at.folder, "elsewhere"));
			symlinkSync("elsewhere", join(at.folder, "writable"));
			return {};
		});
		expect(Buffer.from(jail).includes("elsewhere")).toBe(true);
	});

	it("where a path is gone: an error, as for a first run", () => {
		expect(() =>
			changed(() => {
				rmSync(join(at.folder, "writable"), { recursive: true });
				return {};
			}),
		).toThrow(expect.objectContaining({ code: "PATH_INVALID" }));
	});

	it("where the policy object has been changed in its place", () => {
		const policy = writable();
		const { jail } = changed(() => {
			(policy.system as { hostname: string }).hostname = "changed";
			return {};
		}, policy);
		expect(Buffer.from(jail).includes("changed")).toBe(true);
	});

	it("where the host's facts are others", () => {
		changed(() => ({ host: { ...HOST, cpus: HOST.cpus + 1 } }));
	});

	it("where a variable that is passed on has changed, in the same environment", () => {
		const env: Record<string, string> = { PASSED: "before", OTHER: "a" };
		const host = { ...HOST, caller: { ...HOST.caller, env } };
		const policy = policyOf({ ...LIMITED, system: { ...LIMITED.system, env: { pass: ["PASSED", "UNSET"], set: {} } } });
		const plans = new RememberedPlans();
		const plan = () => {
			const id = newGroupId(OWNER);
			const prepared = plans.prepare(policy, host, ["true"], id);
			bytesOf(prepared, policy, ["true"], id, host);
			return prepared.plan;
		};
		const first = plan();
		env["OTHER"] = "b";
		expect(plan()).toBe(first);
		env["PASSED"] = "after";
		const second = plan();
		expect(second).not.toBe(first);
		env["UNSET"] = "now set";
		expect(plan()).not.toBe(second);
	});

	it("for limits that JSON has no number for", () => {
		const limited = (core: number) => policyOf({ ...LIMITED, system: { ...LIMITED.system, rlimits: { core } } });
		changed(() => ({ policy: limited(null as unknown as number) }), limited(Number.POSITIVE_INFINITY));
	});

	it("for a policy that was used too long ago, and only then", () => {
		const plans = new RememberedPlans();
		const named = (hostname: string) => policyOf({ ...LIMITED, system: { ...LIMITED.system, hostname } });
		const { plan } = plans.prepare(named("first"), HOST, ["true"], newGroupId(OWNER));
		expect(plans.prepare(named("first"), HOST, ["true"], newGroupId(OWNER)).plan).toBe(plan);
		for (let i = 0; i < 16; i++) plans.prepare(named(`other${i}`), HOST, ["true"], newGroupId(OWNER));
		const id = newGroupId(OWNER);
		const prepared = plans.prepare(named("first"), HOST, ["true"], id);
		expect(prepared.plan).not.toBe(plan);
		bytesOf(prepared, named("first"), ["true"], id);
	});
});
