/** Steps for the groups of cgroup v1: one per mounted hierarchy. Pure. */

import type { Resources } from "../oci/types.ts";
import type { SlotName, Step } from "../plan/types.ts";
import {
	attachSelf,
	findGroup,
	type Group,
	makeGroup,
	openFile,
	removeGroup,
	reportFile,
	reportSlot,
	setFile,
} from "./files.ts";
import { groupName } from "./id.ts";
import { EXEC_CPU, EXEC_GROUP, type Parts, type ReusedParts } from "./parts.ts";
import { type Limited, limitedBy, limitsOf, type SwapFacts, v1Settings } from "./settings.ts";
import { CPU_REPORT, CPU_REPORT_SIZE, V1_REPORTS } from "./usage.ts";

/** One hierarchy: controllers that are mounted together ("cpu,cpuacct") share its groups. */
export interface V1Hierarchy {
	/** The folder below which the group is made. */
	readonly path: string;
	readonly limited: readonly Limited[];
	readonly accounts: readonly ("memory" | "pids" | "cpuacct")[];
	/** Of the parent, where a cpuset is mounted here: a group takes no process before it has both. */
	readonly cpuset?: { readonly mems: string; readonly cpus: string };
	readonly swap: SwapFacts;
}

const CPU: SlotName = "cgroup.cpu";

function settingsOf(group: Group, hierarchy: V1Hierarchy, resources: Resources): readonly Step[] {
	const { limited, swap, cpuset } = hierarchy;
	const inherited =
		cpuset === undefined || limited.includes("cpuset")
			? []
			: [...setFile(group, "cpuset.mems", cpuset.mems), ...setFile(group, "cpuset.cpus", cpuset.cpus)];
	const settings = limited.flatMap((name) => v1Settings(name, resources, { swap, mems: cpuset?.mems ?? "" }));
	return [...inherited, ...settings.flatMap(({ file, value }) => setFile(group, file, value))];
}

function accountOf(group: Group, { accounts }: V1Hierarchy, cpu: SlotName = CPU): readonly Step[] {
	return accounts.flatMap((name) => [
		...(name === "cpuacct" ? [reportSlot(cpu, CPU_REPORT.v1, CPU_REPORT_SIZE)] : []),
		...Object.entries(V1_REPORTS[name]).flatMap(([file, size]) => reportFile(group, file, size)),
	]);
}

/** @param index tells the slots of several hierarchies apart */
export function v1Parts(hierarchy: V1Hierarchy, index: number, id: string, resources: Resources): Parts {
	const { path, limited, accounts } = hierarchy;
	const group: Group = {
		slot: `cgroup.${index}`,
		path: `${path}/${groupName(id)}`,
		forAccountOnly: limited.length === 0,
	};
	const timed = accounts.includes("cpuacct");
	const attach = attachSelf(group);
	return {
		host: [
			...makeGroup(group),
			...settingsOf(group, hierarchy, resources),
			...(timed ? [openFile(group, CPU_REPORT.v1, CPU)] : []),
			...attach.host,
		],
		parent: [],
		child: attach.child,
		account: accountOf(group, hierarchy),
		cleanup: [removeGroup(group)],
		...(timed ? { cpuUsage: { slot: CPU, format: "nanoseconds" } } : {}),
	};
}

/**
 * The same for a jail that is used again: pid 1 stays in the jail's group, and each program gets a group of its own below
 * it, for memory and processes. For the others (cpu, cpuset, io, cpuacct) the jail's group does for all programs.
 *
 * @param raised the resources with room for pid 1, for the jail's own group
 */
export function v1Reused(
	hierarchy: V1Hierarchy,
	index: number,
	id: string,
	resources: { readonly each: Resources; readonly raised: Resources },
): ReusedParts {
	const { limited, accounts } = hierarchy;
	const jail = v1Parts(hierarchy, index, id, resources.raised);
	const { cpuUsage, ...own } = jail;
	const counts = [...accounts, ...limited].some((name) => name === "memory" || name === "pids");
	const none: ReusedParts = {
		jail: { ...own, account: [] },
		// A counter that only grows tells by its difference what one program used: that needs no group for each.
		...(cpuUsage === undefined ? {} : { cpuUsage: { ...cpuUsage, format: "shared" } as const }),
		keep: cpuUsage === undefined ? [] : [cpuUsage.slot],
		renew: [],
		parent: [],
		child: [],
		account: [],
		limits: [],
		narrow: () => [],
	};
	if (!counts) return none;
	const above = `cgroup.${index}`;
	const group: Group = {
		slot: `exec.${index}`,
		path: `${hierarchy.path}/${groupName(id)}/${EXEC_GROUP}`,
		forAccountOnly: limited.length === 0,
		below: { slot: above, name: EXEC_GROUP },
	};
	const timed = accounts.includes("cpuacct");
	const attach = attachSelf(group);
	const { below: _, ...byPath } = group;
	const openCpu = timed ? [openFile(group, CPU_REPORT.v1, EXEC_CPU)] : [];
	const account = accountOf(group, hierarchy, EXEC_CPU);
	const limits = limitsOf(limited, accounts);
	return {
		jail: {
			...own,
			account: [findGroup(byPath), ...openCpu, ...account],
			cleanup: [removeGroup(byPath), ...own.cleanup],
		},
		keep: [above, group.slot, `${group.slot}.tasks`, ...(timed ? [EXEC_CPU] : [])],
		renew: [
			removeGroup(group),
			...makeGroup(group),
			...settingsOf(group, hierarchy, resources.each),
			...openCpu,
			...attach.host,
		],
		parent: [],
		child: attach.child,
		account,
		limits,
		narrow: (narrower) =>
			settingsOf(
				group,
				{ ...hierarchy, limited: limitedBy(narrower).filter((name) => limits.includes(name)) },
				narrower,
			),
		...(timed ? { cpuUsage: { slot: EXEC_CPU, format: "nanoseconds" } } : {}),
	};
}
