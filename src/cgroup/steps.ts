/** Limits and accounts of a jail as system calls on cgroup v1, v2, or both. Pure: data in, data out. */

import type { CgroupFacts, CgroupV1Controller, Missing } from "../host/types.ts";
import type { Resources } from "../oci/types.ts";
import type { Control } from "../policy/types.ts";
import { outside } from "./cpu-list.ts";
import type { Parts } from "./parts.ts";
import { missing, type Place, placeOf } from "./placement.ts";
import { type Limited, limitedBy, type SwapFacts } from "./settings.ts";
import { type V1Hierarchy, v1Parts } from "./v1.ts";
import { type V2Group, v2Parts } from "./v2.ts";

export interface CgroupSteps extends Parts {
	/** Controls that this host lacks and that the policy lets go. */
	readonly missing: readonly Missing[];
}

export interface CgroupRequest {
	/** In OCI's terms: `memory.swap` is memory and swap together. Absent there: no swap. */
	readonly resources: Resources;
	readonly facts: CgroupFacts;
	readonly optional: readonly Control[];
	/** From `newGroupId`. */
	readonly id: string;
	/** May the caller act for the whole host (HostFacts.caller.privileged)? Decides which remedy an error names. */
	readonly privileged: boolean;
}

type Account = "memory" | "pids" | "cpuacct";

const ACCOUNTS: readonly Account[] = ["memory", "pids", "cpuacct"];

interface Placed<Name> {
	readonly name: Name;
	readonly place: Place;
}

function swapFacts(place: Place, facts: CgroupFacts): SwapFacts {
	const known =
		place.hierarchy === "v1"
			? place.controller.swapLimit
			: place.hierarchy === "v2"
				? place.group.swapLimit
				: undefined;
	return { limit: known !== false, on: facts.swapOn !== false };
}

/** Why a control cannot be had although its controller can; the control that is then missing. */
function shortfall(
	{ name, place }: Placed<Limited>,
	{ resources, facts }: CgroupRequest,
): { readonly control: Limited | "swap"; readonly reason: string } | undefined {
	if (place.hierarchy === "none") return { control: name, reason: place.reason };
	if (name === "memory" && resources.memory?.swap !== -1) {
		const swap = swapFacts(place, facts);
		const reason = "this kernel counts no swap per group, and the host has swap on";
		if (swap.on && !swap.limit) return { control: "swap", reason };
	}
	if (name === "cpuset" && facts.cpuList !== undefined) {
		const absent = outside(resources.cpu?.cpus ?? "", facts.cpuList);
		const reason = `processors ${absent.join(",")} are not among the caller's (${facts.cpuList})`;
		if (absent.length > 0) return { control: "cpuset", reason };
	}
	return undefined;
}

/** Hierarchies by folder: controllers mounted together appear there once. */
function hierarchiesOf(
	limited: readonly Placed<Limited>[],
	accounts: readonly Placed<Account>[],
	facts: CgroupFacts,
): readonly V1Hierarchy[] {
	const at = ({ place }: Placed<unknown>): CgroupV1Controller | undefined =>
		place.hierarchy === "v1" ? place.controller : undefined;
	const cpuset = facts.v1.find(({ name }) => name === "cpuset");
	const paths = new Set([...limited, ...accounts].flatMap((one) => at(one)?.path ?? []));
	return [...paths].map((path) => {
		const here = (one: Placed<unknown>): boolean => at(one)?.path === path;
		const memory = [...limited, ...accounts].find((one) => one.name === "memory" && here(one));
		return {
			path,
			limited: limited.filter(here).map(({ name }) => name),
			accounts: accounts.filter(here).map(({ name }) => name),
			...(cpuset?.path === path ? { cpuset: { mems: cpuset.mems ?? "", cpus: facts.cpuList ?? "" } } : {}),
			swap: memory === undefined ? { limit: true, on: false } : swapFacts(memory.place, facts),
		};
	});
}

function v2Of(
	limited: readonly Placed<Limited>[],
	accounts: readonly Placed<Account>[],
	{ facts }: CgroupRequest,
): V2Group | undefined {
	const { v2 } = facts;
	const here = ({ place }: Placed<unknown>): boolean => place.hierarchy === "v2";
	const cpuInV1 = accounts.some(({ name, place }) => name === "cpuacct" && place.hierarchy === "v1");
	const timed = v2?.writable === true && !cpuInV1;
	if (v2 === undefined || !(timed || limited.some(here) || accounts.some(here))) return undefined;
	const names = accounts.filter(here).flatMap(({ name }) => (name === "cpuacct" ? [] : [name]));
	const swap = swapFacts({ hierarchy: "v2", group: v2 }, facts);
	return { facts: v2, limited: limited.filter(here).map(({ name }) => name), accounts: names, timed, swap };
}

/** Where each limit and each account of a request is kept on this host. */
export interface Layout {
	readonly v1: readonly V1Hierarchy[];
	readonly v2?: V2Group;
	readonly missing: readonly Missing[];
}

/** @throws VmjailError HOST_UNSUPPORTED where a limit cannot be enforced and `optional` does not name it */
export function layoutOf(request: CgroupRequest): Layout {
	const { resources, facts } = request;
	const asked = limitedBy(resources).map((name) => ({ name, place: placeOf(name, facts) }));
	const short = asked.map((one) => ({ one, lack: shortfall(one, request) }));
	const lost = short.flatMap(({ lack }) => (lack === undefined ? [] : [missing(lack.control, lack.reason, request)]));
	// Without a swap limit the memory limit still holds.
	const limited = short.flatMap(({ one, lack }) => (lack === undefined || lack.control === "swap" ? [one] : []));
	const accounts = ACCOUNTS.map((name) => ({ name, place: placeOf(name, facts) }));
	const v2 = v2Of(limited, accounts, request);
	return { v1: hierarchiesOf(limited, accounts, facts), ...(v2 === undefined ? {} : { v2 }), missing: lost };
}

/**
 * The groups of one jail: `vmjail-<id>` in every hierarchy that holds a controller that the resources ask for, and in
 * those that count memory, processes and processor time, whether or not anything limits them.
 *
 * Groups lie directly below the caller's own group (v1), or where `CgroupFacts.v2.path` says (v2).
 *
 * @throws VmjailError HOST_UNSUPPORTED where a limit cannot be enforced and `optional` does not name it
 */
export function cgroupSteps(request: CgroupRequest): CgroupSteps {
	const { resources, id } = request;
	const { v1, v2: unified, missing } = layoutOf(request);
	const v2 = unified === undefined ? undefined : v2Parts(unified, id, resources);
	const parts = [...v1.map((one, index) => v1Parts(one, index, id, resources)), ...(v2 === undefined ? [] : [v2])];
	const cpuUsage = parts.find((part) => part.cpuUsage !== undefined)?.cpuUsage;
	return {
		host: parts.flatMap(({ host }) => host),
		parent: parts.flatMap(({ parent }) => parent),
		child: parts.flatMap(({ child }) => child),
		account: parts.flatMap(({ account }) => account),
		cleanup: parts.flatMap(({ cleanup }) => cleanup),
		...(v2?.intoCgroup === undefined ? {} : { intoCgroup: v2.intoCgroup }),
		...(cpuUsage === undefined ? {} : { cpuUsage }),
		missing,
	};
}
