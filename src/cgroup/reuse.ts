/** Groups of a jail that is used again: one for the jail, and below it a fresh one for each program. Pure. */

import type { CgroupFacts, Missing } from "../host/types.ts";
import type { Resources } from "../oci/types.ts";
import { type ReusedParts, SPARE } from "./parts.ts";
import { placeOf } from "./placement.ts";
import { type CgroupRequest, layoutOf } from "./steps.ts";
import { type V1Hierarchy, v1Reused } from "./v1.ts";
import { v2Reused } from "./v2.ts";

export interface ReusableGroups extends ReusedParts {
	readonly missing: readonly Missing[];
}

/** What pid 1 and the kernel need for themselves in the jail's group, so that a program meets its own limit first. */
const ROOM = { memoryBytes: 32 * 2 ** 20, pids: 1 };

/** The resources with room for pid 1. */
function raised({ memory, pids, ...rest }: Resources): Resources {
	const more = (value: number | undefined) => (value === undefined || value < 0 ? value : value + ROOM.memoryBytes);
	const [limit, swap] = [more(memory?.limit), more(memory?.swap)];
	return {
		...rest,
		...(memory === undefined
			? {}
			: { memory: { ...memory, ...(limit === undefined ? {} : { limit }), ...(swap === undefined ? {} : { swap }) } }),
		...(pids === undefined ? {} : { pids: pids.limit > 0 ? { limit: pids.limit + ROOM.pids } : pids }),
	};
}

/** With the hierarchies of the limits that only some programs may have: the jail's groups there limit nothing. */
function withSpare(v1: readonly V1Hierarchy[], facts: CgroupFacts): readonly V1Hierarchy[] {
	const cpuset = facts.v1.find(({ name }) => name === "cpuset");
	const found = SPARE.flatMap((name) => {
		const place = placeOf(name, facts);
		return place.hierarchy === "v1" ? [{ name, path: place.controller.path }] : [];
	});
	const paths = new Set([...v1.map(({ path }) => path), ...found.map(({ path }) => path)]);
	return [...paths].map((path): V1Hierarchy => {
		const known = v1.find((one) => one.path === path);
		const spare = found.filter((one) => one.path === path && known?.limited.includes(one.name) !== true);
		const own = known ?? { path, limited: [], accounts: [], swap: { limit: true, on: false } };
		const set = cpuset?.path === path ? { cpuset: { mems: cpuset.mems ?? "", cpus: facts.cpuList ?? "" } } : {};
		return { ...set, ...own, spare: spare.map(({ name }) => name) };
	});
}

/**
 * As `cgroupSteps`, for a jail that is used again.
 *
 * @throws VmjailError HOST_UNSUPPORTED where a limit cannot be enforced and `optional` does not name it
 */
export function reusableGroups(request: CgroupRequest): ReusableGroups {
	const { id } = request;
	const layout = layoutOf(request);
	const hierarchies = withSpare(layout.v1, request.facts);
	const resources = { each: request.resources, raised: raised(request.resources) };
	const v2 = layout.v2 === undefined ? undefined : v2Reused(layout.v2, id, resources);
	const parts = [
		...hierarchies.map((one, index) => v1Reused(one, index, id, resources)),
		...(v2 === undefined ? [] : [v2]),
	];
	const jails = parts.map(({ jail }) => jail);
	const cpuUsage = parts.find((part) => part.cpuUsage !== undefined)?.cpuUsage;
	return {
		jail: {
			host: jails.flatMap(({ host }) => host),
			parent: jails.flatMap(({ parent }) => parent),
			child: jails.flatMap(({ child }) => child),
			account: jails.flatMap(({ account }) => account),
			cleanup: jails.flatMap(({ cleanup }) => cleanup),
			...(v2?.jail.intoCgroup === undefined ? {} : { intoCgroup: v2.jail.intoCgroup }),
		},
		keep: [...new Set(parts.flatMap(({ keep }) => keep))],
		renew: parts.flatMap(({ renew }) => renew),
		parent: parts.flatMap(({ parent }) => parent),
		child: parts.flatMap(({ child }) => child),
		account: parts.flatMap(({ account }) => account),
		limits: [...new Set(parts.flatMap(({ limits }) => limits))],
		narrow: (narrower) => {
			const each = parts.map(({ narrow }) => narrow(narrower));
			return {
				before: each.flatMap(({ before }) => before),
				child: each.flatMap(({ child }) => child),
				cleanup: each.flatMap(({ cleanup }) => cleanup),
			};
		},
		...(v2?.intoCgroup === undefined ? {} : { intoCgroup: v2.intoCgroup }),
		...(cpuUsage === undefined ? {} : { cpuUsage }),
		missing: layout.missing,
	};
}
