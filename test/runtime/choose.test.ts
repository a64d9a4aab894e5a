import { describe, expect, it } from "vitest";
import type { Policy } from "../../src/policy/types.ts";
import { candidates, chooseRuntime, type Probe } from "../../src/runtime/choose.ts";

const policy = (runtime: Policy["system"]["runtime"], rollback: Policy["system"]["rollback"] = "") =>
	({ system: { runtime, rollback } }) as Policy;
const works: Probe = { works: true };
const fails: Probe = { works: false, why: "no gVisor here", remedy: "Install it." };

describe("candidates", () => {
	it("are the runtime, then its stand-in, each once", () => {
		expect(candidates(policy("runsc", "runlc"))).toEqual(["runsc", "runlc"]);
		expect(candidates(policy("auto"))).toEqual(["runsc", "runlc"]);
		expect(candidates(policy("auto", "crun"))).toEqual(["runsc", "runlc", "crun"]);
		expect(candidates(policy("runlc", "runlc"))).toEqual(["runlc"]);
	});
});

describe("chooseRuntime", () => {
	it("takes what the policy says where it works, without a word", () => {
		expect(chooseRuntime(policy("runsc", "runlc"), { runsc: works })).toEqual({ runtime: "runsc" });
	});

	it("falls back only where the policy allows it, and says so", () => {
		const choice = chooseRuntime(policy("runsc", "runlc"), { runsc: fails, runlc: works });
		expect(choice).toEqual({ runtime: "runlc", rolledBackFrom: "runsc", why: "runsc: no gVisor here" });
		expect(() => chooseRuntime(policy("runsc"), { runsc: fails, runlc: works })).toThrowError(
			expect.objectContaining({
				code: "HOST_UNSUPPORTED",
				message: expect.stringContaining("no gVisor here"),
				remedy: "Install it.",
			}),
		);
	});

	it("auto is runsc where it works, else runlc, and tells which", () => {
		expect(chooseRuntime(policy("auto"), { runsc: works, runlc: works })).toEqual({ runtime: "runsc" });
		expect(chooseRuntime(policy("auto"), { runsc: fails, runlc: works })).toMatchObject({
			runtime: "runlc",
			rolledBackFrom: "runsc",
		});
	});

	it("fails with every reason where nothing works, and never takes what was not probed", () => {
		expect(() =>
			chooseRuntime(policy("runsc", "crun"), { runsc: fails, crun: { works: false, why: "no crun" } }),
		).toThrowError(
			expect.objectContaining({ message: expect.stringContaining("runsc: no gVisor here; crun: no crun") }),
		);
		expect(() => chooseRuntime(policy("crun"), {})).toThrowError(
			expect.objectContaining({ message: expect.stringContaining("was not probed") }),
		);
	});
});
