import { describe, expect, it } from "vitest";
import { specOf } from "../../src/oci/spec.ts";
import { CLONE_NEW } from "../../src/plan/constants.ts";
import { inEnteredNetwork } from "../../src/runtime/entered-network.ts";
import { networkOf } from "../../src/runtime/runsc/adapt.ts";
import { jobPlan, jobWorkload } from "../../src/runtime/supervise/plan.ts";
import { policyOf } from "../helpers/policy.ts";
import { factsFor } from "../oci/fixtures.ts";

const policy = policyOf();
const facts = factsFor(policy);
const spec = specOf({ policy, facts, command: ["true"] });
const job = { argv: ["/bin/prog"] };

describe("a program whose runtime starts in a gateway's namespace", () => {
	const entered = inEnteredNetwork(spec, { resolver: "/etc/resolv.conf", resolvConf: "" }, "/tmp/file");

	it("has no network namespace of its own, and the gateway's resolv.conf, read-only, over all else", () => {
		expect(networkOf(spec.linux)).toBe("none");
		expect(networkOf(entered.linux)).toBe("host");
		expect(entered.mounts.at(-1)).toEqual({
			destination: "/etc/resolv.conf",
			type: "bind",
			source: "/tmp/file",
			options: ["rbind", "ro", "nosuid", "nodev", "noexec"],
		});
		expect({ ...entered, mounts: spec.mounts, linux: spec.linux }).toEqual(spec);
	});

	it("gets user and network namespaces around its runtime, and every id that the caller has", () => {
		const last = [{ label: "last", call: "setsid", args: [] }] as const;
		const { cloneFlags, child, parent } = jobPlan(job, facts, { belowGateway: true, last });
		expect(cloneFlags & (CLONE_NEW.user | CLONE_NEW.network)).toBe(CLONE_NEW.user | CLONE_NEW.network);
		expect(child.at(-1)?.label).toBe("last");
		expect(parent.map(({ label }) => label)).toContain("write uid_map");
	});

	it("maps an ordinary user's id to the gateway's only one", () => {
		const caller = { ...facts.caller, uid: 7, gid: 8, privileged: false };
		const { parent } = jobPlan({ ...job, asIds: { uid: 7, gid: 8 } }, { ...facts, caller }, { belowGateway: true });
		const written = parent.flatMap(({ args }) =>
			args.flatMap((arg) => (typeof arg === "object" && "shown" in arg ? [arg.shown] : [])),
		);
		expect(written).toEqual(expect.arrayContaining(['"7 0 1\\n"', '"8 0 1\\n"']));
	});

	it("is looked at from before the runtime's first instruction, while vmjail can still be told", () => {
		const beforeExec = [{ label: "look", call: "setsid", args: [] }] as const;
		const labels = jobWorkload({ ...job, asIds: { uid: 7, gid: 8 } }, 7, { beforeExec }).child.map(
			({ label }) => label,
		);
		const order = ["make every capability inheritable", "look", "close every other descriptor", "execute /bin/prog"];
		expect(labels.filter((label) => order.includes(label))).toEqual(order);
	});
});
