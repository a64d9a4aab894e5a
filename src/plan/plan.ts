/** From a spec to the system calls that make its jail. */

import type { HostFacts, ProgramFact } from "../host/types.ts";
import type { Mount, Spec } from "../oci/types.ts";
import { inheritedSteps } from "./credentials.ts";
import { RULESET, rulesetSteps } from "./landlock.ts";
import { maskSteps, readonlySteps } from "./masks.ts";
import { mountSteps } from "./mounts.ts";
import {
	cgroupNamespaceSteps,
	cloneFlags,
	idMapSteps,
	mountNamespaceSteps,
	namespaceSteps,
	noTimeWaitSteps,
} from "./namespaces.ts";
import { allowSteps, memfdSteps, withoutExec } from "./programs.ts";
import { closeDevSteps, heldSlots, holdSteps } from "./renew.ts";
import { deviceLinkSteps, enterRootSteps, newRootSteps } from "./root.ts";
import { closeSnapshotSteps, openSnapshotSteps, snapshotSteps } from "./snapshots.ts";
import type { Plan, Step } from "./types.ts";

/** Steps of other parts of vmjail that belong into a jail's set-up. */
export interface ExtraSteps {
	/** For a jail that is used again: what {@link renewSteps} needs is held open. */
	readonly reusable?: true;
	/** Mounts that {@link beforeRoot} makes: held open too, where they stand on what is renewed. */
	readonly heldMounts?: readonly Mount[];
	/** When everything is mounted and the host can still be seen. */
	readonly beforeRoot?: readonly Step[];
	readonly last?: readonly Step[];
}

/** The mounts of a spec, as the allow-list of programs lets them be. */
export function mountsFor(spec: Spec, programs: readonly ProgramFact[]): readonly Mount[] {
	return programs.length === 0 ? spec.mounts : withoutExec(spec.mounts, programs);
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
	const mounts = mountsFor(spec, programs);
	const { reusable, heldMounts = [] } = extra;
	const held = [...mounts, ...heldMounts];
	const ahead: readonly Step[] = [
		{ label: "start a session", call: "setsid", args: [] },
		...(reusable ? [] : cgroupNamespaceSteps(spec.linux)),
		...namespaceSteps(spec),
		...inheritedSteps(spec.process),
	];
	return {
		cloneFlags: cloneFlags(spec.linux),
		before: openSnapshotSteps(programs),
		parent: [...closeSnapshotSteps(programs), ...idMapSteps(spec.linux, facts.caller.privileged)],
		child: [
			...ahead,
			...mountNamespaceSteps(spec.linux),
			...newRootSteps(spec.root),
			...mountSteps(mounts, facts.paths),
			...deviceLinkSteps(),
			...maskSteps(spec.linux.maskedPaths ?? [], facts.paths),
			...snapshotSteps(programs),
			...(programs.length === 0 ? [] : memfdSteps()),
			...(reusable ? noTimeWaitSteps(spec.linux) : []),
			...readonlySteps(spec.linux.readonlyPaths ?? [], facts.paths),
			...(extra.beforeRoot ?? []),
			...(reusable ? closeDevSteps() : []),
			...enterRootSteps(),
			...allowSteps(programs),
			...(landlock ? rulesetSteps(spec, facts) : []),
			...(reusable ? holdSteps(held) : []),
			...(extra.last ?? []),
		],
		ahead: ahead.length,
		account: [],
		cleanup: [],
		keep: [...(landlock ? [RULESET] : []), ...(reusable ? heldSlots(held) : [])],
	};
}
