/** Masked and read-only paths of a spec as steps, and a check that each mask is where it should be. */

import type { PathFact } from "../host/types.ts";
import {
	MOUNT_ATTR_NODEV,
	MOUNT_ATTR_NOEXEC,
	MOUNT_ATTR_NOSUID,
	MOUNT_ATTR_RDONLY,
	O_CLOEXEC,
	O_CREAT,
	O_EXCL,
	O_PATH,
} from "./constants.ts";
import { attach, cloneTree, makeFileSystem, openInside, openOutside, setAttributes } from "./mounts.ts";
import { cstring, space, struct } from "./steps.ts";
import type { SlotName, Step } from "./types.ts";

/**
 * One tmpfs holds an empty folder and an empty file; every mask is a bind of one of them. It lies in the old root, with
 * which it goes: to unmount it by itself would wait for every processor (an RCU grace period) once more. A host without
 * /proc is refused before.
 */
const STORE = "/proc";
const FOLDER: SlotName = "empty folder";
const FILE: SlotName = "empty file";

const STORE_OPTIONS = {
	attributes: MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
	data: "size=4k,nr_inodes=4,mode=755",
};

/** statfs.f_type of tmpfs (magic.h) and the size of struct statfs on 64-bit Linux. */
const TMPFS_MAGIC = 0x01021994;
const STATFS_SIZE = 120;

function inStore(name: string, label: string, flags: number, save: SlotName): Step {
	return { label, call: "openat", args: [{ slot: "tree" }, cstring(name), flags | O_CLOEXEC, 0o444], save };
}

function makeStore(): readonly Step[] {
	return [
		...makeFileSystem("tmpfs", STORE_OPTIONS),
		{ label: "make the empty folder", call: "mkdirat", args: [{ slot: "tree" }, cstring("folder"), 0o555] },
		inStore("file", "make the empty file", O_CREAT | O_EXCL, FILE),
		setAttributes("make masks read-only", "tree", MOUNT_ATTR_RDONLY, false),
		openOutside(STORE, "target"),
		attach("mount the masks in the old root", "tree", "target"),
		// What lies in a mount namespace can be bound elsewhere; before Linux 6.15 nothing else.
		inStore("folder", "open the empty folder", O_PATH, FOLDER),
		inStore("file", "open the empty file", O_PATH, FILE),
	];
}

/** Looks the path up again and fails unless what is found there is our tmpfs. */
function verify(path: string): readonly Step[] {
	const found = space(STATFS_SIZE, `<struct statfs of ${path}>`);
	const magic = struct("TMPFS_MAGIC", [{ u64: TMPFS_MAGIC }]);
	return [
		openInside(path, "found"),
		{ label: `look at ${path}`, call: "fstatfs", args: [{ slot: "found" }, found] },
		{ label: `check that ${path} is masked`, call: "expect_equal", args: [found, 0, magic, 0, 8] },
	];
}

function mask(path: string, by: SlotName): readonly Step[] {
	return [
		openInside(path, "target"),
		cloneTree(`copy the ${by}`, by, false, "tree"),
		attach(`mask ${path}`, "tree", "target"),
		...verify(path),
	];
}

/** Is there something to hide? A path that nobody looked at counts as there: if it is not, the plan fails. */
function isPresent(path: string, paths: Readonly<Record<string, PathFact>>): boolean {
	return paths[path]?.kind !== "missing";
}

/**
 * Steps that hide paths: a folder under an empty read-only one, anything else under an empty file. A path that `paths`
 * says is missing is not there to be hidden.
 */
export function maskSteps(masked: readonly string[], paths: Readonly<Record<string, PathFact>>): readonly Step[] {
	const present = masked.filter((path) => isPresent(path, paths));
	if (present.length === 0) return [];
	const masks = present.flatMap((path) => mask(path, paths[path]?.kind === "directory" ? FOLDER : FILE));
	return [...makeStore(), ...masks];
}

/** Steps that make what is mounted at each path, and below, read-only by a bind of itself. */
export function readonlySteps(paths: readonly string[], facts: Readonly<Record<string, PathFact>>): readonly Step[] {
	return paths
		.filter((path) => isPresent(path, facts))
		.flatMap((path) => [
			openInside(path, "target"),
			cloneTree(`copy the mount of ${path}`, "target", true, "tree"),
			setAttributes(`restrict ${path}`, "tree", MOUNT_ATTR_RDONLY, true),
			attach(`make ${path} read-only`, "tree", "target"),
		]);
}
