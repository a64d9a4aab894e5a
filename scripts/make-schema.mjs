/**
 * Makes `schema/policy.schema.json` and `docs/policy-reference.md` from the schema in `src/policy/`, so that neither can
 * say anything else than what is checked. Without arguments: writes them. With `--check`: exit status 1 where one is stale.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const SCHEMA = "schema/policy.schema.json";
const REFERENCE = "docs/policy-reference.md";

/** Sources cannot be imported by Node as they are: bundled in memory, with the converter beside them. */
async function sources() {
	const contents = `
		export { toJsonSchema } from "@valibot/to-json-schema";
		export { policySchema } from "./src/policy/schema.ts";
		export { PRESETS } from "./src/policy/presets.ts";
		export { POLICY_FLAGS } from "./src/policy/flag-table.ts";`;
	const { outputFiles } = await build({
		stdin: { contents, resolveDir: ROOT, sourcefile: "make-schema.ts", loader: "ts" },
		absWorkingDir: ROOT,
		bundle: true,
		format: "esm",
		platform: "node",
		mainFields: ["module", "main"],
		write: false,
		logLevel: "warning",
	});
	return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);
}

/** Schemas that are chosen by their input, and 64-bit integers: JSON Schema has a word for each, the converter has not. */
function overrideSchema(toJsonSchema) {
	const convert = (schema) => toJsonSchema(schema, options);
	const options = {
		errorMode: "ignore",
		typeMode: "input",
		overrideSchema({ valibotSchema }) {
			if (valibotSchema.type === "bigint") return { type: "integer" };
			if (valibotSchema.type !== "lazy") return undefined;
			const [ofText, ofObject] = [valibotSchema.getter("text"), valibotSchema.getter({})].map(convert);
			return { anyOf: [ofText, ofObject].map(({ $schema: _, ...rest }) => rest) };
		},
	};
	return options;
}

/** A number first refused with a hint is no part of what an editor should offer. */
function withoutBareDurations(node) {
	if (Array.isArray(node)) return node.map(withoutBareDurations);
	if (typeof node !== "object" || node === null) return node;
	const copy = Object.fromEntries(Object.entries(node).map(([key, value]) => [key, withoutBareDurations(value)]));
	const kinds = copy.anyOf?.map(({ type }) => type);
	if (kinds?.[0] === "string" && kinds[1] === "number" && kinds.length === 2) {
		delete copy.anyOf;
		return { type: "string", ...copy };
	}
	return copy;
}

function schemaText({ toJsonSchema, policySchema }) {
	const { $schema, ...body } = toJsonSchema(policySchema, overrideSchema(toJsonSchema));
	const schema = { $schema, title: "vmjail policy", ...withoutBareDurations(body) };
	return `${JSON.stringify(schema, null, "\t")}\n`;
}

function kind(node) {
	if (node.enum !== undefined) return node.enum.map((value) => `\`${JSON.stringify(value)}\``).join(", ");
	if (node.anyOf !== undefined) return [...new Set(node.anyOf.map(kind))].join(" or ");
	if (node.type === "array") return `list of: ${kind(node.items)}`;
	if (node.type === "object" && typeof node.additionalProperties === "object") return "object of strings";
	return node.type ?? "integer";
}

/** `|` would end the cell. */
function cell(text) {
	return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}

function row(path, node, required) {
	const byDefault =
		node.default === undefined || JSON.stringify(node.default) === "{}" ? "" : `\`${JSON.stringify(node.default)}\``;
	const examples = (node.examples ?? node.items?.examples ?? [])
		.map((example) => `\`${JSON.stringify(example)}\``)
		.join(", ");
	const words = [node.description ?? "", required ? "Required." : "", examples === "" ? "" : `Example: ${examples}.`];
	return `| \`${path}\` | ${cell(kind(node))} | ${cell(byDefault)} | ${cell(words.filter(Boolean).join(" "))} |`;
}

/** Rows for every key below `node`, sections with their own keys following them. */
function rows(node, path) {
	return Object.entries(node.properties ?? {}).flatMap(([key, child]) => {
		const at = path === "" ? key : `${path}.${key}`;
		const choice = child.anyOf?.find(({ properties }) => properties !== undefined);
		const below = child.items?.properties === undefined ? rows(choice ?? child, at) : rows(child.items, `${at}[]`);
		const isSection = child.type === "object" && child.properties !== undefined;
		const required = (node.required ?? []).includes(key);
		return [
			isSection ? `| **\`${at}\`** | object | | ${cell(child.description ?? "")} |` : row(at, child, required),
			...below,
		];
	});
}

function table(node, path) {
	return ["| Key | Value | Default | Meaning |", "| --- | --- | --- | --- |", ...rows(node, path)].join("\n");
}

function flagTable(flags) {
	const lines = flags.map(({ name, metavar, help, path, repeatable, choices }) => {
		const words = [
			help,
			choices === undefined ? "" : `one of ${choices.map((choice) => `\`${choice}\``).join(", ")}`,
			repeatable ? "may be repeated" : "",
		];
		return `| \`--${name} ${cell(metavar)}\` | \`${path.join(".")}\` | ${cell(words.filter(Boolean).join("; "))} |`;
	});
	return ["| Flag | Key | Meaning |", "| --- | --- | --- |", ...lines].join("\n");
}

function presetTable(presets) {
	const lines = Object.entries(presets).map(([name, { description }]) => `| \`${name}\` | ${cell(description)} |`);
	return ["| Preset | |", "| --- | --- |", ...lines].join("\n");
}

function referenceText({ PRESETS, POLICY_FLAGS }, schema) {
	const { system, security, ...top } = schema.properties;
	return `<!-- Made by scripts/make-schema.mjs from src/policy/. Do not edit. -->

# Policy reference

A policy is one JSON file in UTF-8, of at most 1 MiB; comments and trailing commas are accepted, duplicate and unknown keys
are not. Every key is optional. What is wrong is refused before anything starts: one line for each problem, with its line
and column. For completion in an editor: \`"$schema": "…/schema/policy.schema.json"\`.

## Top level

${table({ properties: top }, "")}

## system

${system.description}

${table(system, "system")}

## security

${security.description}

${table(security, "security")}

## Sizes, durations, rules

- **Sizes**: a number is bytes. Text has a unit: \`B\`; \`KiB\`, \`MiB\`, \`GiB\`, \`TiB\` are powers of 1024; \`KB\` (or \`kB\`),
  \`MB\`, \`GB\`, \`TB\` are powers of 1000. \`M\` alone is refused: it means both. Fractions are rounded down to whole bytes.
- **Durations**: text with a unit: \`ms\`, \`s\`, \`m\`, \`h\`. A bare number is refused. At least 1 ms, at most 596 h.
- **Resource limits** take setrlimit(2)'s own numbers, sizes and durations where they count bytes and time, or
  \`"unlimited"\`.
- **Paths** are absolute, without \`..\`; neither \`~\` nor variables mean anything in a file. A path may be in one list of
  \`security.file\` only; of nested paths the innermost decides.
- **host:port**: the colon is required; an empty port or \`*\` is any port, \`8000-8100\` a range. A host is \`*\` (any), an IPv4
  address of four decimal numbers, an IPv6 address in brackets, or a block such as \`10.0.0.0/8\` or \`[fd00::]/8\`.
- **name:port**: \`*.npm.org\` is \`npm.org\` itself and every name below it. Names are compared in lower case, as A-labels, and
  without a trailing dot. \`*\` alone is refused.
- **listen**: \`80\` is port 80 on 127.0.0.1; \`"8080->80"\` is the host's port 8080 to the jail's 80; \`"0.0.0.0:8080->80"\` names
  the host's address.
- **Rules under another mode**: a policy may have rules while its mode is \`none\` or \`host\`; they are checked and not used. A rate under mode
  \`host\` is refused: nothing would hold it.
- **rate**: TCP waits, UDP beyond it is lost. A tenth of a second's worth may come at once.

## Layers

Presets come first (\`--preset\`, then \`extends\`), then the file, then flags. Objects merge, lists append, any other value is
replaced. A path of \`security.file\` is where the last layer puts it; two places in one layer are a contradiction. A
seccomp object is replaced as a whole. Without file and preset: the preset \`default\`.

${presetTable(PRESETS)}

## Flags

On a command line, relative paths are resolved against the working directory and \`~/\` against the home folder. A flag
that adds a network rule sets the mode to \`hostwithpolicy\` unless \`--net\` says otherwise.

${flagTable(POLICY_FLAGS)}
`;
}

/** Text of each generated file by its path in the checkout. */
export async function outputs() {
	const from = await sources();
	const schema = schemaText(from);
	return { [SCHEMA]: schema, [REFERENCE]: referenceText(from, JSON.parse(schema)) };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	const check = process.argv.includes("--check");
	for (const [path, text] of Object.entries(await outputs())) {
		if (!check) writeFileSync(join(ROOT, path), text);
		else if (readFileSync(join(ROOT, path), "utf8") !== text) {
			process.stderr.write(`${path} is stale: run node scripts/make-schema.mjs\n`);
			process.exitCode = 1;
		}
	}
}
