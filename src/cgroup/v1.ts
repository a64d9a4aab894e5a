/** Steps for the groups of cgroup v1: one per mounted hierarchy. Pure. */

import type { Resources } from "../oci/types.ts";
import type { SlotName, Step } from "../plan/types.ts";
import { attachSelf, type Group, makeGroup, openFile, removeGroup, reportFile, reportSlot, setFile } from "./files.ts";
import { groupName } from "./id.ts";
import { type Limited, type SwapFacts, v1Settings } from "./settings.ts";
import type { Parts } from "./steps.ts";
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

function accountOf(group: Group, { accounts }: V1Hierarchy): readonly Step[] {
	return accounts.flatMap((name) => [
		...(name === "cpuacct" ? [reportSlot(CPU, CPU_REPORT.v1, CPU_REPORT_SIZE)] : []),
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
