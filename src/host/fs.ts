/** What probes need of the file system, so that tests can show them other hosts. */

import { accessSync, constants, lstatSync, readdirSync, readFileSync, readlinkSync, type Stats } from "node:fs";
import type { PathFact } from "./types.ts";

export type FileKind = Exclude<PathFact["kind"], "missing" | "unreadable"> | "link";

export interface FileStat {
	readonly kind: FileKind;
	readonly uid: number;
	readonly gid: number;
	/** Permission bits, with set-id and sticky. */
	readonly mode: number;
	/** Of a device. */
	readonly major: number;
	readonly minor: number;
	readonly modifiedMs: number;
}

/** Every function throws Node's error, with `code`, where the system call fails. Nothing here writes. */
export interface HostFs {
	readonly readFile: (path: string) => string;
	readonly readDirectory: (path: string) => readonly string[];
	readonly readLink: (path: string) => string;
	/** The file itself, not what a link leads to; undefined where there is none. */
	readonly lstat: (path: string) => FileStat | undefined;
	/** Undefined where access(2) lets the caller write, else its error: "EACCES", "EROFS", "ENOENT". */
	readonly whyNotWritable: (path: string) => string | undefined;
}

/** The code of a system error: "ENOENT". */
export function errnoOf(error: unknown): string {
	const code = error instanceof Error && "code" in error ? error.code : undefined;
	return typeof code === "string" ? code : "EIO";
}

/** The result, or undefined where the call fails: for what a host may lack. */
export function attempt<T>(call: () => T): T | undefined {
	try {
		return call();
	} catch {
		return undefined;
	}
}

function kindOf(stats: Stats): FileKind {
	if (stats.isDirectory()) return "directory";
	if (stats.isSymbolicLink()) return "link";
	if (stats.isCharacterDevice()) return "char";
	if (stats.isBlockDevice()) return "block";
	if (stats.isFIFO()) return "fifo";
	if (stats.isSocket()) return "socket";
	return "file";
}

function lstat(path: string): FileStat | undefined {
	const stats = lstatSync(path, { throwIfNoEntry: false });
	if (stats === undefined) return undefined;
	// The kernel's 32-bit encoding of device numbers: 12 bits of major in the middle of 20 bits of minor.
	const device = stats.rdev;
	return {
		kind: kindOf(stats),
		uid: stats.uid,
		gid: stats.gid,
		mode: stats.mode & 0o7777,
		major: (device >>> 8) & 0xfff,
		minor: (device & 0xff) | ((device >>> 12) & 0xfff00),
		modifiedMs: stats.mtimeMs,
	};
}

/** The real file system. */
export const nodeFs: HostFs = {
	readFile: (path) => readFileSync(path, "utf8"),
	readDirectory: (path) => readdirSync(path),
	readLink: (path) => readlinkSync(path),
	lstat,
	whyNotWritable: (path) => {
		try {
			accessSync(path, constants.W_OK);
			return undefined;
		} catch (error) {
			return errnoOf(error);
		}
	},
};
