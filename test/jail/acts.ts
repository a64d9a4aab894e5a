import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync } from "node:fs";
import { join } from "node:path";
import type { ExecOptions } from "../../src/jail/execution.ts";
import { leftovers } from "../helpers/clean.ts";
import { removeFolder } from "../helpers/folder.ts";
import { policyOf } from "../helpers/policy.ts";

export const MIB = 2 ** 20;

export interface Acts {
	/** In the jail as on the host. */
	readonly program: string;
	remove(): void;
}

/** Compiles acts.c to where jails see it. */
export function compileActs(): Acts {
	const build = join(import.meta.dirname, "../../build");
	mkdirSync(build, { recursive: true });
	const folder = mkdtempSync(join(build, "acts-"));
	const program = join(folder, "acts");
	const flags = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-static", "-pthread"];
	execFileSync("cc", [...flags, "-o", program, join(import.meta.dirname, "acts.c")]);
	return { program, remove: () => removeFolder(folder) };
}

export const QUIET: ExecOptions = { stdin: "ignore", stdout: "collect", stderr: "collect" };

/** 256 MiB, 64 processes, /tmp of its own as the working folder. */
export const policy = policyOf({
	system: {
		env: { pass: [], set: { PATH: "/usr/bin:/bin" } },
		memory: { maxBytes: 256 * MIB, swapBytes: 0 },
		pids: { max: 64 },
		cwd: "/tmp",
	},
	file: { tmpfs: [{ path: "/tmp", sizeBytes: 64 * MIB }] },
});

/** What the jails of this process left; other vmjails may run meanwhile. */
export const ownLeftovers = (): readonly string[] =>
	leftovers().filter((line) => line.includes(`/vmjail-${process.pid}-`));
