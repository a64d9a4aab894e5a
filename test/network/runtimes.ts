/** The runtimes of this machine that network tests run on, with the flags that name them to vmjail. */

import { ociRuntimes, runscBuilds } from "../conformance/runtimes.ts";
import { requireOr } from "../helpers/requirement.ts";

export interface NetworkRuntime {
	readonly name: string;
	readonly kind: "runlc" | "runsc" | "runc" | "crun";
	readonly flags: readonly string[];
}

export const RUNLC: NetworkRuntime = { name: "runlc", kind: "runlc", flags: [] };

/** One for each build of gVisor that is there. */
export async function runscs(): Promise<readonly NetworkRuntime[]> {
	const builds = await runscBuilds();
	requireOr(builds.length > 0 ? undefined : "no runsc to test with: sh scripts/get-runsc.sh");
	return builds.map(({ path, abilities }) => ({
		name: `runsc ${abilities.version}`,
		kind: "runsc",
		flags: ["--runtime", "runsc", "--runsc", path],
	}));
}

export function runcs(): readonly NetworkRuntime[] {
	const found = ociRuntimes();
	requireOr(found.length > 0 ? undefined : "neither crun nor runc is installed: apt-get install crun runc");
	return found.map(({ kind }) => ({ name: kind, kind, flags: ["--runtime", kind] }));
}
