/** The named seccomp profiles, compiled while vmjail is built: a first run would spend more on them than on its jail. */
import { build } from "esbuild";

const ARCHITECTURES = ["x86_64", "aarch64"];
const PROFILES = ["default", "strict"];

const SOURCES = `
export { namedProfile } from "./src/oci/seccomp-of.ts";
export { STOP_AT_EXEC } from "./src/plan/programs.ts";
export { compileSeccomp } from "./src/plan/seccomp/compile.ts";
export { compileTogether, jointKey } from "./src/plan/seccomp/together.ts";
export { innerFilters } from "./src/runtime/runsc/inner.ts";
`;

/** The compiler as it is in the sources. */
async function compiler(root) {
	const { outputFiles } = await build({
		stdin: {
			contents: SOURCES,
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
	const { namedProfile, STOP_AT_EXEC, compileSeccomp, compileTogether, jointKey, innerFilters } = await compiler(root);
	const entry = (key, { bytes, flags }) => {
		if (flags !== 0) throw new Error(`${key} asks for flags: ready.ts has no place for them`);
		const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
		return `${JSON.stringify(key)}: () => [${[...words].join(",")}]`;
	};
	const entries = PROFILES.flatMap((name) =>
		ARCHITECTURES.flatMap((arch) => {
			const profile = namedProfile(name, arch);
			// Inside gVisor, without a list of programs and with one.
			const joint = [innerFilters(profile), [STOP_AT_EXEC, ...innerFilters(profile)]];
			return [
				entry(`${name} ${arch}`, compileSeccomp(profile, arch)),
				...joint.map((profiles) => entry(jointKey(profiles, arch), compileTogether(profiles, arch))),
			];
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
