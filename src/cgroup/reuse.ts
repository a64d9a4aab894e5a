/** Groups of a jail that is used again: one for the jail, and below it a fresh one for each program. Pure. */

import type { Missing } from "../host/types.ts";
import type { Resources } from "../oci/types.ts";
import type { ReusedParts } from "./parts.ts";
import { type CgroupRequest, layoutOf } from "./steps.ts";
import { v1Reused } from "./v1.ts";
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

/**
 * As `cgroupSteps`, for a jail that is used again.
 *
 * @throws VmjailError HOST_UNSUPPORTED where a limit cannot be enforced and `optional` does not name it
 */
export function reusableGroups(request: CgroupRequest): ReusableGroups {
	const { id } = request;
	const layout = layoutOf(request);
	const resources = { each: request.resources, raised: raised(request.resources) };
	const v2 = layout.v2 === undefined ? undefined : v2Reused(layout.v2, id, resources);
	const parts = [
		...layout.v1.map((one, index) => v1Reused(one, index, id, resources)),
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
		narrow: (narrower) => parts.flatMap(({ narrow }) => narrow(narrower)),
		...(v2?.intoCgroup === undefined ? {} : { intoCgroup: v2.intoCgroup }),
		...(cpuUsage === undefined ? {} : { cpuUsage }),
		missing: layout.missing,
	};
}
