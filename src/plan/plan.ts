/** From a spec to the system calls that make its jail. */

import type { HostFacts } from "../host/types.ts";
import type { Spec } from "../oci/types.ts";
import { RULESET, rulesetSteps } from "./landlock.ts";
import { maskSteps, readonlySteps } from "./masks.ts";
import { mountSteps } from "./mounts.ts";
import { cgroupNamespaceSteps, cloneFlags, idMapSteps, namespaceSteps } from "./namespaces.ts";
import { allowSteps, memfdSteps, withoutExec } from "./programs.ts";
import { deviceLinkSteps, enterRootSteps, newRootSteps } from "./root.ts";
import { closeSnapshotSteps, openSnapshotSteps, snapshotSteps } from "./snapshots.ts";
import type { Plan, Step } from "./types.ts";

/** Steps of other parts of vmjail that belong into a jail's set-up. */
export interface ExtraSteps {
	/** When everything is mounted and the host can still be seen. */
	readonly beforeRoot?: readonly Step[];
	readonly last?: readonly Step[];
}

/**
 * The plan for a jail, up to the point where pid 1 waits for workloads. `facts.paths` must hold the source of every
 * bind mount and every masked or read-only path of the spec. Landlock is left out where the host has none: whether
 * that is acceptable is decided before.
 *
 * @throws VmjailError POLICY_INVALID for what runlc does not give: joined namespaces, odd mount types.
 */
export function planOf(spec: Spec, facts: HostFacts, extra: ExtraSteps = {}): Plan {
	const landlock = facts.landlockAbi > 0;
	const programs = facts.programs ?? [];
	const mounts = programs.length === 0 ? spec.mounts : withoutExec(spec.mounts, programs);
	return {
		cloneFlags: cloneFlags(spec.linux),
		before: openSnapshotSteps(programs),
		parent: [...closeSnapshotSteps(programs), ...idMapSteps(spec.linux, facts.caller.privileged)],
		child: [
			{ label: "start a session", call: "setsid", args: [] },
			...cgroupNamespaceSteps(spec.linux),
			...newRootSteps(spec.root),
			...mountSteps(mounts, facts.paths),
			...deviceLinkSteps(),
			...maskSteps(spec.linux.maskedPaths ?? [], facts.paths),
			...snapshotSteps(programs),
			...(programs.length === 0 ? [] : memfdSteps()),
			...readonlySteps(spec.linux.readonlyPaths ?? [], facts.paths),
			...(extra.beforeRoot ?? []),
			...enterRootSteps(),
			...namespaceSteps(spec),
			...allowSteps(programs),
			...(landlock ? rulesetSteps(spec, facts) : []),
			...(extra.last ?? []),
		],
		account: [],
		cleanup: [],
		keep: landlock ? [RULESET] : [],
	};
}
