/**
 * The program's first file: says so when Node is too old, then loads the command line and V8's compiled code for it.
 *
 * Compiling takes longer than everything else in a start, so the build leaves the compiled code in `build/code-cache`
 * (scripts/code-cache.mjs), beside the executor: whoever could write there could change the executor as well. V8 takes it
 * only where it was made from this very script by this version of V8 with these options; else it compiles, as it does
 * where there is none.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Script } from "node:vm";

/** The bundled command line: a file beside this one whose name changes with its content. By the bundler. */
declare const MAIN_SCRIPT: string;

/** What the script is called with. */
export type MainScript = (require: NodeJS.Require, module: { exports: unknown }, dirname: string) => void;

function compiledCode(): Buffer | undefined {
	const made = [MAIN_SCRIPT, process.version, process.arch, ...process.execArgv].join("-").replaceAll("/", "-");
	try {
		return readFileSync(join(__dirname, "../build/code-cache", made));
	} catch {
		return undefined;
	}
}

function load(): typeof import("./main.ts") {
	const filename = join(__dirname, MAIN_SCRIPT);
	const cachedData = compiledCode();
	const script = new Script(readFileSync(filename, "latin1"), {
		filename,
		...(cachedData === undefined ? {} : { cachedData }),
	});
	const module = { exports: {} };
	(script.runInThisContext() as MainScript)(require, module, __dirname);
	return module.exports as typeof import("./main.ts");
}

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
	process.stderr.write(
		`vmjail: Node ${process.versions.node} (${process.execPath}) is too old: vmjail needs 20.19 or later\n`,
	);
	process.exitCode = 125;
} else {
	load()
		.main(process.argv.slice(2))
		.then((status) => process.exit(status));
}
