/** Bundles the command line into one script, which `dist/cli.cjs` starts with V8's compiled code for it. */
import { createHash } from "node:crypto";
import { isBuiltin } from "node:module";
import { basename } from "node:path";
import { build } from "esbuild";

/**
 * Some of Node's own modules are loaded at their first use, not at the import: `node:child_process` and `node:net` alone
 * take as long to load as a jail takes to run, and most runs need neither.
 */
const HEAVY = /^node:(child_process|crypto|dgram|dns|net|stream|tty)$/;

const lazyBuiltins = {
	name: "lazy-builtins",
	setup({ onResolve, onLoad }) {
		onResolve({ filter: HEAVY }, ({ path, namespace }) =>
			namespace === "lazy-builtin" ? { path, external: true } : { path, namespace: "lazy-builtin" },
		);
		onLoad({ filter: /.*/, namespace: "lazy-builtin" }, async ({ path }) => {
			if (!isBuiltin(path)) return { errors: [{ text: `${path} is no module of Node's` }] };
			const names = Object.keys(await import(path)).filter((name) => name !== "default");
			const getters = names.map((name) => `get ${name}() { return loaded().${name}; }`);
			return {
				contents: `let module_;\nconst loaded = () => (module_ ??= require(${JSON.stringify(path)}));\nmodule.exports = { ${getters.join(", ")} };`,
			};
		});
	},
};

/** What only `vmjail serve` uses: files of their own, so that no other start has to read past them. */
const SERVER_PACKAGES = {
	hono: "hono",
	"hono/body-limit": "hono-body-limit",
	"@hono/node-server": "hono-node-server",
	ws: "ws",
	pino: "pino",
	"prom-client": "prom-client",
};

const serverPackages = (folder) => ({
	name: "server-packages",
	setup({ onResolve }) {
		onResolve({ filter: /^[@a-z]/ }, ({ path }) => {
			const name = Object.hasOwn(SERVER_PACKAGES, path) ? SERVER_PACKAGES[path] : undefined;
			return name === undefined ? undefined : { path: `./${folder}/${name}.cjs`, external: true };
		});
	},
});

const options = {
	bundle: true,
	format: "cjs",
	platform: "node",
	target: "node20",
	mainFields: ["module", "main"],
	// V8 reads plain ASCII twice as fast.
	charset: "ascii",
	legalComments: "none",
	write: false,
	logLevel: "warning",
};

/**
 * The script as an expression: a function of what Node gives each of its modules. The names in it are short, since it is read at
 * every start; what a stack means, the map beside it says.
 */
function wrapped(text) {
	if (Buffer.byteLength(text) !== text.length) throw new Error("the bundle holds more than ASCII");
	return `(function (require, module, __dirname) {\n${text}\n})\n`;
}

/** Of the script: one line further down than the bundler knows. */
function shifted(sourceMap) {
	const map = JSON.parse(sourceMap);
	return JSON.stringify({ ...map, mappings: `;${map.mappings}` });
}

/**
 * @param {string} root the checkout
 * @param {import("esbuild").Plugin[]} plugins
 * @returns {Promise<{files: {path: string, text: string}[], metafile: import("esbuild").Metafile}>} the script, then what
 *   starts it; paths below `dist/`
 */
export async function bundleCli(root, plugins) {
	const packages = await build({
		...options,
		absWorkingDir: root,
		entryPoints: Object.entries(SERVER_PACKAGES).map(([path, out]) => ({ in: path, out })),
		outdir: "dist",
		outExtension: { ".js": ".cjs" },
		minifyWhitespace: true,
		metafile: true,
	});
	const all = packages.outputFiles.map(({ text }) => text).join("");
	const folder = `server-${createHash("sha256").update(all).digest("hex").slice(0, 16)}`;
	const main = await build({
		...options,
		absWorkingDir: root,
		entryPoints: ["src/cli/main.ts"],
		outdir: "dist",
		minify: true,
		sourcemap: "external",
		define: { "import.meta.dirname": "__dirname" },
		metafile: true,
		plugins: [...plugins, lazyBuiltins, serverPackages(folder)],
	});
	const [script, map] = [".js", ".map"].map((end) => main.outputFiles.find(({ path }) => path.endsWith(end)));
	const text = wrapped(script.text);
	const hash = createHash("sha256").update(text).digest("hex").slice(0, 16);
	const start = await build({
		...options,
		absWorkingDir: root,
		entryPoints: ["src/cli/start.ts"],
		outdir: "dist",
		define: { MAIN_SCRIPT: JSON.stringify(`main-${hash}.script`) },
	});
	return {
		files: [
			...packages.outputFiles.map(({ path, text }) => ({ path: `${folder}/${basename(path)}`, text })),
			{ path: `main-${hash}.script.map`, text: shifted(map.text) },
			{ path: `main-${hash}.script`, text },
			{ path: "cli.cjs", text: start.outputFiles[0].text },
		],
		metafile: { inputs: { ...main.metafile.inputs, ...packages.metafile.inputs } },
	};
}
