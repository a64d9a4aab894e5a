/** Masked and read-only paths of a spec as steps, and a check that each mask is where it should be. */

import type { PathFact } from "../host/types.ts";
import { MOUNT_ATTR_RDONLY, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, O_CLOEXEC, O_CREAT, O_EXCL } from "./constants.ts";
import { attach, cloneTree, mountHere, openInside, setAttributes } from "./mounts.ts";
import { cstring, space, struct } from "./steps.ts";
import type { Step } from "./types.ts";

/** The empty file that covers masked files: made in the jail's own /dev, bound, and unlinked at the end. */
const EMPTY_FILE = "/dev/.vmjail-empty";

/** statfs.f_type of tmpfs (magic.h) and the size of struct statfs on 64-bit Linux. */
const TMPFS_MAGIC = 0x01021994;
const STATFS_SIZE = 120;

const EMPTY_FOLDER_FLAGS = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;

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

function maskFolder(path: string): readonly Step[] {
	return [
		openInside(path, "target"),
		{ label: `enter ${path}`, call: "fchdir", args: [{ slot: "target" }] },
		mountHere("tmpfs", path, EMPTY_FOLDER_FLAGS, "size=4k,nr_inodes=2,mode=555"),
		...verify(path),
	];
}

function maskFile(path: string): readonly Step[] {
	return [
		openInside(path, "target"),
		cloneTree("copy the mount of the empty file", "empty", false, "tree"),
		setAttributes(`make the mask of ${path} read-only`, "tree", MOUNT_ATTR_RDONLY | 0xe, false),
		attach(`mask ${path}`, "tree", "target"),
		...verify(path),
	];
}

function makeEmptyFile(): readonly Step[] {
	return [
		openInside("/dev", "dev"),
		{
			label: "make the empty file for masks",
			call: "openat",
			args: [{ slot: "dev" }, cstring(EMPTY_FILE.slice("/dev/".length)), O_CREAT | O_EXCL | O_CLOEXEC, 0o444],
			save: "empty",
		},
	];
}

function removeEmptyFile(): Step {
	const name = cstring(EMPTY_FILE.slice("/dev/".length));
	return { label: "unlink the empty file for masks", call: "unlinkat", args: [{ slot: "dev" }, name, 0] };
}

/**
 * Steps that hide paths: a folder under an empty read-only tmpfs, anything else under an empty file.
 * A path that `paths` says is missing is not there to be hidden.
 */
export function maskSteps(masked: readonly string[], paths: Readonly<Record<string, PathFact>>): readonly Step[] {
	const present = masked.filter((path) => (paths[path]?.kind ?? "missing") !== "missing");
	const isFolder = (path: string) => paths[path]?.kind === "directory";
	const folders = present.filter(isFolder);
	const files = present.filter((path) => !isFolder(path));
	const forFiles = files.length === 0 ? [] : [...makeEmptyFile(), ...files.flatMap(maskFile), removeEmptyFile()];
	return [...forFiles, ...folders.flatMap(maskFolder)];
}

/** Steps that make what is mounted at each path, and below, read-only by a bind of itself. */
export function readonlySteps(paths: readonly string[], facts: Readonly<Record<string, PathFact>>): readonly Step[] {
	return paths
		.filter((path) => (facts[path]?.kind ?? "missing") !== "missing")
		.flatMap((path) => [
			openInside(path, "target"),
			cloneTree(`copy the mount of ${path}`, "target", true, "tree"),
			setAttributes(`restrict ${path}`, "tree", MOUNT_ATTR_RDONLY, true),
			attach(`make ${path} read-only`, "tree", "target"),
		]);
}

