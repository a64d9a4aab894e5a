/** /proc and /sys of other hosts, as far as the probes read them. */

import type { Entry } from "./fake-fs.ts";

export const status = (uid: number, capabilities: string): string =>
	[
		"Name:\tnode",
		`Uid:\t${uid}\t${uid}\t${uid}\t${uid}`,
		`Gid:\t${uid}\t${uid}\t${uid}\t${uid}`,
		uid === 0 ? "Groups:\t " : `Groups:\t27 ${uid} `,
		`CapEff:\t${capabilities}`,
		"Cpus_allowed_list:\t0-3",
		"",
	].join("\n");

export const ALL_CAPABILITIES = "000001ffffffffff";
export const NO_CAPABILITIES = "0000000000000000";

const PROC_MOUNT = "22 1 0:21 / /proc rw,relatime - proc proc rw";
const V2_MOUNT = "30 1 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime - cgroup2 cgroup2 rw,nsdelegate";

const base: Readonly<Record<string, Entry>> = {
	"/proc/self/uid_map": "         0          0 4294967295\n",
	"/proc/self/gid_map": "         0          0 4294967295\n",
	"/proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n",
	"/proc/partitions": "major minor  #blocks  name\n\n   8        0  500107608 sda\n   8        1  500106584 sda1\n",
	"/sys/block/sda/size": "1000215216\n",
};

const group = (path: string, controllers: string, enabled: string, procs: string): Readonly<Record<string, Entry>> => ({
	[`${path}/cgroup.controllers`]: `${controllers}\n`,
	[`${path}/cgroup.subtree_control`]: `${enabled}\n`,
	[`${path}/cgroup.procs`]: procs,
	[`${path}/cgroup.type`]: "domain\n",
});

const v2Root: Readonly<Record<string, Entry>> = {
	"/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n",
	"/sys/fs/cgroup/cgroup.subtree_control": "memory pids\n",
	"/sys/fs/cgroup/cgroup.procs": "2\n3\n",
	"/sys/fs/cgroup/cpuset.cpus.effective": "0-3\n",
};

const v2Proc = (own: string, ...mounts: readonly string[]): Readonly<Record<string, Entry>> => ({
	"/proc/self/cgroup": `0::${own}\n`,
	"/proc/self/mountinfo": `${[PROC_MOUNT, ...(mounts.length === 0 ? [V2_MOUNT] : mounts)].join("\n")}\n`,
});

const stat = (pid: number, parent: number): Readonly<Record<string, Entry>> => ({
	[`/proc/${pid}/stat`]: `${pid} (some (odd) name) S ${parent} 1 1 0 -1 0 0`,
});

const session = "/user.slice/user-1000.slice/session-3.scope";
const scope = "/user.slice/user-1000.slice/user@1000.service/app.slice/run-u7.scope";

/** The caller's process id in every host of this file. */
export const SELF = 500;

/** systemd with v2 only; the caller is in a login session beside its shell. */
export const systemdSession = {
	...base,
	...v2Proc(session),
	...v2Root,
	...group(`/sys/fs/cgroup${session}`, "memory pids", "", `400\n${SELF}\n501\n`),
	...stat(400, 1),
	...stat(SELF, 400),
	...stat(501, SELF),
};

/** systemd-run --user --scope -p Delegate=yes: the caller and what it started are alone. */
export const systemdScope = {
	...base,
	...v2Proc(scope),
	...v2Root,
	...group(`/sys/fs/cgroup${scope}`, "cpu memory pids", "", `${SELF}\n501\n`),
	[`/sys/fs/cgroup${scope}/memory.swap.max`]: "max\n",
	...stat(SELF, 400),
	...stat(501, SELF),
};

/** The same after the first jail: the caller has moved to the leaf. */
export const systemdScopeMoved = {
	...base,
	...v2Proc(`${scope}/vmjail-supervisor`),
	...v2Root,
	...group(`/sys/fs/cgroup${scope}`, "cpu memory pids", "memory pids", ""),
	...group(`/sys/fs/cgroup${scope}/vmjail-supervisor`, "memory pids", "", `${SELF}\n`),
};

/** A container with a cgroup namespace; the mount shows its own group as the top. */
export const container = {
	...base,
	...v2Proc("/", "30 1 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw"),
	...group("/sys/fs/cgroup", "cpuset cpu io memory pids", "", `1\n${SELF}\n`),
	...stat(1, 0),
	...stat(SELF, 1),
	"/proc/self/uid_map": "0 100000 65536\n",
};

/** An older container: no cgroup namespace, but only its own group is mounted. */
export const containerWithoutNamespace = {
	...base,
	...v2Proc("/docker/1f\\x", "30 1 0:26 /docker/1f\\134x /sys/fs/cgroup rw - cgroup2 cgroup rw"),
	...group("/sys/fs/cgroup", "memory pids", "", `${SELF}\n`),
	...stat(SELF, 0),
};

const v1Mount = (id: number, controllers: string, root = "/"): string =>
	`${id} 1 0:${id} ${root} /sys/fs/cgroup/${controllers} rw,nosuid - cgroup cgroup rw,${controllers}`;

/** cgroup v1 alone, cpu and cpuacct mounted together. */
export const v1Only = {
	...base,
	"/proc/self/cgroup": "4:cpu,cpuacct:/user\n3:memory:/user\n2:cpuset:/\n1:name=systemd:/user\n",
	"/proc/self/mountinfo": [v1Mount(31, "cpu,cpuacct"), v1Mount(32, "memory"), v1Mount(33, "cpuset"), ""].join("\n"),
	"/sys/fs/cgroup/cpu,cpuacct/user/tasks": "",
	"/sys/fs/cgroup/memory/user/tasks": "",
	"/sys/fs/cgroup/cpuset/cpuset.mems": "0-1\n",
	"/sys/fs/cgroup/cpuset/cpuset.effective_cpus": "0-7\n",
	"/proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n/dev/sda2\tpartition\t1\t0\t-2\n",
};

/** Hybrid: controllers in v1, an almost empty v2 beside them. */
export const hybrid = {
	...base,
	"/proc/self/cgroup": "8:pids:/\n4:memory:/a b\n0::/\n",
	"/proc/self/mountinfo": [
		v1Mount(31, "pids"),
		v1Mount(32, "memory"),
		"41 1 0:41 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
		"",
	].join("\n"),
	"/sys/fs/cgroup/pids/tasks": "",
	"/sys/fs/cgroup/memory/a b/memory.memsw.limit_in_bytes": "1\n",
	"/sys/fs/cgroup/unified/cgroup.controllers": "hugetlb\n",
	"/sys/fs/cgroup/unified/cgroup.subtree_control": "\n",
	"/sys/fs/cgroup/unified/cgroup.procs": "1\n2\n500\n",
};

/** WSL 2 without systemd: v2 only, every process in the root group, odd mounts. */
export const wsl = {
	...base,
	...v2Proc("/", V2_MOUNT, "60 1 0:60 / /mnt/c rw - 9p C:\\134 rw,aname=drvfs;path=C:\\134"),
	...v2Root,
	"/proc/partitions":
		"major minor  #blocks  name\n\n   1        0      65536 ram0\n   8       32 1073741824 sdc\n 254 0 100 zram0\n",
	"/sys/block/ram0/size": "1\n",
	"/sys/block/sdc/size": "1\n",
	"/sys/block/zram0/size": "1\n",
};
