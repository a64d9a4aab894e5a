/** What was refused, as outcomes tell it. */

import type { ExecDenial } from "../executor/frames.ts";
import type { NetDenied } from "../network/events.ts";
import type { Denial } from "../outcome/types.ts";

export function networkDenial({ wouldAllow, process, message }: NetDenied): Denial {
	const by = process === undefined ? "" : `${process.exe ?? ""} (process ${process.pid}): `;
	const allowedBy = wouldAllow === undefined ? {} : { allowedBy: wouldAllow.flag };
	return { control: "network", detail: `${by}${message}`, ...allowedBy };
}

export function programDenial({ path, pid, killed }: ExecDenial): Denial {
	const detail = `${path} (process ${pid}) is not in security.process.allow${killed ? "; killed before it ran" : ""}`;
	// What has no path (a deleted or memory file, a program that may not be looked at) cannot be listed.
	const hasPath = path.startsWith("/") && !path.endsWith(" (deleted)") && !path.includes("\\");
	return { control: "exec", detail, ...(hasPath ? { allowedBy: `--exec ${path}` } : {}) };
}
