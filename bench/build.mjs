/** What every benchmark needs before it measures: vmjail built, and its own C programs. */

import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const checkout = dirname(dirname(fileURLToPath(import.meta.url)));

/** The standard output of a command that has to succeed, run in the checkout. */
export function mustRun(command, args, options = {}) {
	const { status, stdout, stderr, error } = spawnSync(command, args, {
		cwd: checkout,
		encoding: "utf8",
		maxBuffer: 2 ** 28,
		...options,
	});
	if (error) throw error;
	if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed: ${stderr ?? ""}`);
	return stdout;
}

/** vmjail itself; what that says is the caller's to see. */
export function buildVmjail(...flags) {
	mustRun("sh", ["scripts/setup.sh", ...flags], { stdio: ["ignore", 2, 2] });
}

/** @returns the path of the program made of bench/`sources`, in build/bench */
export function compile(name, sources, flags = ["-static"]) {
	mkdirSync(join(checkout, "build/bench"), { recursive: true });
	const program = join(checkout, "build/bench", name);
	const all = ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", ...flags];
	mustRun("cc", [...all, "-o", program, ...sources.map((source) => join("bench", source))]);
	return program;
}
