/** A runtime's command as a plan: the executor's pid 1 in new pid and mount namespaces, with the runtime as its workload. */

import { isAbsolute } from "node:path";
import type { HostFacts } from "../../host/types.ts";
import type { IdMapping, Linux } from "../../oci/types.ts";
import { LAST_CAPABILITY } from "../../plan/capabilities.ts";
import {
	CAPABILITY_VERSION_3,
	CLONE_NEW,
	F_DUPFD_CLOEXEC,
	MOUNT_ATTR_NODEV,
	MOUNT_ATTR_NOEXEC,
	MOUNT_ATTR_NOSUID,
	MS_PRIVATE,
	MS_REC,
	PR_CAP_AMBIENT,
	PR_CAP_AMBIENT_RAISE,
	SIG_SETMASK,
} from "../../plan/constants.ts";
import { attach, makeFileSystem, openOutside } from "../../plan/mounts.ts";
import { idMapSteps } from "../../plan/namespaces.ts";
import { cstring, stringArray, struct } from "../../plan/steps.ts";
import { foregroundSteps, openTerminalSteps, type Terminal } from "../../plan/terminal.ts";
import type { Plan, SlotName, Step, Workload } from "../../plan/types.ts";
import { stageSteps } from "./stage-steps.ts";
import type { Job } from "./types.ts";

/** Where the runtime finds what it runs itself. */
const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export interface JobPlanOptions {
	/** With a network namespace of its own, below a gateway's user namespace, where an unprivileged caller is id 0. */
	readonly belowGateway: boolean;
	/** Steps of other parts of vmjail, when everything is mounted. */
	readonly last?: readonly Step[];
}

/** The runtime's surroundings: nothing that it starts outlives them, and what is mounted in them is seen by nobody else. */
export function jobPlan(job: Job, facts: HostFacts, { belowGateway, last = [] }: JobPlanOptions): Plan {
	const linux = userNamespace(job, facts, belowGateway);
	const own = linux.namespaces.length > 0;
	return {
		cloneFlags:
			CLONE_NEW.pid |
			CLONE_NEW.mount |
			CLONE_NEW.ipc |
			(own ? CLONE_NEW.user : 0n) |
			(belowGateway ? CLONE_NEW.network : 0n),
		before: [],
		parent: idMapSteps(linux, facts.caller.privileged),
		child: [
			{ label: "start a session", call: "setsid", args: [] },
			{ label: "make all mounts private", call: "mount", args: [0, cstring("/"), 0, MS_REC | MS_PRIVATE, 0] },
			...makeFileSystem("proc", { attributes: MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, data: "" }),
			openOutside("/proc", "target"),
			attach("mount proc on /proc", "tree", "target"),
			...stageSteps(job.stage?.steps ?? []),
			...last,
		],
		account: [],
		cleanup: [],
		keep: [],
	};
}

function userNamespace(job: Job, facts: HostFacts, belowGateway: boolean): Linux {
	const ids = job.asIds;
	const identity = (which: "uids" | "gids"): readonly IdMapping[] =>
		facts.idMap[which].map(({ from, count }) => ({ containerID: from, hostID: from, size: count }));
	if (ids === undefined) {
		if (!belowGateway) return { namespaces: [] };
		return { namespaces: [{ type: "user" }], uidMappings: identity("uids"), gidMappings: identity("gids") };
	}
	const only = (containerID: number, own: number): readonly IdMapping[] => [
		{ containerID, hostID: belowGateway ? 0 : own, size: 1 },
	];
	return {
		namespaces: [{ type: "user" }],
		uidMappings: only(ids.uid, facts.caller.uid),
		gidMappings: only(ids.gid, facts.caller.gid),
	};
}

export interface JobWorkloadOptions {
	readonly terminal?: Terminal;
	readonly cpuLimitMs?: number;
	readonly wallLimitMs?: number;
	/** While the process can still speak to vmjail, with every capability over its namespaces. */
	readonly beforeExec?: readonly Step[];
}

/** The runtime's own process, with the streams that it gives to the program. */
export function jobWorkload(job: Job, uid: number, options: JobWorkloadOptions): Workload {
	const { terminal, cpuLimitMs, wallLimitMs } = options;
	const [file = ""] = job.argv;
	if (!isAbsolute(file)) throw new TypeError(`not an absolute path: ${file}`);
	const opened = new Set((job.opens ?? []).map(({ save }) => save));
	const given = (job.passes ?? []).filter((slot) => !opened.has(slot));
	const session: Step = { label: "start a session", call: "setsid", args: [] };
	return {
		cloneFlags: 0n,
		before: terminal === undefined ? [] : openTerminalSteps(terminal, uid),
		parent: [],
		child: [
			...(terminal === undefined ? [session] : foregroundSteps()),
			...(["stdin", "stdout", "stderr"] as const).map(
				(slot, number): Step => ({ label: `use ${slot}`, call: "dup3", args: [{ slot }, number, 0] }),
			),
			{ label: "go to /", call: "chdir", args: [cstring("/")] },
			{ label: "set the umask", call: "umask", args: [0o022] },
			...(job.asIds === undefined ? [] : keepCapabilities()),
			{ label: "unblock signals", call: "rt_sigprocmask", args: [SIG_SETMASK, struct("[]", [{ u64: 0 }]), 0, 8] },
			...(options.beforeExec ?? []),
			...(job.opens ?? []),
			...passSteps(job.passes ?? []),
			{
				label: "close every other descriptor",
				call: "close_range",
				args: [3 + (job.passes?.length ?? 0), 0xffff_ffff, 0],
			},
			...(job.last ?? []),
			{
				label: `execute ${file}`,
				call: "execve",
				args: [cstring(file), stringArray(job.argv, JSON.stringify(job.argv)), stringArray([PATH], "<environment>")],
			},
		],
		...(given.length === 0 ? {} : { descriptors: given }),
		...(cpuLimitMs === undefined ? {} : { cpuLimitMs }),
		...(wallLimitMs === undefined ? {} : { wallLimitMs }),
	};
}

/** Above all that the process has by now: so that no slot lies in the way of another. */
const HIGH = 100;

/** To the numbers from 3 on, and across exec. */
function passSteps(slots: readonly SlotName[]): readonly Step[] {
	return [
		...slots.map(
			(slot): Step => ({
				label: `move ${slot} out of the way`,
				call: "fcntl",
				args: [{ slot }, F_DUPFD_CLOEXEC, HIGH],
				save: slot,
			}),
		),
		...slots.map((slot, i): Step => ({ label: `pass ${slot}`, call: "dup3", args: [{ slot }, 3 + i, 0] })),
	];
}

/** Of the user namespace, across exec, also for who is not its root: capabilities(7), "Ambient". */
function keepCapabilities(): readonly Step[] {
	const header = struct("{version 3, self}", [{ u32: CAPABILITY_VERSION_3 }, { u32: 0 }]);
	// The kernel leaves out what it does not know.
	const all = struct(
		"{all}",
		Array.from({ length: 6 }, () => ({ u32: 0xffff_ffff })),
	);
	return [
		{ label: "make every capability inheritable", call: "capset", args: [header, all] },
		...Array.from(
			{ length: LAST_CAPABILITY + 1 },
			(_, number): Step => ({
				label: `keep capability ${number} across exec`,
				call: "prctl",
				args: [PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0],
				tolerate: ["EINVAL"], // a kernel that does not know it yet
			}),
		),
	];
}
