import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removeFolder } from "../helpers/folder.ts";

/** Why there is no C compiler, with the remedy; undefined where there is one. */
export const missingCompiler: string | undefined =
	spawnSync("cc", ["--version"], { stdio: "ignore" }).status === 0
		? undefined
		: "no C compiler: apt-get install gcc libc6-dev";

/** Compiles a C file against the executor's headers, runs it, and returns what it printed. */
export function runC(source: string): string {
	const folder = mkdtempSync(join(tmpdir(), "c-program-"));
	try {
		const program = join(folder, "program");
		const headers = join(import.meta.dirname, "../../native/executor");
		execFileSync("cc", ["-std=gnu11", "-Wall", "-Werror", "-I", headers, "-o", program, source]);
		return execFileSync(program, { encoding: "utf8" });
	} finally {
		removeFolder(folder);
	}
}
