/** What `vmjail doctor` says of gVisor: what a run with "runtime": "runsc" would find out. */

import { VmjailError } from "../errors.ts";
import type { Finding } from "../host/findings/types.ts";
import { probeGvisor, type RuntimeOptions } from "../jail/choose.ts";
import { session } from "../jail/session.ts";
import type { RunscProbe } from "../runtime/runsc/probe.ts";

/** What a policy takes that says nothing of it. */
const PLATFORM = "systrap";

const NAME = "runsc (gVisor)";

/** @param options absent: there is no executor to try it with */
export async function gvisorFinding(options: RuntimeOptions | undefined): Promise<Finding> {
	if (options === undefined) {
		const detail = "not tried: the executor would have to start it";
		return { name: NAME, ok: "no", detail, fix: "npm run build", needed: false };
	}
	try {
		return findingOf(await probeGvisor(PLATFORM, await session().facts(), options));
	} catch (error) {
		if (!(error instanceof VmjailError)) throw error;
		const { message, remedy } = error;
		return findingOf({ works: false, why: message, ...(remedy === undefined ? {} : { remedy }) });
	}
}

/** Pure. */
export function findingOf(probe: RunscProbe): Finding {
	const { runsc } = probe;
	const found =
		runsc === undefined
			? {}
			: {
					runtime: {
						path: runsc.path,
						version: runsc.abilities.version,
						platforms: runsc.abilities.platforms,
						remembered: probe.works && probe.remembered,
					},
				};
	const which = runsc === undefined ? "" : `${runsc.path}, ${runsc.abilities.version}`;
	if (probe.works) {
		const when = probe.remembered ? "has run a program since the machine started" : "ran a program just now";
		return { name: NAME, ok: "yes", detail: `${which}: ${when} (${PLATFORM})`, needed: false, ...found };
	}
	const detail = which === "" ? probe.why : `${which}: ${probe.why}`;
	const fix = probe.remedy ?? "Run vmjail --runtime runsc --debug-log DIR -- true, and see what gVisor says there.";
	return { name: NAME, ok: "no", detail: oneLine(detail), fix, needed: false, ...found };
}

function oneLine(text: string): string {
	return text.trim().replaceAll(/\s*\n\s*/g, "; ");
}
