/** Probe of the cgroup v2 hierarchy. See the kernel's Documentation/admin-guide/cgroup-v2.rst, "Delegation". */

import { dirname } from "node:path/posix";
import { attempt, type HostFs } from "./fs.ts";
import type { MountEntry } from "./mountinfo.ts";
import { type Membership, shownAt } from "./own-groups.ts";
import type { CgroupV2 } from "./types.ts";

/** The leaf into which the caller's own processes move, so that controllers can be enabled above it. */
export const SUPERVISOR = "vmjail-supervisor";

interface Candidate {
	readonly path: string;
	readonly because: string;
	/** The root of the whole hierarchy may hold processes beside its groups. */
	readonly isRoot: boolean;
}

const words = (text: string | undefined): readonly string[] => (text ?? "").split(/\s+/).filter(Boolean);

/** Is the process a descendant of the caller, or the caller itself? */
function isOwn(pid: number, self: number, fs: HostFs): boolean {
	let at = pid;
	for (let generations = 0; generations < 16 && at > 1; generations++) {
		if (at === self) return true;
		const stat = attempt(() => fs.readFile(`/proc/${at}/stat`));
		// The command is in brackets and may itself hold brackets and blanks: the parent is the second field behind it.
		at = stat === undefined ? 0 : Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
	}
	return at === self;
}

function whyNot(path: string, fs: HostFs): string | undefined {
	for (const file of ["", "/cgroup.procs", "/cgroup.subtree_control"]) {
		const errno = fs.whyNotWritable(`${path}${file}`);
		if (errno === "EROFS") return `${path} is mounted read-only`;
		if (errno !== undefined)
			return `${path} is not delegated to this user (${errno} on ${file.slice(1) || "the folder"})`;
	}
	return undefined;
}

function describe(candidate: Candidate, self: number, fs: HostFs): CgroupV2 {
	const { path, because, isRoot } = candidate;
	const controllers = words(attempt(() => fs.readFile(`${path}/cgroup.controllers`)));
	const enabled = words(attempt(() => fs.readFile(`${path}/cgroup.subtree_control`)));
	const pids = isRoot ? [] : words(attempt(() => fs.readFile(`${path}/cgroup.procs`))).map(Number);
	const stranger = pids.find((pid) => !isOwn(pid, self, fs));
	const refused = whyNot(path, fs);
	// A group with processes of its own can enable controllers for its children only when they have left.
	const mustLeave = pids.length > 0 && controllers.some((name) => !enabled.includes(name));
	const occupied = mustLeave && stranger !== undefined;
	const reason =
		refused ?? (occupied ? `${path} also holds process ${stranger}, so no controller can be enabled there` : undefined);
	const moveSelf = reason === undefined && mustLeave;
	return {
		path,
		because,
		controllers,
		enabled,
		writable: reason === undefined,
		...(reason === undefined ? {} : { reason }),
		moveSelf,
		...(moveSelf ? { own: pids } : {}),
		...(isRoot
			? {}
			: { swapLimit: fs.lstat(`${path}/memory.swap.max`) !== undefined || !controllers.includes("memory") }),
	};
}

/** Where our groups could go, best first: the caller's own group, then the top of what this mount shows. */
function candidates(folder: string, mount: MountEntry, fs: HostFs): readonly Candidate[] {
	// Only the root of the hierarchy has no cgroup.type; the top of a cgroup namespace has one.
	const isRoot = (path: string): boolean => fs.lstat(`${path}/cgroup.type`) === undefined;
	const moved = folder.endsWith(`/${SUPERVISOR}`);
	const own = moved ? dirname(folder) : folder;
	const top = mount.mountPoint;
	const first: Candidate = {
		path: own,
		because: moved ? "the caller has moved to a leaf of this group" : "it is the caller's own group",
		isRoot: isRoot(own),
	};
	if (own === top) return [first];
	const topIsRoot = isRoot(top);
	const because = topIsRoot
		? "the caller may write at the root of the hierarchy, and its own group is shared"
		: "it is the top of the cgroup namespace, and the caller's own group is shared";
	return [first, { path: top, because, isRoot: topIsRoot }];
}

/**
 * The folder for our groups. The first candidate that can be used; where none can, the caller's own group with the
 * reason. Undefined: no cgroup v2 is mounted, or the caller's group is outside of what is mounted.
 *
 * @param self the caller's process id
 */
export function cgroupV2(
	memberships: readonly Membership[],
	mounts: readonly MountEntry[],
	fs: HostFs,
	self: number,
): CgroupV2 | undefined {
	const own = memberships.find(({ controllers }) => controllers.length === 0);
	const isV2 = ({ type }: MountEntry): boolean => type === "cgroup2";
	// "name=systemd" is a v1 line with a name for a controller, so only the line "0::" has none.
	const shown = own === undefined ? undefined : shownAt(own.path, mounts, isV2);
	if (shown === undefined) return undefined;
	const described = candidates(shown.folder, shown.mount, fs).map((candidate) => describe(candidate, self, fs));
	return described.find(({ writable }) => writable) ?? described[0];
}
