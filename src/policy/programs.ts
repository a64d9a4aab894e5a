/** Entries of `security.process.allow`: "/usr/bin/ls", or "/usr/bin/ls@sha256:…" to hold it to its content. */

import type { Parsed } from "./parsed.ts";
import { parsePath } from "./paths.ts";
import { show } from "./shown.ts";

export interface AllowedProgram {
	/** Absolute. */
	readonly path: string;
	/** 64 lower-case hexadecimal digits. */
	readonly sha256?: string;
}

const MARK = "@sha256:";
const ENTRY = /^(?<path>.*)@sha256:(?<sha256>[0-9a-f]{64})$/s;

/** An entry as a policy may write it, normalised: the path as {@link parsePath} does it, the digest in lower case. */
export function parseAllowed(entry: string): Parsed<string> {
	const at = entry.lastIndexOf(MARK);
	if (at < 0) return parsePath(entry);
	const path = parsePath(entry.slice(0, at));
	if ("problem" in path) return path;
	const digest = entry.slice(at + MARK.length).toLowerCase();
	if (!/^[0-9a-f]{64}$/.test(digest)) {
		return {
			problem: `expected 64 hexadecimal digits after "${MARK}", got ${show(digest)}: \`sha256sum ${path.value}\` prints them`,
		};
	}
	return { value: `${path.value}${MARK}${digest}` };
}

/** The parts of an entry. A path that itself contains "@sha256:" and not a whole digest stays a path. */
export function parseProgram(entry: string): AllowedProgram {
	const groups = ENTRY.exec(entry)?.groups;
	if (groups?.["path"] === undefined || groups["sha256"] === undefined) return { path: entry };
	return { path: groups["path"], sha256: groups["sha256"] };
}
