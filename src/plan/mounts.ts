/** The mounts of a spec as steps. Targets are found below the jail's own root, never by the host's paths. */

import { posix as path } from "node:path";
import { VmjailError } from "../errors.ts";
import type { PathFact } from "../host/types.ts";
import type { Mount } from "../oci/types.ts";
import {
	AT_EMPTY_PATH,
	AT_FDCWD,
	AT_RECURSIVE,
	MOUNT_ATTR_RDONLY,
	MOVE_MOUNT_F_EMPTY_PATH,
	MOVE_MOUNT_T_EMPTY_PATH,
	O_CLOEXEC,
	O_PATH,
	OPEN_TREE_CLOEXEC,
	OPEN_TREE_CLONE,
	RESOLVE_IN_ROOT,
	RESOLVE_NO_MAGICLINKS,
	RESOLVE_NO_SYMLINKS,
	S_IFREG,
} from "./constants.ts";
import { attributesOf, type MountOptions, parseOptions } from "./options.ts";
import { cstring, struct } from "./steps.ts";
import type { Bytes, SlotName, Step } from "./types.ts";

/** The slot that holds the jail's new root. */
export const ROOT: SlotName = "root";
const TARGET: SlotName = "target";
const SOURCE: SlotName = "source";
const TREE: SlotName = "tree";

const EMPTY = cstring("");

/** struct open_how: O_PATH, with the given RESOLVE_ flags. */
function openHow(resolve: number, shown: string): Bytes {
	return struct(`{O_PATH|O_CLOEXEC, ${shown}}`, [{ u64: O_PATH | O_CLOEXEC }, { u64: 0 }, { u64: resolve }]);
}

const INSIDE = openHow(
	RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
	"RESOLVE_IN_ROOT|RESOLVE_NO_SYMLINKS",
);
const OUTSIDE = openHow(RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS, "RESOLVE_NO_SYMLINKS");

/** Opens a place inside the jail's root, as O_PATH. A link anywhere on the way is an error: policy paths are resolved. */
export function openInside(target: string, save: SlotName): Step {
	const relative = cstring(target === "/" ? "." : target.slice(1));
	return { label: `find ${target} in the jail`, call: "openat2", args: [{ slot: ROOT }, relative, INSIDE, 24], save };
}

/** struct mount_attr with attributes to set. */
function mountAttr(attributes: number): Bytes {
	return struct(`{attr_set=0x${attributes.toString(16)}}`, [{ u64: attributes }, { u64: 0 }, { u64: 0 }, { u64: 0 }]);
}

export function setAttributes(label: string, slot: SlotName, attributes: number, recursive: boolean): Step {
	const flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
	return { label, call: "mount_setattr", args: [{ slot }, EMPTY, flags, mountAttr(attributes), 32] };
}

/** Copies the mount at an open place, detached. */
export function cloneTree(label: string, from: SlotName, recursive: boolean, save: SlotName): Step {
	const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
	return { label, call: "open_tree", args: [{ slot: from }, EMPTY, flags], save };
}

/** Attaches a detached mount to an open place. */
export function attach(label: string, tree: SlotName, target: SlotName): Step {
	const flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
	return { label, call: "move_mount", args: [{ slot: tree }, EMPTY, { slot: target }, EMPTY, flags] };
}

/** Opens a path of the host, refusing links: what was resolved when the policy was read must not have changed since. */
export function openOutside(source: string, save: SlotName): Step {
	return { label: `open ${source} on the host`, call: "openat2", args: [AT_FDCWD, cstring(source), OUTSIDE, 24], save };
}

/** The nearest earlier mount at or above a path. */
export function enclosing(mounts: readonly Mount[], destination: string): Mount | undefined {
	const above = mounts.filter(({ destination: d }) => destination.startsWith(d === "/" ? "/" : `${d}/`));
	return above.toSorted((a, b) => a.destination.length - b.destination.length || 0).at(-1);
}

/** The open folder that the last mount point was made in: many lie in one, /dev above all. */
const PARENT: SlotName = "parent";

/**
 * Makes the mount point inside a tmpfs of the jail's own: folders on the way, then a folder or an empty file.
 *
 * @param opened the folder that the slot PARENT holds, if any
 */
export function makeMountPoint(
	base: string,
	mount: Mount,
	paths: Readonly<Record<string, PathFact>>,
	opened?: string,
): readonly Step[] {
	const { destination } = mount;
	const folder = isFolder(mount, parseOptions(mount.options ?? [], destination), paths);
	const names = path.relative(base, destination).split("/");
	return names.flatMap((name, i): readonly Step[] => {
		const parent = path.join(base, ...names.slice(0, i));
		const isFile = !folder && i === names.length - 1;
		const label = `make ${path.join(parent, name)} in the jail`;
		const make: Step = isFile
			? { label, call: "mknodat", args: [{ slot: PARENT }, cstring(name), S_IFREG | 0o644, 0], tolerate: ["EEXIST"] }
			: { label, call: "mkdirat", args: [{ slot: PARENT }, cstring(name), 0o755], tolerate: ["EEXIST"] };
		return parent === opened && i === 0 ? [make] : [openInside(parent, PARENT), make];
	});
}

/** fsconfig(2) */
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;

function configure(type: string, parameter: string): Step {
	const [key = "", value] = parameter.split(/=(.*)/s);
	const label = `set ${parameter} for ${type}`;
	if (value === undefined) {
		return { label, call: "fsconfig", args: [{ slot: "fs" }, FSCONFIG_SET_FLAG, cstring(key), 0, 0] };
	}
	return { label, call: "fsconfig", args: [{ slot: "fs" }, FSCONFIG_SET_STRING, cstring(key), cstring(value), 0] };
}

/** A new file system, detached, in a slot; by descriptors, since the place below may not be searchable by us. */
export function makeFileSystem(
	type: string,
	options: Pick<MountOptions, "attributes" | "data">,
	save: SlotName = TREE,
): readonly Step[] {
	return [
		{ label: `open ${type}`, call: "fsopen", args: [cstring(type), FSOPEN_CLOEXEC], save: "fs" },
		...options.data.split(",").flatMap((parameter) => (parameter === "" ? [] : [configure(type, parameter)])),
		{ label: `make ${type}`, call: "fsconfig", args: [{ slot: "fs" }, FSCONFIG_CMD_CREATE, 0, 0, 0] },
		{
			label: `mount ${type}`,
			call: "fsmount",
			args: [{ slot: "fs" }, FSMOUNT_CLOEXEC, options.attributes],
			save,
		},
	];
}

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/** Empty files cost no bytes of a tmpfs, yet the kernel's memory: a sized one gets an inode for each 2 KiB, and 1024 at least. */
export function withInodes(data: string): string {
	const size = /(?:^|,)size=(\d+)([kmg]?)(?:,|$)/i.exec(data);
	if (size === null || /(?:^|,)nr_inodes=/.test(data)) return data;
	const bytes = Number(size[1]) * (UNITS[(size[2] ?? "").toLowerCase()] ?? 1);
	return `${data},nr_inodes=${Math.max(1024, Math.ceil(bytes / 2048))}`;
}

function newFileSystem(mount: Mount, options: MountOptions): readonly Step[] {
	const type = mount.type ?? "none";
	const bounded = type === "tmpfs" ? { ...options, data: withInodes(options.data) } : options;
	return [
		...makeFileSystem(type, bounded),
		openInside(mount.destination, TARGET),
		attach(`mount ${type} on ${mount.destination}`, TREE, TARGET),
	];
}

function bind(mount: Mount, options: MountOptions): readonly Step[] {
	const source = mount.source ?? mount.destination;
	const target = mount.destination;
	const attributes = attributesOf(options);
	return [
		openOutside(source, SOURCE),
		cloneTree(`copy the mount of ${source}`, SOURCE, options.recursive, TREE),
		...(attributes === 0 ? [] : [setAttributes(`restrict ${target}`, TREE, attributes, options.recursive)]),
		openInside(target, TARGET),
		attach(`bind ${source} to ${target}`, TREE, TARGET),
	];
}

function isFolder(mount: Mount, options: MountOptions, paths: Readonly<Record<string, PathFact>>): boolean {
	if (!options.bind) return true;
	const source = mount.source ?? mount.destination;
	const kind = paths[source]?.kind;
	return kind === undefined ? options.recursive : kind === "directory";
}

const KNOWN_TYPES: ReadonlySet<string> = new Set(["proc", "sysfs", "tmpfs", "devpts", "mqueue", "ramfs"]);

/**
 * Steps for every mount of a spec, in its order; read-only file systems become so last, when the mount points inside
 * them exist.
 *
 * @throws VmjailError POLICY_INVALID for a type or option that runlc does not give.
 */
export function mountSteps(mounts: readonly Mount[], paths: Readonly<Record<string, PathFact>>): readonly Step[] {
	const steps: Step[] = [];
	const late: Step[] = [];
	let opened: string | undefined;
	for (const [i, mount] of mounts.entries()) {
		const options = parseOptions(mount.options ?? [], mount.destination);
		const base = enclosing(mounts.slice(0, i), mount.destination);
		if (base?.type === "tmpfs") {
			steps.push(...makeMountPoint(base.destination, mount, paths, opened));
			opened = path.dirname(mount.destination);
		}
		// What was open is another folder than what is there now.
		if (opened !== undefined && (opened === mount.destination || opened.startsWith(`${mount.destination}/`))) {
			opened = undefined;
		}
		if (options.bind) {
			steps.push(...bind(mount, options));
			continue;
		}
		if (!KNOWN_TYPES.has(mount.type ?? "")) {
			throw new VmjailError(
				"POLICY_INVALID",
				`mount on ${mount.destination}: type ${mount.type ?? "(none)"} is not one that runlc mounts`,
				{
					remedy: `Use a bind, or one of ${[...KNOWN_TYPES].join(", ")}.`,
				},
			);
		}
		steps.push(...newFileSystem(mount, options));
		if (options.readonly) {
			late.push(openInside(mount.destination, TARGET));
			late.push(setAttributes(`make ${mount.destination} read-only`, TARGET, MOUNT_ATTR_RDONLY, false));
		}
	}
	return [...steps, ...late];
}
