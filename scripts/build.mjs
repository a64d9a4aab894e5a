#!/usr/bin/env node
/**
 * Builds vmjail: `dist/` (JavaScript) by esbuild, `build/` (C) by make.
 *
 *   node scripts/build.mjs [--types] [--js | --native]
 *
 * `--types` also writes `dist/types/*.d.ts`. `--js` and `--native` build one half only. Does nothing that is not
 * needed; then, unless for `--js`, makes the code cache, and ends by setting `build/stamp`, whose time is when the build
 * began: what is newer is not yet built.
 */
import { spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, renameSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const known = ["--types", "--js", "--native"];
const flags = process.argv.slice(2);

/** Runs a program in the checkout; on failure ends the build with its status. */
function run(command, args, env = process.env) {
	const { status, error } = spawnSync(command, args, { cwd: root, env, stdio: ["ignore", 2, 2] });
	if (error) throw error;
	if (status !== 0) process.exit(status ?? 1);
}

/** Without it vmjail starts slower, and that is all: a failure is told and does not end the build. */
function cacheCode() {
	const { NODE_OPTIONS, ...env } = process.env;
	const options = { cwd: root, env, stdio: ["ignore", "ignore", 2], timeout: 60_000 };
	// As native/launcher starts Node, and by hand.
	for (const flags of [["--min-semi-space-size=8"], []]) {
		const { status, error } = spawnSync(process.execPath, [...flags, "scripts/code-cache.mjs"], options);
		if (status !== 0) process.stderr.write(`build: no code cache: ${error?.message ?? `status ${status}`}\n`);
	}
}

/** Two builds at once would race for the stamp: the second waits, then finds that nothing is left to do. */
function underLock() {
	if (process.env.VMJAIL_BUILD_LOCKED === "1") return false;
	const env = { ...process.env, VMJAIL_BUILD_LOCKED: "1" };
	const args = ["build/.lock", process.execPath, fileURLToPath(import.meta.url), ...flags];
	const { status, error } = spawnSync("flock", args, { cwd: root, env, stdio: ["ignore", 2, 2] });
	if (error?.code === "ENOENT") return false; // no flock(1) here: every output is still renamed into place
	if (error) throw error;
	process.exitCode = status ?? 1;
	return true;
}

async function build() {
	const everything = !flags.includes("--js") && !flags.includes("--native");
	if (everything) closeSync(openSync(`${root}/build/stamp.new`, "w"));
	if (!flags.includes("--js")) {
		const { include_dir } = createRequire(import.meta.url)("node-api-headers");
		run("make", ["-s", "-C", "native", `-j${availableParallelism()}`, `NODE_API=${include_dir}`]);
	}
	if (!flags.includes("--native")) {
		const { bundle } = await import("./bundle.mjs"); // needs esbuild, which an installed package does not have
		await bundle(root);
	}
	if (!flags.includes("--js")) cacheCode();
	if (flags.includes("--types")) run("node_modules/.bin/tsc", ["-p", "scripts/tsconfig.types.json"]);
	if (everything) renameSync(`${root}/build/stamp.new`, `${root}/build/stamp`);
}

const unknown = flags.filter((flag) => !known.includes(flag));
if (unknown.length > 0) {
	process.stderr.write(`build: unknown option ${unknown.join(" ")}; known: ${known.join(" ")}\n`);
	process.exitCode = 2;
} else {
	mkdirSync(`${root}/build`, { recursive: true });
	if (!underLock()) await build();
}
