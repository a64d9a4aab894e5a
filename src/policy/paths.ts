/** Paths of the policy. They are compared as text here; links are resolved later, on the host, once. */

import { posix } from "node:path";
import type { Parsed } from "./parsed.ts";
import { show } from "./shown.ts";

/** PATH_MAX and NAME_MAX of linux/limits.h, the former without its final NUL. */
const LONGEST_PATH = 4095;
const LONGEST_NAME = 255;

/**
 * An absolute path without doubled, trailing or "." parts. ".." is refused: behind a link it leads elsewhere than its
 * text says. Lengths are in bytes of UTF-8.
 */
export function parsePath(text: string): Parsed<string> {
	if (text === "") return { problem: "expected an absolute path, got an empty one" };
	if (text.includes("\0")) return { problem: `a path cannot hold a NUL character, got ${show(text)}` };
	if (text === "~" || text.startsWith("~/"))
		return { problem: `"~" has no meaning in a policy, got ${show(text)}: write the whole path` };
	if (text.startsWith("$"))
		return { problem: `variables have no meaning in a policy, got ${show(text)}: write the whole path` };
	if (!text.startsWith("/")) return { problem: `expected an absolute path, got ${show(text)}: begin it with "/"` };
	const parts = text.split("/");
	if (parts.includes("..")) return { problem: `expected a path without "..", got ${show(text)}` };
	if (byteLength(text) > LONGEST_PATH)
		return { problem: `a path has at most ${LONGEST_PATH} bytes, got ${show(text)}` };
	if (parts.some((part) => byteLength(part) > LONGEST_NAME))
		return { problem: `a file name has at most ${LONGEST_NAME} bytes, got ${show(text)}` };
	const normal = posix.normalize(text);
	return { value: normal.length > 1 && normal.endsWith("/") ? normal.slice(0, -1) : normal };
}

function byteLength(text: string): number {
	// At most three bytes for each UTF-16 unit: most paths need no encoding to be measured.
	return text.length * 3 <= LONGEST_NAME ? text.length : new TextEncoder().encode(text).length;
}

/** Is `path` the folder itself or below it? Both normalised. */
export function isWithin(path: string, folder: string): boolean {
	return path === folder || folder === "/" || path.startsWith(`${folder}/`);
}

/** Kernel file systems, which every jail gets its own, restricted view of. */
const KERNEL_TREES = ["/proc", "/sys", "/dev"];

/** A path that may be made writable, or covered by a tmpfs. */
export function parseWritablePath(text: string): Parsed<string> {
	const parsed = parsePath(text);
	if ("problem" in parsed) return parsed;
	const tree = KERNEL_TREES.find((folder) => isWithin(parsed.value, folder));
	if (parsed.value === "/")
		return { problem: `"/" cannot be listed here: set system.root.readonly to false for a writable root` };
	if (tree !== undefined)
		return { problem: `${show(text)} cannot be writable: every jail gets its own restricted ${tree}` };
	return parsed;
}

/** A path that may be hidden: any but "/". */
export function parseMaskedPath(text: string): Parsed<string> {
	const parsed = parsePath(text);
	return "value" in parsed && parsed.value === "/"
		? { problem: `"/" cannot be masked: nothing would be left to run` }
		: parsed;
}
