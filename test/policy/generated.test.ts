import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { outputs } from "../../scripts/make-schema.mjs";
import { loadPolicy, parsePolicy } from "../../src/policy/load.ts";
import { PRESET_NAMES } from "../../src/policy/preset-names.ts";
import { CONTEXT } from "./helpers.ts";

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

interface Node {
	readonly description?: string;
	readonly properties?: Readonly<Record<string, Node>>;
	readonly items?: Node;
	readonly anyOf?: readonly Node[];
	readonly additionalProperties?: unknown;
}

/** Paths of keys below `node` without a description, and of objects that would take unknown keys. */
function gaps(node: Node, path: string): readonly string[] {
	const inner = [...(node.anyOf ?? []), ...(node.items === undefined ? [] : [node.items])].flatMap((below) =>
		gaps(below, path),
	);
	const open = node.properties !== undefined && node.additionalProperties !== false ? [`${path}: open`] : [];
	const keys = Object.entries(node.properties ?? {}).flatMap(([key, below]) => [
		...(below.description ? [] : [`${path}.${key}: not described`]),
		...gaps(below, `${path}.${key}`),
	]);
	return [...open, ...inner, ...keys];
}

describe("generated files", async () => {
	const made = await outputs();

	it.each(Object.entries(made))("%s is what scripts/make-schema.mjs makes", (path, text) => {
		expect(read(path)).toBe(text);
	});

	it("the JSON Schema describes every key and takes no unknown one", () => {
		const schema: Node = JSON.parse(made["schema/policy.schema.json"] ?? "null");
		expect(Object.keys(schema.properties ?? {})).toEqual(["$schema", "extends", "system", "security"]);
		expect(gaps(schema, "")).toEqual([]);
	});
});

describe("examples", () => {
	const names = readdirSync(new URL("../../examples", import.meta.url)).filter((name) => name.endsWith(".json"));

	it("are these", () => {
		expect(names.sort()).toEqual(["agent.json", "judge.json", "npm-install.json", "parser.json", "security.json"]);
	});

	it.each(names)("%s loads and names its schema", (name) => {
		const text = read(`examples/${name}`);
		expect(JSON.parse(text).$schema).toBe("../schema/policy.schema.json");
		const policy = parsePolicy(text, { ...CONTEXT, source: name });
		expect(policy.system.optional).toEqual(expect.arrayContaining(["memory", "cpu", "pids"]));
	});

	it("each preset but the default has one, that narrows or widens it a little", () => {
		for (const preset of PRESET_NAMES.filter((name) => name !== "default")) {
			const example = JSON.parse(read(`examples/${preset}.json`));
			expect(example.extends).toBe(preset);
			expect(parsePolicy(JSON.stringify(example), CONTEXT)).not.toEqual(loadPolicy({ ...CONTEXT, preset }));
		}
	});

	it("security.json is the deck's: no network, read-only root, /tmp writable, /mnt hidden", () => {
		const { system, security } = parsePolicy(read("examples/security.json"), CONTEXT);
		expect(system).toMatchObject({
			runtime: "runlc",
			root: { path: "/", readonly: true },
			memory: { maxBytes: 2 ** 30 },
		});
		expect(security.network.mode).toBe("none");
		expect(security.file).toMatchObject({ writablePaths: ["/tmp"], maskedPaths: ["/mnt"] });
	});
});
