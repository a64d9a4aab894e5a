import { describe, expect, it } from "vitest";
import { CLONE_NEW } from "../../../src/plan/constants.ts";
import { cstring } from "../../../src/plan/steps.ts";
import { jobPlan, jobWorkload } from "../../../src/runtime/supervise/plan.ts";
import { policyOf } from "../../helpers/policy.ts";
import { factsFor } from "../../oci/fixtures.ts";

const argv = ["/bin/prog", "arg with blanks"];
const alone = { belowGateway: false };
const hostFacts = () => factsFor(policyOf());

describe("jobPlan", () => {
	it("puts the runtime of a privileged caller into pid and mount namespaces, not into a user namespace", () => {
		const { cloneFlags, parent } = jobPlan({ argv }, hostFacts(), alone);
		expect(cloneFlags & (CLONE_NEW.pid | CLONE_NEW.mount)).toBe(CLONE_NEW.pid | CLONE_NEW.mount);
		expect(cloneFlags & (CLONE_NEW.user | CLONE_NEW.network)).toBe(0n);
		expect(parent).toEqual([]);
	});

	it("cuts propagation before it mounts anything", () => {
		const labels = jobPlan({ argv }, hostFacts(), alone).child.map(({ label }) => label);
		expect(labels.indexOf("make all mounts private")).toBeLessThan(labels.findIndex((one) => one.startsWith("mount ")));
	});

	it("carries out a stage in its order", () => {
		const steps = [
			{ op: "bind", from: "/a b", at: "/r" },
			{ op: "tmpfs", at: "/r/m" },
			{ op: "folder", at: "/r/m/f" },
			{ op: "file", at: "/r/m/g" },
			{ op: "restrict", at: "/r", flags: ["ro", "nosuid"] },
			{ op: "restrict", at: "/r/w", flags: [] },
		] as const;
		const labels = jobPlan({ argv, stage: { root: "/r", steps } }, hostFacts(), alone).child.map(({ label }) => label);
		const wanted = [
			"bind /a b to /r",
			"mount tmpfs on /r/m",
			"make /r/m/f",
			"make /r/m/g",
			"restrict /r to ro, nosuid",
		];
		expect(labels.filter((label) => wanted.includes(label))).toEqual(wanted);
		expect(labels.join()).not.toContain("/r/w");
	});

	it("maps the caller's one id to the one that the runtime wants", () => {
		const facts = hostFacts();
		const caller = { ...facts.caller, uid: 7, gid: 8, privileged: false };
		const plan = jobPlan({ argv, asIds: { uid: 0, gid: 0 } }, { ...facts, caller }, alone);
		expect(plan.cloneFlags & CLONE_NEW.user).toBe(CLONE_NEW.user);
		const written = plan.parent.flatMap(({ args }) =>
			args.flatMap((arg) => (typeof arg === "object" && "shown" in arg ? [arg.shown] : [])),
		);
		expect(written).toEqual(expect.arrayContaining(['"deny"', '"0 7 1\\n"', '"0 8 1\\n"']));
	});
});

describe("jobWorkload", () => {
	it("keeps capabilities across exec in a user namespace only, and executes last", () => {
		const labels = (workload: ReturnType<typeof jobWorkload>) => workload.child.map(({ label }) => label);
		const keeps = (all: readonly string[]) => all.some((label) => label.startsWith("keep capability"));
		const plain = labels(jobWorkload({ argv }, 0, {}));
		const asUser = labels(jobWorkload({ argv, asIds: { uid: 7, gid: 8 } }, 7, {}));
		expect([keeps(plain), keeps(asUser)]).toEqual([false, true]);
		expect([plain.at(-1), asUser.at(-1)]).toEqual(["execute /bin/prog", "execute /bin/prog"]);
	});

	it("passes descriptors on from 3, moved out of each other's way first, and closes the rest", () => {
		const workload = jobWorkload({ argv, passes: ["one", "two"] }, 0, {});
		expect(workload.descriptors).toEqual(["one", "two"]);
		const uses = workload.child.filter(({ args }) => args.some((arg) => JSON.stringify(arg).match(/"(one|two)"/)));
		expect(uses.map(({ call, args }) => [call, args[1]])).toEqual([
			["fcntl", 1030],
			["fcntl", 1030],
			["dup3", 3],
			["dup3", 4],
		]);
		expect(workload.child.find(({ call }) => call === "close_range")?.args[0]).toBe(5);
	});

	it("opens what it is not given, and passes it on like the rest", () => {
		const opens = [{ label: "open it", call: "openat", args: [-100, cstring("/file"), 0, 0], save: "two" }] as const;
		const workload = jobWorkload({ argv, passes: ["one", "two"], opens }, 0, {});
		expect(workload.descriptors).toEqual(["one"]);
		const labels = workload.child.map(({ label }) => label);
		expect(labels.indexOf("open it")).toBeLessThan(labels.indexOf("move one out of the way"));
		expect(labels).toEqual(expect.arrayContaining(["pass one", "pass two"]));
		expect(jobWorkload({ argv, passes: ["two"], opens }, 0, {}).descriptors).toBeUndefined();
	});

	it("does the job's own steps last, when nothing else is open", () => {
		const last = [{ label: "the last", call: "getpid", args: [] }] as const;
		const { child } = jobWorkload({ argv, last }, 0, {});
		expect(child.slice(-3).map(({ label }) => label)).toEqual([
			"close every other descriptor",
			"the last",
			"execute /bin/prog",
		]);
	});

	it("takes no program by a name that would have to be searched", () => {
		expect(() => jobWorkload({ argv: ["prog"] }, 0, {})).toThrow(TypeError);
	});
});
