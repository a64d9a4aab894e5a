/** What lies at a path of the host. */

import { lstatSync, realpathSync } from "node:fs";
import type { PathKind } from "./stage/types.ts";

/** Looks without following links; what cannot be looked at is "missing". Devices, sockets and pipes are files. */
export function pathKind(path: string): PathKind {
	try {
		if (realpathSync(path) !== path) return "link";
		return lstatSync(path).isDirectory() ? "directory" : "file";
	} catch {
		return "missing";
	}
}
