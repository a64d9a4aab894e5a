/** Hosts as their facts, for golden tests. */

import type { CgroupFacts, CgroupV1Controller } from "../../src/host/types.ts";

const V1_FOLDERS: Readonly<Record<string, string>> = {
	memory: "memory",
	cpu: "cpu,cpuacct",
	cpuacct: "cpu,cpuacct",
	cpuset: "cpuset",
	pids: "pids",
	blkio: "blkio",
};

function v1Controller(name: string, writable: boolean): CgroupV1Controller {
	const path = `/sys/fs/cgroup/${V1_FOLDERS[name]}/user`;
	return {
		name,
		path,
		writable,
		...(writable ? {} : { reason: `only another user may make groups in ${path} (EACCES)` }),
		...(name === "memory" ? { swapLimit: true } : {}),
		...(name === "cpuset" ? { mems: "0-1" } : {}),
	};
}

const disk = { major: 8, minor: 0, name: "sda" };

/** cgroup v1 with cpu and cpuacct mounted together. */
export function v1Host(writable = true, names: readonly string[] = Object.keys(V1_FOLDERS)): CgroupFacts {
	const v1 = names.map((name) => v1Controller(name, writable));
	return { v1, blockDevices: [disk], swapOn: true, cpuList: "0-7" };
}

/** systemd, root, cgroup v2: groups below the root, where systemd has enabled some controllers. */
export const systemdRoot: CgroupFacts = {
	v1: [],
	v2: {
		path: "/sys/fs/cgroup",
		controllers: ["cpuset", "cpu", "io", "memory", "hugetlb", "pids"],
		enabled: ["memory", "pids"],
		writable: true,
		moveSelf: false,
	},
	blockDevices: [disk],
	swapOn: true,
	cpuList: "0-7",
};

const scope = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/run-u7.scope";

/** A scope of the user's own (systemd-run --user --scope -p Delegate=yes). */
export const delegatedScope: CgroupFacts = {
	v1: [],
	v2: {
		path: scope,
		controllers: ["cpu", "memory", "pids"],
		enabled: [],
		writable: true,
		moveSelf: true,
		own: [4711],
		swapLimit: true,
	},
	blockDevices: [disk],
	swapOn: false,
	cpuList: "0-3",
};

/** An ordinary user's session: nothing is delegated. */
export const userSession: CgroupFacts = {
	v1: [],
	v2: {
		path: "/sys/fs/cgroup/user.slice/user-1000.slice/session-3.scope",
		controllers: ["memory", "pids"],
		enabled: [],
		writable: false,
		moveSelf: false,
		reason:
			"/sys/fs/cgroup/user.slice/user-1000.slice/session-3.scope is not delegated to this user (EACCES on the folder)",
	},
	blockDevices: [disk],
	swapOn: false,
};

/** Hybrid: memory and pids in v1, cpu and io in v2. */
export const hybrid: CgroupFacts = {
	...v1Host(true, ["memory", "pids"]),
	v2: {
		path: "/sys/fs/cgroup/unified",
		controllers: ["cpu", "io"],
		enabled: ["cpu", "io"],
		writable: true,
		moveSelf: false,
	},
};
