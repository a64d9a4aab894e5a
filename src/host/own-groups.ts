/** Where the caller's own control groups are in the file system: /proc/self/cgroup translated by the mounts. */

import type { MountEntry } from "./mountinfo.ts";

/** One line of /proc/self/cgroup (cgroups(7)): "4:memory:/a", "0::/a". */
export interface Membership {
	/** Empty: cgroup v2. */
	readonly controllers: readonly string[];
	readonly path: string;
}

export function parseMemberships(content: string): readonly Membership[] {
	return content.split("\n").flatMap((line) => {
		// The path may hold colons.
		const [, controllers, ...path] = line.split(":");
		if (controllers === undefined || path.length === 0) return [];
		return [{ controllers: controllers.split(",").filter(Boolean), path: path.join(":") }];
	});
}

/**
 * The folder of a group, as this mount shows it; undefined where the mount does not show it.
 *
 * Both the group and the mount's root are relative to the reader's cgroup namespace, so a container without a cgroup
 * namespace has the host's path in both: group "/docker/1f", root "/docker/1f", folder = the mount point itself. A
 * group outside the namespace's root starts with "/..".
 */
function folderOf(group: string, mount: MountEntry): string | undefined {
	if (group.split("/").includes("..")) return undefined;
	const root = mount.root === "/" ? "" : mount.root;
	if (group !== root && !group.startsWith(`${root}/`)) return undefined;
	return `${mount.mountPoint}${group.slice(root.length)}`.replace(/\/$/, "");
}

/** The mount of a hierarchy that shows a group; of several, the last one made. */
export function shownAt(
	group: string,
	mounts: readonly MountEntry[],
	isHierarchy: (mount: MountEntry) => boolean,
): { readonly mount: MountEntry; readonly folder: string } | undefined {
	const found = mounts.filter(isHierarchy).flatMap((mount) => {
		const folder = folderOf(group, mount);
		return folder === undefined ? [] : [{ mount, folder }];
	});
	return found.at(-1);
}
