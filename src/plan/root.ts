/** The jail's root: a copy of the host's mounts with fewer rights, made the root of the mount namespace. */

import type { Spec } from "../oci/types.ts";
import {
	AT_FDCWD,
	MNT_DETACH,
	MOUNT_ATTR_NODEV,
	MOUNT_ATTR_NOSUID,
	MOUNT_ATTR_RDONLY,
	MOVE_MOUNT_F_EMPTY_PATH,
	MS_PRIVATE,
	MS_REC,
} from "./constants.ts";
import { cloneTree, openInside, openOutside, ROOT, setAttributes } from "./mounts.ts";
import { cstring } from "./steps.ts";
import type { Step } from "./types.ts";

const SLASH = cstring("/");
const HERE = cstring(".");

/**
 * Before the mounts: cuts propagation, copies the root with everything below it and takes its rights away while it is
 * still detached, then attaches it. The slot ROOT holds it.
 */
export function newRootSteps(root: Spec["root"]): readonly Step[] {
	const attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (root.readonly ? MOUNT_ATTR_RDONLY : 0);
	return [
		{
			label: "make all mounts private",
			call: "mount",
			args: [0, SLASH, 0, MS_REC | MS_PRIVATE, 0],
		},
		openOutside(root.path, "source"),
		cloneTree(`copy the mounts of ${root.path}`, "source", true, ROOT),
		setAttributes(`make the copy ${root.readonly ? "read-only, " : ""}nosuid, nodev`, ROOT, attributes, true),
		{
			label: "attach the new root",
			call: "move_mount",
			args: [{ slot: ROOT }, cstring(""), AT_FDCWD, SLASH, MOVE_MOUNT_F_EMPTY_PATH],
		},
	];
}

/** The links that OCI runtimes make in /dev (config-linux.md, "Default Devices", and runtime-linux.md). */
export function deviceLinkSteps(): readonly Step[] {
	const links = [
		["/proc/self/fd", "fd"],
		["/proc/self/fd/0", "stdin"],
		["/proc/self/fd/1", "stdout"],
		["/proc/self/fd/2", "stderr"],
		["pts/ptmx", "ptmx"],
	] as const;
	return [
		openInside("/dev", "dev"),
		...links.map(
			([target, name]): Step => ({
				label: `link /dev/${name} to ${target}`,
				call: "symlinkat",
				args: [cstring(target), { slot: "dev" }, cstring(name)],
				tolerate: ["EEXIST"],
			}),
		),
	];
}

/** After the mounts: the new root becomes the root and the old one leaves; the current folder ends up inside. */
export function enterRootSteps(): readonly Step[] {
	return [
		{ label: "enter the new root", call: "fchdir", args: [{ slot: ROOT }] },
		{ label: "make it the root", call: "pivot_root", args: [HERE, HERE] },
		{ label: "detach the old root", call: "umount2", args: [HERE, MNT_DETACH] },
		{ label: "leave the old folder", call: "chdir", args: [SLASH] },
	];
}
