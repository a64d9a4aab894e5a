/** Bundles `main.ts` (Node 20 reads no TypeScript) and runs it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";

/** The bundle lies elsewhere and bundles in its turn: esbuild is named by its place. */
const esbuildStays = {
	name: "esbuild-stays",
	setup({ onResolve }) {
		onResolve({ filter: /^esbuild$/ }, () => ({ path: import.meta.resolve("esbuild"), external: true }));
	},
};

const folder = mkdtempSync(join(tmpdir(), `vmjlab-${process.pid}-main-`));
try {
	const outfile = join(folder, "main.mjs");
	await build({
		entryPoints: [join(import.meta.dirname, "main.ts")],
		outfile,
		bundle: true,
		platform: "node",
		format: "esm",
		target: "node20",
		plugins: [esbuildStays],
		define: { "import.meta.dirname": JSON.stringify(import.meta.dirname) },
		banner: {
			js: `import { createRequire } from "node:module"; const require = createRequire(${JSON.stringify(import.meta.url)});`,
		},
		logLevel: "error",
	});
	await import(pathToFileURL(outfile).href);
} finally {
	rmSync(folder, { recursive: true, force: true });
}
