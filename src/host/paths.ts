/** What the paths of a policy are, their links followed one at a time and written down. */

import { dirname, join } from "node:path/posix";
import { errnoOf, type FileStat, type HostFs, nodeFs } from "./fs.ts";
import type { PathFact, PathLink } from "./types.ts";

/** As many as the kernel follows (path_resolution(7)). */
const MAX_LINKS = 40;

type Lstat = (path: string) => FileStat | undefined;

/**
 * A folder is the caller's own where root or the caller owns it and nobody else may write: not others, and of groups
 * only root's and the caller's private one (same number as the user).
 */
function writableByOthers(folder: FileStat | undefined, uid: number): boolean {
	if (folder === undefined || (folder.uid !== 0 && folder.uid !== uid)) return true;
	if ((folder.mode & 0o002) !== 0) return true;
	return (folder.mode & 0o020) !== 0 && folder.gid !== 0 && folder.gid !== uid;
}

interface Walk {
	readonly real: string;
	readonly stat: FileStat | undefined;
	readonly links: readonly PathLink[];
}

/** path_resolution(7) in user space: a later component never replaces an earlier one without its link being listed. */
function walk(path: string, fs: HostFs, lstat: Lstat, uid: number): Walk | "loop" {
	const links: PathLink[] = [];
	let rest = path.split("/").filter((name) => name !== "" && name !== ".");
	let at = "/";
	let stat = lstat("/");
	while (rest.length > 0) {
		const [name = "", ...after] = rest;
		rest = after;
		if (name === "..") {
			at = dirname(at);
			stat = lstat(at);
			continue;
		}
		const next = join(at, name);
		const found = stat?.kind === "directory" ? lstat(next) : undefined;
		if (found === undefined) return { real: next, stat: undefined, links };
		if (found.kind !== "link") {
			at = next;
			stat = found;
			continue;
		}
		if (links.length === MAX_LINKS) return "loop";
		const target = fs.readLink(next);
		links.push({
			path: next,
			target,
			ownerUid: found.uid,
			directoryWritableByOthers: writableByOthers(stat, uid),
		});
		if (target.startsWith("/")) {
			at = "/";
			stat = lstat("/");
		}
		rest = [...target.split("/").filter((part) => part !== "" && part !== "."), ...after];
	}
	return { real: at, stat, links };
}

function factOf(path: string, fs: HostFs, lstat: Lstat, uid: number): PathFact {
	try {
		const end = walk(path, fs, lstat, uid);
		if (end === "loop") return { path, kind: "unreadable" };
		const links = end.links.length === 0 ? {} : { links: end.links };
		if (end.stat === undefined || end.stat.kind === "link") return { path, ...links, kind: "missing" };
		const { kind, major, minor } = end.stat;
		const device = kind === "char" || kind === "block" ? { device: { major, minor } } : {};
		return { path, real: end.real, ...links, ...device, kind };
	} catch (error) {
		const missing = ["ENOENT", "ENOTDIR", "ENAMETOOLONG"].includes(errnoOf(error));
		return { path, kind: missing ? "missing" : "unreadable" };
	}
}

/**
 * One fact per path, by the path as given.
 *
 * `missing`: there is no such file, or a link on the way leads nowhere (the links are still listed).
 * `unreadable`: the caller may not look, or the links never end. Never throws.
 *
 * @param paths absolute
 */
export function probePaths(
	paths: readonly string[],
	options: { readonly fs?: HostFs; readonly uid?: number } = {},
): Readonly<Record<string, PathFact>> {
	const { fs = nodeFs, uid = process.geteuid?.() ?? 0 } = options;
	const seen = new Map<string, FileStat | undefined>();
	// Policies name many paths below the same few folders.
	const lstat: Lstat = (path) => {
		if (!seen.has(path)) seen.set(path, fs.lstat(path));
		return seen.get(path);
	};
	return Object.fromEntries(paths.map((path) => [path, factOf(path, fs, lstat, uid)]));
}
