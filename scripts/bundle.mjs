/** Bundles `src/` into `dist/`: the command line, the library with its chunks, and the licences of what is inside. */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { build } from "esbuild";
import { bundleCli } from "./bundle-cli.mjs";
import { readyFilters } from "./filters.mjs";

/** CommonJS packages inside an ES module still call `require` for Node's own modules. */
const requireForCommonJs =
	'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);\n';

/** Writes by rename: a vmjail that starts meanwhile sees the old file or the new one, never a part. Same text: no write. */
function writeAtomically(path, text) {
	if (existsSync(path) && readFileSync(path, "utf8") === text) return;
	const temporary = `${path}.${process.pid}`;
	writeFileSync(temporary, text);
	renameSync(temporary, path);
}

/** The licence texts of every npm package that ended up in the bundle. */
function licences(root, metafiles) {
	const packages = new Set();
	for (const input of metafiles.flatMap(({ inputs }) => Object.keys(inputs))) {
		const name = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1];
		if (name !== undefined) packages.add(name);
	}
	return [...packages].sort().map((name) => {
		const folder = join(root, "node_modules", name);
		const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
		const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
		const text = file === undefined ? `Licence: ${license}` : readFileSync(join(folder, file), "utf8").trim();
		return `${name} ${version}\n\n${text}\n`;
	});
}

/** A vmjail that is starting may still be about to read what is not an hour old. */
function removeOldScripts(dist, current) {
	const isOld = (name) => /\.script(\.map)?$/.test(name) && !current.includes(name);
	for (const name of readdirSync(dist).filter(isOld)) {
		if (Date.now() - statSync(join(dist, name)).mtimeMs > 3_600_000) rmSync(join(dist, name), { force: true });
	}
}

/**
 * Builds `dist/`. Chunks are written before the entries that name them. Chunks of earlier builds stay,
 * because a vmjail that is running may not have loaded them yet; `npm pack` starts from an empty folder.
 *
 * @param {string} root the checkout
 */
export async function bundle(root) {
	const filters = readyFilters(root);
	const { outputFiles, metafile } = await build({
		absWorkingDir: root,
		entryPoints: { index: "src/index.ts" },
		outdir: "dist",
		chunkNames: "chunks/[name]-[hash]",
		bundle: true,
		splitting: true,
		format: "esm",
		platform: "node",
		target: "node20",
		// jsonc-parser's "main" is a UMD build, which no bundler can follow.
		mainFields: ["module", "main"],
		charset: "utf8",
		legalComments: "none",
		metafile: true,
		plugins: [filters],
		write: false,
		logLevel: "warning",
	});
	const chunks = join(root, "dist/chunks");
	mkdirSync(chunks, { recursive: true });

	const cli = await bundleCli(root, [filters]);
	removeOldScripts(
		join(root, "dist"),
		cli.files.map(({ path }) => path),
	);
	for (const { path, text } of cli.files) {
		mkdirSync(dirname(join(root, "dist", path)), { recursive: true });
		writeAtomically(join(root, "dist", path), text);
	}

	const isEntry = (file) => !file.path.startsWith(chunks);
	for (const file of outputFiles.toSorted((a, b) => Number(isEntry(a)) - Number(isEntry(b)))) {
		const prefix = file.text.includes("typeof require") ? requireForCommonJs : "";
		writeAtomically(file.path, prefix + file.text);
	}
	writeAtomically(
		join(root, "dist/THIRD-PARTY-LICENSES.txt"),
		licences(root, [metafile, cli.metafile]).join(`\n${"-".repeat(80)}\n\n`),
	);
}
