import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { layerFaults } from "./helpers/layers.ts";

const root = join(import.meta.dirname, "..");

function sources(): Map<string, string> {
	const names = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" });
	const files = names.filter((name) => name.endsWith(".ts")).map((name) => `src/${name}`);
	return new Map(files.map((file) => [file, readFileSync(join(root, file), "utf8")]));
}

function faultsOf(file: string, code: string): string[] {
	return layerFaults(new Map([[file, code]]));
}

describe("the layers of src", () => {
	it("import downwards only, and the pure ones touch nothing", () => {
		const files = sources();
		expect(files.size).toBeGreaterThan(0);
		expect(layerFaults(files)).toEqual([]);
	});
});

describe("the check itself", () => {
	it.each([
		["an import upwards", "src/policy/a.ts", 'import { b } from "../jail/b.ts";'],
		["a type import upwards", "src/plan/a.ts", 'import type { B } from "../cgroup/b.ts";'],
		["an import over several lines", "src/oci/a.ts", 'import {\n\tb,\n\tc,\n} from "../plan/b.ts";'],
		["a re-export upwards", "src/host/a.ts", 'export * from "../oci/b.ts";'],
		["a dynamic import upwards", "src/runtime/a.ts", 'const b = await import("../jail/b.ts");'],
		["an import type upwards", "src/runtime/a.ts", 'let b: import("../jail/b.ts").B;'],
		["an import for its effect", "src/oci/a.ts", 'import "../cli/main.ts";'],
		["neighbours", "src/runtime/a.ts", 'import { b } from "../cgroup/b.ts";'],
		["the oci types knowing more than errors", "src/oci/types.ts", 'import type { P } from "../policy/types.ts";'],
		["an unknown folder", "src/elsewhere/a.ts", ""],
		["an import from outside src", "src/jail/a.ts", 'import { b } from "../../test/b.ts";'],
		["a pure folder that calls a probe", "src/oci/a.ts", 'import { probe } from "../host/probe.ts";'],
		["a file system", "src/policy/a.ts", 'import { readFileSync } from "node:fs";'],
		["a dynamic import of a Node module", "src/plan/a.ts", 'const os = await import("node:os");'],
		["the environment", "src/oci/a.ts", "const arch = process.arch;"],
		["the working directory", "src/oci/a.ts", "const cwd = process.cwd();"],
		["a clock", "src/outcome/a.ts", "const now = Date.now();"],
		["a clock in a template", "src/outcome/a.ts", "const now = `\u0024{Date.now()}`;"],
		["randomness", "src/plan/a.ts", "const id = Math.random();"],
		["console", "src/policy/a.ts", "console.log(1);"],
	])("finds %s", (_what, file, code) => {
		expect(faultsOf(file, code)).toHaveLength(1);
	});

	it.each([
		["an import downwards", "src/jail/a.ts", 'import { b } from "../runtime/b.ts";'],
		["an import within a folder", "src/cgroup/a.ts", 'import { b } from "./v1/b.ts";'],
		["data of an impure folder", "src/oci/a.ts", 'import type { HostFacts } from "../host/types.ts";'],
		["plan data from a neighbour of the executor", "src/cgroup/a.ts", 'import type { Step } from "../plan/types.ts";'],
		["errors everywhere", "src/policy/a.ts", 'import { VmjailError } from "../errors.ts";'],
		[
			"node:path in a pure folder",
			"src/oci/a.ts",
			'import { posix } from "node:path";\nimport { join } from "node:path/posix";',
		],
		["packages", "src/policy/a.ts", 'import * as v from "valibot";'],
		["a commented import", "src/policy/a.ts", '// import { b } from "../jail/b.ts";\n/* console.log() */'],
		["the spec's own process", "src/oci/a.ts", "const args = spec.process.args; const cwd = process.cwd;"],
		["Node in an impure folder", "src/host/a.ts", 'import { readFileSync } from "node:fs"; process.pid;'],
		["words in a string", "src/plan/a.ts", 'const text = "Date.now() and console.log";'],
	])("lets pass %s", (_what, file, code) => {
		expect(faultsOf(file, code)).toEqual([]);
	});
});
