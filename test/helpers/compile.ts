import { execFileSync } from "node:child_process";
import { renameSync } from "node:fs";

/** Compiles a C program. It is put into its place when it is done: another test file may be running the one that is there. */
export function compile(source: string, output: string, ...flags: readonly string[]): void {
	const made = `${output}.${process.pid}`;
	execFileSync("cc", ["-O1", "-Wall", ...flags, "-o", made, source]);
	renameSync(made, output);
}
