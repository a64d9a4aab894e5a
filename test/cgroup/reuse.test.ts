import { describe, expect, it } from "vitest";
import { type ReusableGroups, reusableGroups } from "../../src/cgroup/reuse.ts";
import { encodePlan } from "../../src/executor/encode.ts";
import type { CgroupFacts } from "../../src/host/types.ts";
import type { Resources } from "../../src/oci/types.ts";
import type { Arg, Step } from "../../src/plan/types.ts";
import { delegatedScope, hybrid, systemdRoot, v1Host } from "./fixtures.ts";

const MIB = 1024 * 1024;
const RESOURCES: Resources = { memory: { limit: 64 * MIB, swap: 64 * MIB }, pids: { limit: 32 } };

function groups(facts: CgroupFacts, resources: Resources = RESOURCES): ReusableGroups {
	return reusableGroups({ facts, resources, id: "100-200-0123456789abcdef", optional: [], privileged: true });
}

function shown(arg: Arg): string {
	if (typeof arg !== "object") return `${arg}`;
	if ("shown" in arg) return arg.shown;
	return "slot" in arg ? `[${arg.slot}]` : "<pid>";
}

const lines = (steps: readonly Step[]): readonly string[] =>
	steps.map(({ call, args, save, tolerate = [] }) =>
		[`${call}(${args.map(shown).join(", ")})`, ...(save === undefined ? [] : [`→ [${save}]`]), ...tolerate].join(" "),
	);

function golden({ jail, renew, parent, child, account, ...rest }: ReusableGroups): string {
	const { host, cleanup, ...more } = jail;
	const sections = Object.entries({
		"jail: host": host,
		"jail: parent": more.parent,
		"jail: child": more.child,
		"jail: account": more.account,
		"jail: cleanup": cleanup,
		renew,
		parent,
		child,
		account,
	});
	const text = sections.map(([name, steps]) => [`${name}:`, ...lines(steps)].join("\n  "));
	return `${text.join("\n")}\nrest: ${JSON.stringify({ into: more.intoCgroup, ...rest })}\n`;
}

const HOSTS = [
	["v1", v1Host()],
	["v2-root", systemdRoot],
	["v2-delegated", delegatedScope],
	["hybrid", hybrid],
] as const;

describe("groups of a jail that is used again", () => {
	it.each(HOSTS)("%s is the golden one", async (name, facts) => {
		await expect(golden(groups(facts))).toMatchFileSnapshot(`golden/reused-${name}.txt`);
	});

	it.each(HOSTS)("%s: every step fits into the executor's", (_, facts) => {
		const { jail, renew, parent, child, account } = groups(facts);
		const { host, cleanup } = jail;
		const steps = [...host, ...jail.parent, ...jail.child, ...renew, ...parent, ...child];
		const plan = {
			cloneFlags: 0n,
			before: steps,
			parent: [],
			child: [],
			account: [...jail.account, ...account],
			cleanup,
		};
		expect(encodePlan({ ...plan, keep: [] }, "x86_64").bytes.length).toBeGreaterThan(0);
	});

	it.each(HOSTS)(
		"%s: what a program gets is removed before the next one's is made, and by the jail's cleanup",
		(_, facts) => {
			const { renew, jail } = groups(facts);
			const made = renew
				.filter(({ call }) => call === "mkdirat")
				.map(({ label }) => label.replace("make the group ", ""));
			expect(made.length).toBeGreaterThan(0);
			for (const path of made) {
				const order = renew.map(({ label }) => label);
				const removed = order.indexOf(`remove the group ${path}`);
				expect(removed).toBeGreaterThanOrEqual(0);
				expect(removed).toBeLessThan(order.indexOf(`make the group ${path}`));
				const last = jail.cleanup.map(({ label }) => label);
				expect(last.indexOf(`remove the group ${path}`)).toBeLessThan(
					last.indexOf(`remove the group ${path.replace(/\/exec$/, "")}`),
				);
			}
		},
	);

	it.each(HOSTS)("%s: the jail's own limits have room for pid 1", (_, facts) => {
		const { jail, renew, narrow } = groups(facts);
		const written = (steps: readonly Step[], file: RegExp) =>
			steps
				.filter(({ call, label }) => call === "write" && file.test(label))
				.map(({ label }) => label.split(" to ")[1]);
		expect(written(jail.host, /^set pids\.max/)).toEqual(["33"]);
		expect(written(renew, /^set pids\.max/)).toEqual(["32"]);
		expect(written(jail.host, /^set memory\.(max|limit_in_bytes)/)).toEqual([`${96 * MIB}`]);
		expect(written(renew, /^set memory\.(max|limit_in_bytes)/)).toEqual([`${64 * MIB}`]);
		const { before: narrower } = narrow({ memory: { limit: MIB, swap: MIB }, pids: { limit: 2 } });
		expect(written(narrower, /^set memory\.(max|limit_in_bytes)/)).toEqual([`${MIB}`]);
		expect(written(narrower, /^set pids\.max/)).toEqual(["2"]);
	});

	it("limit a program also where the policy limits nothing but something is counted", () => {
		const { limits, narrow } = groups(v1Host(), {});
		expect([...limits].sort()).toEqual(["cpu", "cpuset", "memory", "pids"]);
		expect(narrow({ pids: { limit: 7 } }).before.map(({ label }) => label)).toContain("set pids.max to 7");
	});

	it.each(HOSTS)("%s: limits of one program's processors take nothing from the next", (_, facts) => {
		const { limits, narrow, jail } = groups(facts);
		if (!limits.includes("cpu")) return;
		const { before, child, cleanup } = narrow({ cpu: { quota: 50_000, period: 100_000 } });
		const removed = (steps: readonly Step[]) =>
			steps.filter(({ call }) => call === "unlinkat").map(({ label }) => label);
		const labels = before.map(({ label }) => label);
		if (facts.v1.every(({ name }) => name !== "cpu")) {
			expect(labels.some((label) => label.startsWith("set cpu.max to 50000 100000"))).toBe(true);
			return;
		}
		expect(labels).toContain("set cpu.cfs_quota_us to 50000");
		if (before.some(({ call }) => call === "mkdirat")) {
			expect(child).toHaveLength(1);
			expect(removed(cleanup)).toHaveLength(1);
			expect(removed(jail.cleanup)).toContain(removed(cleanup)[0]);
		}
	});
});
