import { describe, expect, it } from "vitest";
import { prepare, refuseUnavailable } from "../../src/jail/prepare.ts";
import { network, policyOf } from "../helpers/policy.ts";
import { factsFor } from "../oci/fixtures.ts";

const FACTS = factsFor(policyOf());
const prepared = (parts: Parameters<typeof policyOf>[0] = {}, facts = FACTS) =>
	prepare(policyOf(parts), facts, ["true"], false, "1-2-0123456789abcdef");

describe("refuseUnavailable", () => {
	const asking = policyOf({ system: { runtime: "runc" }, network: network("hostwithpolicy"), allow: ["/bin/true"] });

	it("names everything that the runtime does not enforce in this version, each with its remedy", () => {
		expect(() => refuseUnavailable(asking, "runc")).toThrow(
			expect.objectContaining({
				code: "NOT_AVAILABLE",
				message: expect.stringMatching(/^security\.process\.allow: /),
				remedy: expect.stringContaining("runlc"),
			}),
		);
	});

	it("lets what can be enforced pass", () => {
		expect(() => refuseUnavailable(policyOf(), "runlc")).not.toThrow();
	});
});

describe("prepare", () => {
	it("refuses a limit that this host cannot keep, and lets it go where the policy says so", () => {
		expect(() => prepared({ system: { memory: { maxBytes: 1 << 20, swapBytes: 0 } } })).toThrow(
			expect.objectContaining({ code: "HOST_UNSUPPORTED", remedy: expect.any(String) }),
		);
		const { missing } = prepared({
			system: { memory: { maxBytes: 1 << 20, swapBytes: 0 }, optional: ["memory", "swap"] },
		});
		expect(missing.map(({ control }) => control)).toContain("memory");
	});

	it("refuses a host without Landlock, unless that is let go", () => {
		const facts = { ...FACTS, landlockAbi: 0 };
		expect(() => prepared({}, facts)).toThrow(
			expect.objectContaining({ code: "HOST_UNSUPPORTED", message: expect.stringMatching(/^landlock: /) }),
		);
		const { missing, plan } = prepared({ system: { optional: ["landlock"] } }, facts);
		expect(missing.map(({ control }) => control)).toEqual(["landlock"]);
		expect(plan.child.some(({ call }) => call.startsWith("landlock_"))).toBe(false);
	});

	it("hands on the limits that pid 1 and vmjail enforce", () => {
		const limits = { time: { cpuMs: 5, wallMs: 7 }, output: { maxBytes: 9 } };
		expect(prepared({ system: limits })).toMatchObject({ cpuLimitMs: 5, wallLimitMs: 7, outputMaxBytes: 9 });
		expect(prepared()).not.toHaveProperty("cpuLimitMs");
	});
});
