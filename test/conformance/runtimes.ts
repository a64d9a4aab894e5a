import { statSync } from "node:fs";
import { join } from "node:path";
import { findRunsc, type Runsc } from "../../src/runtime/runsc/find.ts";
import { USER } from "../system/caller.ts";
import { cliUnderTest } from "./cli.ts";
import type { RuntimeUnderTest } from "./runtime.ts";

const checkout = join(import.meta.dirname, "../..");

function exists(path: string): boolean {
	return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** The builds of gVisor to test with: VMJAIL_RUNSC alone where it is set, else those that scripts/get-runsc.sh fetched. */
export function runscBuilds(): Promise<readonly Runsc[]> {
	const named = process.env["VMJAIL_RUNSC"];
	const fetched = ["runsc", "runsc-head"].map((name) => join(checkout, "build/peers", name, "runsc"));
	const paths = named === undefined || named === "" ? fetched.filter(exists) : [named];
	return Promise.all(paths.map((runsc) => findRunsc({ runsc, env: process.env })));
}

/** What every runtime gives that is started by root. */
const ROOTS = ["limits", "terminal", "any-id"] as const;

const RUNLC = ["exact-status", "kills-itself", "erofs-first", "log-refused"] as const;
const RUNSC = ["exact-status", "kills-itself", "own-log"] as const;
const RUNC = ["erofs-first", "log-refused"] as const;

export const runlc = cliUnderTest("runlc", [...RUNLC, ...ROOTS, "terminal-size", "own-id"]);

export async function runscRuntimes(): Promise<readonly RuntimeUnderTest[]> {
	const builds = await runscBuilds();
	return builds.map(({ path, abilities }) =>
		cliUnderTest("runsc", [...RUNSC, ...ROOTS, "terminal-size", "own-id"], {
			name: `runsc ${abilities.version}`,
			flags: ["--runsc", path],
		}),
	);
}

function installed(): readonly ("crun" | "runc")[] {
	const folders = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];
	return (["crun", "runc"] as const).filter((runtime) => folders.some((folder) => exists(join(folder, runtime))));
}

export function ociRuntimes(): readonly RuntimeUnderTest[] {
	return installed().map((runtime) => {
		const size = runtime === "runc" ? (["terminal-size"] as const) : [];
		return cliUnderTest(runtime, [...RUNC, ...ROOTS, "own-id", ...size]);
	});
}

/**
 * All of them for an ordinary user: without limits, which the host would have to delegate, and without the terminal, which is
 * tested in test/system/terminal.system.test.ts.
 */
export async function rootlessRuntimes(): Promise<readonly RuntimeUnderTest[]> {
	const builds = await runscBuilds();
	return [
		cliUnderTest("runlc", [...RUNLC, "own-id"], { caller: USER }),
		...builds.map(({ path, abilities }) =>
			cliUnderTest("runsc", [...RUNSC, ...(abilities.ownUid ? (["own-id"] as const) : [])], {
				name: `runsc ${abilities.version}`,
				flags: ["--runsc", path],
				caller: USER,
			}),
		),
		...installed().map((runtime) => cliUnderTest(runtime, RUNC, { caller: USER })),
	];
}
