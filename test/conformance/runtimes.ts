import { statSync } from "node:fs";
import { join } from "node:path";
import { findRunsc, type Runsc } from "../../src/runtime/runsc/find.ts";
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

export const runlc = cliUnderTest("runlc", [
	"exact-status",
	"kills-itself",
	"erofs-first",
	"terminal",
	"terminal-size",
	"limits",
	"log-refused",
]);

export async function runscRuntimes(): Promise<readonly RuntimeUnderTest[]> {
	const builds = await runscBuilds();
	const gives = ["exact-status", "kills-itself", "terminal", "terminal-size", "limits", "own-log"] as const;
	return builds.map(({ path, abilities }) =>
		cliUnderTest("runsc", gives, { name: `runsc ${abilities.version}`, flags: ["--runsc", path] }),
	);
}

export function ociRuntimes(): readonly RuntimeUnderTest[] {
	const folders = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];
	return (["crun", "runc"] as const).flatMap((runtime) => {
		if (!folders.some((folder) => exists(join(folder, runtime)))) return [];
		const size = runtime === "runc" ? (["terminal-size"] as const) : [];
		return [cliUnderTest(runtime, ["terminal", "erofs-first", "limits", "log-refused", ...size])];
	});
}
