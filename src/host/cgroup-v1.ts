/** Probes of the cgroup v1 controllers. See the kernel's Documentation/admin-guide/cgroup-v1. */

import { attempt, type HostFs } from "./fs.ts";
import type { MountEntry } from "./mountinfo.ts";
import { type Membership, shownAt } from "./own-groups.ts";
import type { CgroupV1Controller } from "./types.ts";

/** The controllers that limits or accounts need. */
const WANTED: readonly string[] = ["memory", "cpu", "cpuacct", "cpuset", "pids", "blkio"];

function whyNot(folder: string, errno: string): string {
	if (errno === "EROFS") return `${folder} is mounted read-only`;
	return `only another user may make groups in ${folder} (${errno})`;
}

function controllerOf(name: string, group: string, mounts: readonly MountEntry[], fs: HostFs): CgroupV1Controller {
	const shown = shownAt(group, mounts, ({ type, superOptions }) => type === "cgroup" && superOptions.includes(name));
	if (shown === undefined) {
		return { name, path: "", writable: false, reason: `the ${name} hierarchy of cgroup v1 is not mounted here` };
	}
	const path = shown.folder;
	const errno = fs.whyNotWritable(path);
	const has = (file: string): boolean => fs.lstat(`${path}/${file}`) !== undefined;
	return {
		name,
		path,
		writable: errno === undefined,
		...(errno === undefined ? {} : { reason: whyNot(path, errno) }),
		...(name === "memory" ? { swapLimit: has("memory.memsw.limit_in_bytes") } : {}),
		...(name === "cpuset" ? { mems: attempt(() => fs.readFile(`${path}/cpuset.mems`).trim()) ?? "" } : {}),
	};
}

/** The v1 controllers of this kernel that vmjail has a use for, usable or not. Controllers of v2 are not among them. */
export function cgroupV1(
	memberships: readonly Membership[],
	mounts: readonly MountEntry[],
	fs: HostFs,
): readonly CgroupV1Controller[] {
	return memberships.flatMap(({ controllers, path }) =>
		controllers.filter((name) => WANTED.includes(name)).map((name) => controllerOf(name, path, mounts, fs)),
	);
}
