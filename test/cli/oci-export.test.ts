import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runOciExport } from "../../src/cli/oci-export.ts";
import type { HostFacts } from "../../src/host/types.ts";
import { parseSpecJson } from "../../src/oci/json.ts";
import { validateSpec } from "../../src/oci/validate.ts";
import type { Policy } from "../../src/policy/types.ts";
import { network, policyOf } from "../helpers/policy.ts";
import { factsFor, ROOT_USER } from "../oci/fixtures.ts";

let folder = "";

beforeEach(() => {
	folder = mkdtempSync(join(realpathSync(tmpdir()), "vmjail-export-"));
});

afterEach(() => {
	rmSync(folder, { recursive: true });
});

function exported(dir: string, policy: Policy = policyOf(), caller: Partial<HostFacts["caller"]> = {}): string {
	const printed: string[] = [];
	const facts = factsFor(policy, { caller: { cwd: folder, ...caller } });
	runOciExport({ dir, policy, facts, command: ["true"], print: (text) => printed.push(text) });
	return printed.join("");
}

describe("vmjail oci export", () => {
	it("writes a valid bundle that only its owner can read, and says how to run it", () => {
		const text = exported("bundle");
		const config = join(folder, "bundle/config.json");
		const spec = validateSpec(parseSpecJson(readFileSync(config, "utf8")));
		expect(spec.root).toEqual({ path: "rootfs", readonly: true });
		expect(readdirSync(join(folder, "bundle/rootfs")).toSorted()).toEqual(
			readdirSync("/", { withFileTypes: true })
				.filter((entry) => entry.isDirectory() || entry.isFile() || entry.isSymbolicLink())
				.map((entry) => entry.name)
				.toSorted(),
		);
		expect(text).toBe(
			`Wrote ${folder}/bundle/config.json and ${folder}/bundle/rootfs. To run it:\n  crun run -b ${folder}/bundle jail\n`,
		);
	});

	it("offers runc to root only: it needs a user 0 inside", () => {
		expect(exported("bundle", policyOf(), ROOT_USER)).toContain("\n  runc run -b ");
	});

	it("quotes a folder that a shell would take apart", () => {
		expect(exported("it's a b")).toContain(`crun run -b '${folder}/it'\\''s a b' jail`);
	});

	it("says what other runtimes do not enforce", () => {
		const policy = policyOf({
			system: { time: { cpuMs: 1, wallMs: 2 }, output: { maxBytes: 3 } },
			network: network("hostwithpolicy"),
			allow: ["/bin/true"],
		});
		const text = exported("bundle", policy);
		for (const part of ["network.policy", "process.allow", "time.cpu", "time.wall", "output.max"])
			expect(text).toContain(part);
	});

	it("refuses a folder that is not empty, or none, and leaves it as it was", () => {
		writeFileSync(join(folder, "mine"), "x");
		expect(() => exported(".")).toThrow(expect.objectContaining({ code: "USAGE" }));
		expect(() => exported("mine")).toThrow(expect.objectContaining({ code: "USAGE" }));
		expect(readdirSync(folder)).toEqual(["mine"]);
	});

	it("leaves nothing half-written", () => {
		const policy = policyOf({ system: { root: { path: join(folder, "image"), readonly: true } } });
		const facts = factsFor(policy, { caller: { cwd: folder } });
		const paths = Object.fromEntries(
			Object.keys(facts.paths).map((path) => [path, { path, real: path, kind: "directory" } as const]),
		);
		expect(() =>
			runOciExport({ dir: "bundle", policy, facts: { ...facts, paths }, command: ["true"], print: () => {} }),
		).toThrow(expect.objectContaining({ code: "PATH_INVALID" }));
		expect(existsSync(join(folder, "bundle/rootfs"))).toBe(false);
	});
});
