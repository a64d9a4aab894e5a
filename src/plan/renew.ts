/**
 * What a program may have changed in its jail is made anew for the next one: every writable file system of the jail's
 * own, and what is mounted below those. The host's writable folders are the policy's wish and stay.
 *
 * The old mounts are known by descriptors that were open before a program ran: whatever a program renamed, these are meant.
 */

import type { HostFacts } from "../host/types.ts";
import type { Mount, Spec } from "../oci/types.ts";
import {
	CLONE_NEW,
	MNT_DETACH,
	MOUNT_ATTR_NODEV,
	MOUNT_ATTR_NOEXEC,
	MOUNT_ATTR_NOSUID,
	MOUNT_ATTR_RDONLY,
	O_CLOEXEC,
	O_PATH,
} from "./constants.ts";
import { rulesetSteps } from "./landlock.ts";
import {
	attach,
	cloneTree,
	enclosing,
	makeFileSystem,
	makeMountPoint,
	openInside,
	ROOT,
	setAttributes,
	withInodes,
} from "./mounts.ts";
import { parseOptions } from "./options.ts";
import { cstring } from "./steps.ts";
import type { Bytes, SlotName, Step } from "./types.ts";

const HERE = cstring(".");

/** Made by the jail, and a program can leave something in it. /dev is made read-only instead: it holds too many mounts. */
function isRenewed({ type, destination, options = [] }: Mount): boolean {
	if (type === "devpts" || type === "mqueue") return true;
	return type === "tmpfs" && destination !== "/dev" && !parseOptions(options, destination).readonly;
}

type Moved = { readonly mount: Mount; readonly slot: SlotName };

/** The mounts that are made anew, parents first, and the binds that stand on one of them. */
function renewals(mounts: readonly Mount[]): { readonly made: readonly Moved[]; readonly moved: readonly Moved[] } {
	const made = mounts.filter(isRenewed);
	const moved = mounts.filter((mount, i) => {
		const base = enclosing(mounts.slice(0, i), mount.destination);
		return !isRenewed(mount) && base !== undefined && isRenewed(base);
	});
	const slotted = (mount: Mount): Moved => ({ mount, slot: `at ${mount.destination}` });
	return { made: made.map(slotted), moved: moved.map(slotted) };
}

/** In pid 1, when everything is mounted and before it enters its root: nothing is written to /dev any more. */
export function closeDevSteps(): readonly Step[] {
	return [openInside("/dev", "dev"), setAttributes("make /dev read-only", "dev", MOUNT_ATTR_RDONLY, false)];
}

/** A file system of our own that only pid 1 has, under the first of the renewed mounts: old mounts leave by way of it. */
const LUMBER: SlotName = "lumber";
const DOOR = cstring("door");

function inLumber(call: "mkdirat" | "openat", at: SlotName, name: Bytes, save?: SlotName): Step {
	const label = `${call === "openat" ? "find" : "make"} a place for old mounts`;
	if (call === "mkdirat") return { label, call, args: [{ slot: at }, name, 0o700] };
	return { label, call, args: [{ slot: at }, name, O_PATH | O_CLOEXEC, 0], ...(save === undefined ? {} : { save }) };
}

function lumberSteps(made: readonly Moved[]): readonly Step[] {
	const [first] = made;
	if (first === undefined) return [];
	const data = `size=4k,nr_inodes=${made.length + 4},mode=700`;
	const attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	return [
		{ label: `enter ${first.mount.destination}`, call: "fchdir", args: [{ slot: first.slot }] },
		{ label: `unmount ${first.mount.destination}`, call: "umount2", args: [HERE, MNT_DETACH] },
		{ label: "go to the root", call: "fchdir", args: [{ slot: ROOT }] },
		...makeFileSystem("tmpfs", { attributes, data }, LUMBER),
		inLumber("mkdirat", LUMBER, DOOR),
		...made.map((_, i) => inLumber("mkdirat", LUMBER, cstring(`${i}`))),
		openInside(first.mount.destination, "target"),
		attach("mount the place for old mounts", LUMBER, "target"),
		...make(first),
	];
}

/** In pid 1, last of its set-up and before any program ran: takes hold of the mounts that will have to go. */
export function holdSteps(mounts: readonly Mount[]): readonly Step[] {
	const { made, moved } = renewals(mounts);
	return [...[...made, ...moved].map(({ mount, slot }) => openInside(mount.destination, slot)), ...lumberSteps(made)];
}

/** The slots that pid 1 keeps for {@link renewSteps}. */
export function heldSlots(mounts: readonly Mount[]): readonly SlotName[] {
	const { made, moved } = renewals(mounts);
	return [ROOT, LUMBER, ...[...made, ...moved].map(({ slot }) => slot)];
}

/**
 * Moves the old mounts together, so that they can be unmounted at once ({@link discardSteps}): each umount2(2) waits for an
 * RCU grace period, and move_mount(2) does not. What stands on them is taken along first.
 */
function removeOld(made: readonly Moved[], below: (one: Moved) => readonly Moved[]): readonly Step[] {
	if (made.length === 0) return [];
	return [
		cloneTree("bind the place for old mounts", LUMBER, false, "heap"),
		inLumber("openat", LUMBER, DOOR, "target"),
		attach("mount it where it can be unmounted", "heap", "target"),
		...made
			.toReversed()
			.flatMap((one) => [
				...below(one).map(({ mount, slot }) => cloneTree(`take ${mount.destination} along`, slot, true, slot)),
				inLumber("openat", "heap", cstring(`${made.indexOf(one)}`), "target"),
				attach(`move the old ${one.mount.destination} away`, one.slot, "target"),
			]),
	];
}

/** Last of all: while pid 1 waits for the grace period, vmjail has the processor for the last program's result. */
export function discardSteps(mounts: readonly Mount[]): readonly Step[] {
	if (renewals(mounts).made.length === 0) return [];
	return [
		{ label: "go to the place for old mounts", call: "fchdir", args: [{ slot: LUMBER }] },
		{ label: "unmount the old mounts", call: "umount2", args: [DOOR, MNT_DETACH] },
		{ label: "go to the root", call: "fchdir", args: [{ slot: ROOT }] },
	];
}

function make({ mount, slot }: Moved): readonly Step[] {
	const { destination, type = "none", options = [] } = mount;
	const parsed = parseOptions(options, destination);
	const bounded = type === "tmpfs" ? { ...parsed, data: withInodes(parsed.data) } : parsed;
	return [
		...makeFileSystem(type, bounded, slot),
		openInside(destination, "target"),
		attach(`mount a new ${type} on ${destination}`, slot, "target"),
	];
}

function place({ mount, slot }: Moved): readonly Step[] {
	const { destination } = mount;
	return [openInside(destination, "target"), attach(`put back ${destination}`, slot, "target")];
}

/**
 * In pid 1 while no other process is in the jail: new file systems in the place of the old ones, new IPC objects, and a
 * Landlock ruleset that knows the new inodes.
 */
export function renewSteps(
	spec: Spec,
	facts: Pick<HostFacts, "paths" | "programs" | "landlockAbi">,
	mounts: readonly Mount[],
): readonly Step[] {
	const { made, moved } = renewals(mounts);
	const inOrder = mounts.flatMap((mount, i): readonly Step[] => {
		const isIt = (one: Moved) => one.mount === mount;
		const [fresh, old] = [made.find(isIt), moved.find(isIt)];
		if (fresh === undefined && old === undefined) return [];
		const base = enclosing(mounts.slice(0, i), mount.destination);
		const standsOnNew = base !== undefined && isRenewed(base);
		return [
			...(standsOnNew ? makeMountPoint(base.destination, mount, facts.paths) : []),
			...(fresh === undefined ? [] : make(fresh)),
			...(old === undefined ? [] : place(old)),
		];
	});
	const below = (one: Moved) =>
		moved.filter(({ mount }) => enclosing(mounts.slice(0, mounts.indexOf(mount)), mount.destination) === one.mount);
	return [
		...removeOld(made, below),
		{ label: "enter a new IPC namespace", call: "unshare", args: [CLONE_NEW.ipc] },
		...inOrder,
		...(facts.landlockAbi > 0 ? rulesetSteps(spec, facts, openInside) : []),
	];
}
