/** The order of AGENTS.md: an import points to an earlier layer. Members of one layer do not import each other. */
const layers: readonly (readonly string[])[] = [
	["errors"],
	["oci/types"],
	["policy"],
	["host"],
	["oci"],
	["plan"],
	["executor", "cgroup", "network", "observe", "runtime", "outcome"],
	["jail"],
	["server"],
	["cli", "index"],
];

/** No input or output, no clock, no environment. */
const pure: readonly string[] = ["policy", "oci", "oci/types", "plan", "outcome"];

const impureGlobals: readonly (readonly [RegExp, string])[] = [
	[/(?<![.\w])console\s*\./, "console"],
	[/\bDate\s*\.\s*now\b|\bnew\s+Date\s*\(\s*\)|(?<![.\w])performance\s*\./, "the clock"],
	[/\bMath\s*\.\s*random\b|(?<![.\w])crypto\s*\./, "randomness"],
	// `process` is also the name of a field of the OCI spec: only what that field does not have is told apart here.
	[
		/(?<![.\w])process\s*\.\s*((argv|arch|emit|execPath|exit|getgid|getuid|hrtime|kill|nextTick|on|pid|platform|stderr|stdin|stdout|version)\b|cwd\s*\()/,
		"process",
	],
	[/(?<![.\w])(globalThis|setTimeout|setInterval|fetch|Buffer)\b/, "a global of Node"],
];

/** The module specifiers of a file: static and dynamic imports, re-exports, `import("…")` types. */
function importsOf(code: string): string[] {
	const statics = /^\s*(?:import|export)\b[^;"']*?\bfrom\s*["']([^"']+)["']/gm;
	const bare = /^\s*import\s*["']([^"']+)["']/gm;
	const dynamics = /\b(?:import|require)\s*\(\s*["']([^"']+)["']\s*\)/g;
	return [statics, bare, dynamics].flatMap((form) => [...code.matchAll(form)].map((match) => match[1] ?? ""));
}

/** The code with comments blanked, strings kept. */
function withoutComments(code: string): string {
	const token = /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g;
	return code.replace(token, (text) => (text.startsWith("/") ? " " : text));
}

/** The code with strings blanked as well; what stands in `${}` of a template stays. */
function withoutStrings(code: string): string {
	const token = /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/g;
	return code.replace(token, (text) => [...text.matchAll(/\$\{([^}]*)\}/g)].map((match) => match[1]).join(" "));
}

/** "src/oci/spec.ts" → "oci"; "src/oci/types.ts" → "oci/types"; "src/errors.ts" → "errors". */
function layerOf(file: string): string {
	if (file === "src/oci/types.ts") return "oci/types";
	return file.replace(/^src\//, "").replace(/\/.*$|\.ts$/, "");
}

function resolve(from: string, specifier: string): string {
	return new URL(specifier, `file:///${from}`).pathname.slice(1);
}

function rank(layer: string): number {
	return layers.findIndex((members) => members.includes(layer));
}

function orderFaults(file: string, target: string): string[] {
	const [from, to] = [layerOf(file), layerOf(target)];
	if (!target.startsWith("src/")) return [`${file} imports ${target}, outside src`];
	if (rank(to) === -1) return [`${file} imports ${target}: "${to}" is in no layer`];
	if (from !== to && rank(to) >= rank(from)) return [`${file} imports ${target}: ${from} may not import ${to}`];
	// Of a folder with side effects, a pure one may know the data only.
	if (pure.includes(from) && !pure.includes(to) && to !== "errors" && !target.endsWith("/types.ts")) {
		return [`${file} imports ${target}: pure folders import types only from ${to}`];
	}
	return [];
}

function purityFaults(file: string, code: string, specifiers: readonly string[]): string[] {
	const modules = specifiers.filter((name) => name.startsWith("node:") && !/^node:path(\/posix)?$/.test(name));
	const bare = withoutStrings(code);
	const used = impureGlobals.filter(([pattern]) => pattern.test(bare)).map(([, name]) => name);
	return [...modules, ...used].map((name) => `${file} is pure and uses ${name}`);
}

/**
 * Every import that breaks the order of the layers, and every use of the outside world in a pure folder.
 *
 * @param files path from the root of the checkout ("src/oci/spec.ts") to source text
 * @returns one sentence per fault; empty where all is well
 */
export function layerFaults(files: ReadonlyMap<string, string>): string[] {
	return [...files].flatMap(([file, source]) => {
		const layer = layerOf(file);
		if (rank(layer) === -1) return [`${file} is in no layer`];
		const code = withoutComments(source);
		const specifiers = importsOf(code);
		const local = specifiers.filter((name) => name.startsWith(".")).map((name) => resolve(file, name));
		return [
			...local.flatMap((target) => orderFaults(file, target)),
			...(pure.includes(layer) ? purityFaults(file, code, specifiers) : []),
		];
	});
}
