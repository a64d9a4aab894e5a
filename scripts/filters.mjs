/** The named seccomp profiles, compiled while vmjail is built: a first run would spend more on them than on its jail. */
import { build } from "esbuild";

const ARCHITECTURES = ["x86_64", "aarch64"];
const PROFILES = ["default", "strict"];

/** The compiler as it is in the sources. */
async function compiler(root) {
	const { outputFiles } = await build({
		stdin: {
			contents: `export { namedProfile } from "./src/oci/seccomp-of.ts"; export { compileSeccomp } from "./src/plan/seccomp/compile.ts";`,
			resolveDir: root,
			loader: "ts",
		},
		bundle: true,
		format: "esm",
		platform: "node",
		target: "node20",
		write: false,
		logLevel: "warning",
	});
	return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].text).toString("base64")}`);
}

/**
 * What comes into the place of `src/plan/seccomp/ready.ts`, which holds no filter.
 *
 * @param {string} root the checkout
 * @returns {Promise<string>} JavaScript
 */
export async function readyModule(root) {
	const { namedProfile, compileSeccomp } = await compiler(root);
	const entries = PROFILES.flatMap((name) =>
		ARCHITECTURES.map((arch) => {
			const { bytes, flags } = compileSeccomp(namedProfile(name, arch), arch);
			if (flags !== 0) throw new Error(`the profile ${name} asks for flags: ready.ts has no place for them`);
			const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
			return `${JSON.stringify(`${name} ${arch}`)}: () => [${[...words].join(",")}]`;
		}),
	);
	return `export const READY = { ${entries.join(", ")} };`;
}

/**
 * An esbuild plugin, for one or several builds: the filters are compiled once.
 *
 * @param {string} root the checkout
 * @returns {import("esbuild").Plugin}
 */
export function readyFilters(root) {
	const contents = readyModule(root);
	return {
		name: "ready-filters",
		setup({ onLoad }) {
			onLoad({ filter: /\/src\/plan\/seccomp\/ready\.ts$/ }, async () => ({ contents: await contents, loader: "js" }));
		},
	};
}
