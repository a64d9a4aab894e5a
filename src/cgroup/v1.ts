/** Steps for the groups of cgroup v1: one per mounted hierarchy. Pure. */

import type { Resources } from "../oci/types.ts";
import type { CpuUsage, SlotName, Step } from "../plan/types.ts";
import {
	attachSelf,
	findGroup,
	type Group,
	makeGroup,
	openFile,
	openReports,
	removeGroup,
	reportFile,
	reportSlot,
	setFile,
} from "./files.ts";
import { groupName } from "./id.ts";
import { EXEC_CPU, EXEC_GROUP, NO_NARROWING, type Parts, type ReusedParts } from "./parts.ts";
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
	/** Of a jail that is used again: what its programs may be limited in here although its policy does not. */
	readonly spare?: readonly Limited[];
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
 * A hierarchy in which the jail's group does for all programs: a counter that only grows tells by its difference what one
 * used. A program with limits of its own gets a group below it for as long as it runs.
 */
function sharedGroup(
	hierarchy: V1Hierarchy,
	index: number,
	id: string,
	jail: Omit<Parts, "cpuUsage">,
	cpuUsage: CpuUsage | undefined,
): ReusedParts {
	const above = `cgroup.${index}`;
	const path = `${hierarchy.path}/${groupName(id)}/${EXEC_GROUP}`;
	const group: Group = { slot: `exec.${index}`, path, forAccountOnly: false, below: { slot: above, name: EXEC_GROUP } };
	const { below: _, ...byPath } = group;
	const limits = [...hierarchy.limited, ...(hierarchy.spare ?? [])];
	const attach = attachSelf(group);
	return {
		jail: { ...jail, account: [], cleanup: [removeGroup(byPath), ...jail.cleanup] },
		...(cpuUsage === undefined ? {} : { cpuUsage: { ...cpuUsage, format: "shared" } as const }),
		keep: [above, ...(cpuUsage === undefined ? [] : [cpuUsage.slot])],
		renew: [],
		parent: [],
		child: [],
		account: [],
		limits,
		narrow: (narrower) => {
			const asked = limitedBy(narrower).filter((name) => limits.includes(name));
			if (asked.length === 0) return NO_NARROWING;
			const settings = settingsOf(group, { ...hierarchy, limited: asked }, narrower);
			return {
				before: [removeGroup(group), ...makeGroup(group), ...settings, ...attach.host],
				child: attach.child,
				cleanup: [removeGroup(group)],
			};
		},
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
	if (!counts) return sharedGroup(hierarchy, index, id, own, cpuUsage);
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
	const cpu = timed ? [reportSlot(EXEC_CPU, CPU_REPORT.v1, CPU_REPORT_SIZE)] : [];
	const reports = openReports(group, Object.assign({}, ...accounts.map((name) => V1_REPORTS[name])));
	const limits = limitsOf(limited, accounts);
	return {
		jail: {
			...own,
			account: [findGroup(byPath), ...openCpu, ...account],
			cleanup: [removeGroup(byPath), ...own.cleanup],
		},
		keep: [above, group.slot, `${group.slot}.tasks`, ...(timed ? [EXEC_CPU] : []), ...reports.slots],
		renew: [
			removeGroup(group),
			...makeGroup(group),
			...settingsOf(group, hierarchy, resources.each),
			...openCpu,
			...reports.open,
			...attach.host,
		],
		parent: [],
		child: attach.child,
		account: [...cpu, ...reports.report],
		limits,
		narrow: (narrower) => {
			const asked = limitedBy(narrower).filter((name) => limits.includes(name));
			return { ...NO_NARROWING, before: settingsOf(group, { ...hierarchy, limited: asked }, narrower) };
		},
		...(timed ? { cpuUsage: { slot: EXEC_CPU, format: "nanoseconds" } } : {}),
	};
}
