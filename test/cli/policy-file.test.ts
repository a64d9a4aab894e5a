import { closeSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { policyOf } from "../../src/cli/policy-file.ts";

const folder = mkdtempSync(join(tmpdir(), "policy-file-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string): string {
	const path = join(folder, name);
	writeFileSync(path, content);
	return path;
}

describe("a policy file", () => {
	it("is read in full, and flags win over it", () => {
		const config = file("long", `/* ${"x".repeat(200_000)} */ { "system": { "hostname": "one" } }`);
		expect(policyOf({ config, flags: {} }).system.hostname).toBe("one");
		expect(policyOf({ config, flags: { hostname: ["two"] } }).system.hostname).toBe("two");
	});

	it.each([
		["/no/such/file", "ENOENT"],
		["/", "EISDIR"],
	])("%s cannot be read: %s", (config, reason) => {
		expect(() => policyOf({ config, flags: {} })).toThrow(
			expect.objectContaining({
				code: "POLICY_UNREADABLE",
				message: `${config}: cannot read the policy: ${reason}`,
				remedy: expect.any(String),
			}),
		);
	});

	it("that never ends is read no further than it takes to refuse it", () => {
		expect(() => policyOf({ config: "/dev/zero", flags: {} })).toThrow(
			expect.objectContaining({ code: "POLICY_SYNTAX" }),
		);
		const huge = file("huge", "");
		truncateSync(huge, 2 ** 40);
		expect(() => policyOf({ config: huge, flags: {} })).toThrow(expect.objectContaining({ code: "POLICY_SYNTAX" }));
		closeSync(openSync(huge, "r"));
	});

	it("that is not given leaves the default preset", () => {
		expect(policyOf({ flags: {} }).security.network.mode).toBe("none");
	});
});
