/** What control groups this host gives the caller. */

import { blockDevices } from "./block-devices.ts";
import { cgroupV1 } from "./cgroup-v1.ts";
import { cgroupV2 } from "./cgroup-v2.ts";
import { attempt, type HostFs } from "./fs.ts";
import { parseMountinfo } from "./mountinfo.ts";
import { parseMemberships } from "./own-groups.ts";
import type { CgroupFacts } from "./types.ts";

/** /proc/swaps has a heading and then one line per swap area. Unreadable: taken as swapping. */
function swapOn(fs: HostFs): boolean {
	const content = attempt(() => fs.readFile("/proc/swaps"));
	return content === undefined || content.trim().split("\n").length > 1;
}

/** The processors of the caller's cpuset: v1 and v2 name the file differently; the root of v2 has it always. */
function cpuList(folders: readonly (string | undefined)[], fs: HostFs): string | undefined {
	for (const folder of folders) {
		for (const file of ["cpuset.effective_cpus", "cpuset.cpus.effective"]) {
			const list = folder ? attempt(() => fs.readFile(`${folder}/${file}`).trim()) : undefined;
			if (list) return list;
		}
	}
	return attempt(() => fs.readFile("/sys/devices/system/cpu/online").trim());
}

/**
 * @param proc what /proc/self/cgroup and /proc/self/mountinfo say
 * @param self the caller's process id
 */
export function probeCgroup(
	proc: { readonly cgroup: string; readonly mountinfo: string },
	fs: HostFs,
	self: number,
): CgroupFacts {
	const memberships = parseMemberships(proc.cgroup);
	const mounts = parseMountinfo(proc.mountinfo);
	const v1 = cgroupV1(memberships, mounts, fs);
	const v2 = cgroupV2(memberships, mounts, fs, self);
	const cpuset = v1.find(({ name }) => name === "cpuset")?.path;
	const cpus = cpuList(cpuset === undefined ? [v2?.path] : [cpuset], fs);
	return {
		v1,
		...(v2 === undefined ? {} : { v2 }),
		blockDevices: blockDevices(fs),
		swapOn: swapOn(fs),
		...(cpus === undefined ? {} : { cpuList: cpus }),
	};
}
