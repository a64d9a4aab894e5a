/** Which descriptors may become a sandbox's standard streams. */

import { fstatSync, readFileSync } from "node:fs";

/** What matters of an open file: proc_pid_fdinfo(5), and whether it is a regular file. */
export interface OpenFile {
	readonly regular: boolean;
	/** In bytes. */
	readonly position: number;
	/** O_APPEND. */
	readonly append: boolean;
}

/** include/uapi/asm-generic/fcntl.h */
const O_APPEND = 0o2000;

/**
 * Does the Sentry read or write this stream as the caller means it? It keeps its own position in a regular file, from 0,
 * and does not move the caller's: it would read again what was read, and write over what was written, before and after.
 */
export function isFaithful(file: OpenFile, stream: "stdin" | "stdout" | "stderr"): boolean {
	if (!file.regular) return true;
	return stream === "stdin" ? file.position === 0 : file.append;
}

export function openFile(descriptor: number): OpenFile {
	const info = readFileSync(`/proc/self/fdinfo/${descriptor}`, "utf8");
	const field = (name: string) => new RegExp(`^${name}:\\s*(\\d+)`, "m").exec(info)?.[1] ?? "0";
	return {
		regular: fstatSync(descriptor).isFile(),
		position: Number(field("pos")),
		append: (Number.parseInt(field("flags"), 8) & O_APPEND) !== 0,
	};
}
