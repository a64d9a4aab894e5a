/** Entries of `security.process.allow`: "/usr/bin/ls", or "/usr/bin/ls@sha256:…" to hold it to its content. */

export interface AllowedProgram {
	/** Absolute. */
	readonly path: string;
	/** 64 lower-case hexadecimal digits. */
	readonly sha256?: string;
}

const ENTRY = /^(?<path>.*)@sha256:(?<sha256>[0-9a-f]{64})$/s;

/** The parts of an entry. A path that itself contains "@sha256:" and not a whole digest stays a path. */
export function parseProgram(entry: string): AllowedProgram {
	const groups = ENTRY.exec(entry)?.groups;
	if (groups?.["path"] === undefined || groups["sha256"] === undefined) return { path: entry };
	return { path: groups["path"], sha256: groups["sha256"] };
}
