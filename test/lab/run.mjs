/** Bundles `main.ts` (Node 20 reads no TypeScript) and runs it, without a file in between. */
import { join } from "node:path";
import { build } from "esbuild";

/** esbuild is named by its place: the bundle has none. */
const esbuildStays = {
	name: "esbuild-stays",
	setup({ onResolve }) {
		onResolve({ filter: /^esbuild$/ }, () => ({ path: import.meta.resolve("esbuild"), external: true }));
	},
};

const { outputFiles } = await build({
	entryPoints: [join(import.meta.dirname, "main.ts")],
	write: false,
	bundle: true,
	platform: "node",
	format: "esm",
	target: "node20",
	plugins: [esbuildStays],
	define: { "import.meta.dirname": JSON.stringify(import.meta.dirname) },
	logLevel: "error",
});
await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);
