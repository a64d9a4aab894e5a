/** Which mounts of the host a path lookup reaches. */

import type { MountEntry } from "../../host/mountinfo.ts";
import { isBelow, isWithin, parentsFirst } from "../../oci/paths.ts";

/**
 * The mounts that a path lookup can reach at or below `root`: those covered by another mount are left out.
 *
 * @returns the mount that holds `root` first, with `root` as its mount point; then those below it, parents first.
 */
export function mountsBelow(entries: readonly MountEntry[], root: string): readonly MountEntry[] {
	const byId = new Map(entries.map((entry) => [entry.id, entry]));
	const childrenOf = (id: number) => entries.filter((entry) => entry.parent === id && entry.id !== id);
	// Does a lookup of the mount point still arrive at it? Not where something was mounted above it later.
	const reached = (entry: MountEntry): boolean => {
		const parent = byId.get(entry.parent);
		if (parent === undefined || parent.id === entry.id) return true;
		return reached(parent) && !childrenOf(parent.id).some((other) => isBelow(entry.mountPoint, other.mountPoint));
	};
	const onTop = (entry: MountEntry): boolean =>
		!childrenOf(entry.id).some((other) => other.mountPoint === entry.mountPoint);
	const visible = entries.filter((entry) => onTop(entry) && reached(entry));
	const holder = visible
		.filter((entry) => isWithin(root, entry.mountPoint))
		.toSorted((a, b) => a.mountPoint.length - b.mountPoint.length)
		.at(-1);
	const below = visible
		.filter((entry) => isBelow(entry.mountPoint, root))
		.toSorted((a, b) => parentsFirst(a.mountPoint, b.mountPoint));
	return holder === undefined ? below : [{ ...holder, mountPoint: root }, ...below];
}
