/** Steps for the one group of cgroup v2. Pure. See Documentation/admin-guide/cgroup-v2.rst. */

import { SUPERVISOR } from "../host/cgroup-v2.ts";
import type { CgroupV2 } from "../host/types.ts";
import type { Resources } from "../oci/types.ts";
import type { Errno, SlotName, Step } from "../plan/types.ts";
import {
	attachChild,
	ensureFolder,
	findGroup,
	type Group,
	makeGroup,
	openFile,
	openReports,
	removeGroup,
	reportFile,
	reportSlot,
	setFile,
	setPath,
} from "./files.ts";
import { groupName } from "./id.ts";
import { EXEC_CPU, EXEC_GROUP, INIT_GROUP, NO_NARROWING, type Parts, type ReusedParts, SPARE } from "./parts.ts";
import { type Limited, limitedBy, limitsOf, type SwapFacts, v2Settings } from "./settings.ts";
import { CPU_REPORT, CPU_REPORT_SIZE, V2_REPORTS } from "./usage.ts";

export interface V2Group {
	readonly facts: CgroupV2;
	readonly limited: readonly Limited[];
	readonly accounts: readonly ("memory" | "pids")[];
	/** Is cpu.stat to be read here? It needs no controller. */
	readonly timed: boolean;
	readonly swap: SwapFacts;
}

const CPU: SlotName = "cgroup.cpu";

/** Of steps that only accounts need. */
const HARMLESS: readonly Errno[] = ["EACCES", "EPERM", "ENOENT"];

/** Of a controller that would be welcome: it is not there, somebody is inside, or the group is not the caller's. */
const UNAVAILABLE: readonly Errno[] = ["ENOENT", "EBUSY", "EACCES"];

function enable(path: string, names: readonly string[], errors: readonly Errno[]): readonly Step[] {
	if (names.length === 0) return [];
	return setPath(`${path}/cgroup.subtree_control`, names.map((name) => `+${name}`).join(" "), errors);
}

/** The caller's processes, then the one that carries out the plan (0 is whoever writes). */
function moveSelf({ path, own = [] }: CgroupV2, errors: readonly Errno[]): readonly Step[] {
	const leaf = `${path}/${SUPERVISOR}`;
	const gone: readonly Errno[] = [...errors.slice(0, 2), "ESRCH"];
	return [
		ensureFolder(leaf),
		...[...own, 0].flatMap((pid) => setPath(`${leaf}/cgroup.procs`, `${pid}`, pid === 0 ? errors : gone)),
	];
}

/** Controllers are enabled for the children of a group as a whole, so most often this is done already. */
function prepare({ facts, limited, accounts }: V2Group): readonly Step[] {
	const enabled = facts.enabled ?? [];
	const needed = limited.filter((name) => !enabled.includes(name));
	const counted = accounts.filter((name) => !enabled.includes(name) && !needed.includes(name));
	if (needed.length + counted.length === 0) return [];
	return [
		...(facts.moveSelf ? moveSelf(facts, needed.length === 0 ? HARMLESS : []) : []),
		...enable(facts.path, needed, []),
		...enable(facts.path, counted, ["EBUSY", ...HARMLESS.slice(0, 2)]),
	];
}

/**
 * With limits, the jail is born in the group (CLONE_INTO_CGROUP): it never runs outside of it, and attaching costs
 * nothing. A group for accounts only is attached to afterwards, since a clone into it could fail.
 */
export function v2Parts(wanted: V2Group, id: string, resources: Resources): Parts {
	const { facts, limited, accounts, timed } = wanted;
	const forAccountOnly = limited.length === 0;
	const group: Group = { slot: "cgroup.v2", path: `${facts.path}/${groupName(id)}`, forAccountOnly };
	const settings = settingsOf(group, wanted, resources, true);
	const reports = accounts.flatMap((name) => Object.entries(V2_REPORTS[name]));
	return {
		host: [
			...prepare(wanted),
			...makeGroup(group),
			...settings,
			...(timed ? [openFile(group, CPU_REPORT.v2, CPU)] : []),
		],
		parent: forAccountOnly ? attachChild(group) : [],
		child: [],
		...(forAccountOnly ? {} : { intoCgroup: group.slot }),
		account: [
			...(timed ? [reportSlot(CPU, CPU_REPORT.v2, CPU_REPORT_SIZE)] : []),
			...reports.flatMap(([file, size]) => reportFile(group, file, size)),
		],
		cleanup: [removeGroup(group)],
		...(timed ? { cpuUsage: { slot: CPU, format: "cpu.stat" } } : {}),
	};
}

function settingsOf(group: Group, { limited, swap }: V2Group, resources: Resources, whole: boolean): readonly Step[] {
	return limited
		.flatMap((name) => v2Settings(name, resources, swap))
		.filter(({ file }) => whole || file !== "memory.oom.group")
		.flatMap(({ file, value, optionalFile }) => setFile(group, file, value, optionalFile ? ["ENOENT"] : []));
}

/**
 * The same for a jail that is used again. A group with controllers for its children holds no process itself (cgroup-v2.rst,
 * "No Internal Process Constraint"): pid 1 and each program have one below the jail's. Were the jail's group to run out
 * of memory as a whole, pid 1 is not to be killed with the rest.
 *
 * @param resources `raised`: with room for pid 1, for the jail's own group
 */
export function v2Reused(
	wanted: V2Group,
	id: string,
	resources: { readonly each: Resources; readonly raised: Resources },
): ReusedParts {
	const { facts, limited, accounts, timed } = wanted;
	const forAccountOnly = limited.length === 0;
	const path = `${facts.path}/${groupName(id)}`;
	const jail: Group = { slot: "cgroup.v2", path, forAccountOnly };
	const below = (name: string, slot: string): Group => ({
		slot,
		path: `${path}/${name}`,
		forAccountOnly,
		below: { slot: jail.slot, name },
	});
	const init = below(INIT_GROUP, "cgroup.v2.init");
	const group = below(EXEC_GROUP, "exec.v2");
	const byPath = ({ below: _, ...rest }: Group): Group => rest;
	const counted = accounts.filter((name) => !limited.includes(name));
	const spare = SPARE.filter((name) => facts.controllers.includes(name) && !limited.includes(name));
	const limits = [...limitsOf(limited, accounts), ...spare];
	const openCpu = timed ? [openFile(group, CPU_REPORT.v2, EXEC_CPU)] : [];
	const cpu = timed ? [reportSlot(EXEC_CPU, CPU_REPORT.v2, CPU_REPORT_SIZE)] : [];
	const files: Readonly<Record<string, number>> = Object.assign({}, ...accounts.map((name) => V2_REPORTS[name]));
	const reports = openReports(group, files);
	const found = Object.entries(files).flatMap(([file, size]) => reportFile(byPath(group), file, size));
	return {
		jail: {
			host: [
				...prepare(wanted),
				...makeGroup(jail),
				...settingsOf(jail, wanted, resources.raised, false),
				...enable(path, limited, []),
				...[...counted, ...spare].flatMap((name) => enable(path, [name], UNAVAILABLE)),
				...makeGroup(init),
			],
			parent: forAccountOnly ? attachChild(init) : [],
			child: [],
			...(forAccountOnly ? {} : { intoCgroup: init.slot }),
			account: [findGroup(byPath(group)), ...openCpu, ...cpu, ...found],
			cleanup: [removeGroup(byPath(group)), removeGroup(byPath(init)), removeGroup(jail)],
		},
		keep: [jail.slot, group.slot, ...(timed ? [EXEC_CPU] : []), ...reports.slots],
		renew: [
			removeGroup(group),
			...makeGroup(group),
			...settingsOf(group, wanted, resources.each, true),
			...openCpu,
			...reports.open,
		],
		parent: forAccountOnly ? attachChild(group) : [],
		child: [],
		...(forAccountOnly ? {} : { intoCgroup: group.slot }),
		account: [...cpu, ...reports.report],
		limits,
		narrow: (narrower) => {
			const names = limitedBy(narrower).filter((name) => limits.includes(name));
			return { ...NO_NARROWING, before: settingsOf(group, { ...wanted, limited: names }, narrower, true) };
		},
		...(timed ? { cpuUsage: { slot: EXEC_CPU, format: "cpu.stat" } } : {}),
	};
}
