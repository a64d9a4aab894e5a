/**
 * Programs that the policy holds to their content: the bytes that were found to be right are copied to a file system of
 * the jail's own, and mounted over the program. Whatever becomes of the file on the host, nothing else can run in its name.
 */

import type { ProgramFact } from "../host/types.ts";
import {
	AT_FDCWD,
	AT_REMOVEDIR,
	MNT_DETACH,
	MOUNT_ATTR_NODEV,
	MOUNT_ATTR_NOSUID,
	MOUNT_ATTR_RDONLY,
	O_CLOEXEC,
	O_CREAT,
	O_EXCL,
	O_RDONLY,
	O_WRONLY,
} from "./constants.ts";
import { attach, cloneTree, makeFileSystem, openInside, setAttributes } from "./mounts.ts";
import { cstring, space, struct } from "./steps.ts";
import type { SlotName, Step } from "./types.ts";

const STORE = "/dev/.vmjail-programs";
const STORE_NAME = cstring(STORE.slice("/dev/".length));

const PAGE = 4096;

/** Of struct stat on 64-bit Linux: its size, and where st_size is; the same on x86_64 and aarch64. */
const STAT_SIZE = 144;
const AT_ST_SIZE = 48;

interface Pinned {
	readonly real: string;
	readonly source: string;
	readonly sizeBytes: number;
	/** The name in the store. */
	readonly name: string;
	/** The slot of the bytes, open on the host's side. */
	readonly slot: SlotName;
}

/** One for each file: two entries may lead to the same one. */
function pinnedOf(programs: readonly ProgramFact[]): readonly Pinned[] {
	const byFile = new Map(programs.flatMap(({ real, snapshot }) => (snapshot === undefined ? [] : [[real, snapshot]])));
	return [...byFile].map(([real, snapshot], i) => ({ real, ...snapshot, name: `${i}`, slot: `snapshot ${i}` }));
}

/** In the zygote, before the jail's process is made: opens the bytes. */
export function openSnapshotSteps(programs: readonly ProgramFact[]): readonly Step[] {
	return pinnedOf(programs).map(({ real, source, slot }) => ({
		label: `open the snapshot of ${real}`,
		call: "openat",
		args: [AT_FDCWD, cstring(source), O_RDONLY | O_CLOEXEC, 0],
		save: slot,
	}));
}

/** In the zygote, when the jail's process has them. */
export function closeSnapshotSteps(programs: readonly ProgramFact[]): readonly Step[] {
	return pinnedOf(programs).map(({ real, slot }) => closing(`let go of the snapshot of ${real}`, slot));
}

function closing(label: string, slot: SlotName): Step {
	return { label, call: "close", args: [{ slot }] };
}

function copy({ real, name, slot, sizeBytes }: Pinned): readonly Step[] {
	const status = space(STAT_SIZE, `<struct stat of the copy of ${real}>`);
	const size = struct(`${sizeBytes}`, [{ u64: sizeBytes }]);
	return [
		{
			label: `make a file for ${real}`,
			call: "openat",
			args: [{ slot: "tree" }, cstring(name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o555],
			save: "copy",
		},
		{ label: `let everybody execute ${real}`, call: "fchmod", args: [{ slot: "copy" }, 0o555] },
		{ label: `copy ${real}`, call: "sendfile", args: [{ slot: "copy" }, { slot }, 0, sizeBytes] },
		{ label: `look at the copy of ${real}`, call: "fstat", args: [{ slot: "copy" }, status] },
		{
			label: `check that all of ${real} was copied`,
			call: "expect_equal",
			args: [status, AT_ST_SIZE, size, 0, 8],
		},
		// A file that is open for writing cannot be executed (ETXTBSY).
		closing(`close the copy of ${real}`, "copy"),
	];
}

function cover({ real, name }: Pinned): readonly Step[] {
	return [
		openInside(`${STORE}/${name}`, "source"),
		cloneTree(`take the copy of ${real}`, "source", false, "tree"),
		openInside(real, "target"),
		attach(`lay the copy over ${real}`, "tree", "target"),
	];
}

/** In the jail's process, when its mounts are in place and before it enters its root. */
export function snapshotSteps(programs: readonly ProgramFact[]): readonly Step[] {
	const pinned = pinnedOf(programs);
	if (pinned.length === 0) return [];
	const pages = pinned.reduce((sum, { sizeBytes }) => sum + Math.ceil(sizeBytes / PAGE), 0);
	const data = `size=${(pages + 1) * PAGE},nr_inodes=${pinned.length + 2},mode=755`;
	return [
		openInside("/dev", "dev"),
		{ label: "make a place for copies of programs", call: "mkdirat", args: [{ slot: "dev" }, STORE_NAME, 0o700] },
		...makeFileSystem("tmpfs", { attributes: MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, data }),
		...pinned.flatMap(copy),
		setAttributes("make copies of programs read-only", "tree", MOUNT_ATTR_RDONLY, false),
		openInside(STORE, "target"),
		attach("mount copies of programs", "tree", "target"),
		...pinned.flatMap(cover),
		openInside("/dev", "dev"),
		{ label: "enter /dev", call: "fchdir", args: [{ slot: "dev" }] },
		{ label: "unmount copies of programs", call: "umount2", args: [STORE_NAME, MNT_DETACH] },
		{
			label: "remove the place for copies of programs",
			call: "unlinkat",
			args: [{ slot: "dev" }, STORE_NAME, AT_REMOVEDIR],
		},
	];
}
