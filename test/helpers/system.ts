import { execFileSync } from "node:child_process";
import { leftovers, leftSince } from "./clean.ts";

/** Vitest's global setup of the `system` project: builds what is stale. The function it returns runs at the end. */
export function setup(): () => Promise<void> {
	execFileSync("sh", ["scripts/setup.sh"], { stdio: ["ignore", "inherit", "inherit"] });
	const before = leftovers();
	return async () => {
		const left = await leftSince(before);
		if (left.length === 0) return;
		process.exitCode = 1; // vitest prints what a teardown throws, and ends with 0 all the same
		throw new Error(`the tests left behind:\n${left.join("\n")}`);
	};
}
