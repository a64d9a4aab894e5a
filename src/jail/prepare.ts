/** Policy, host and command → everything that a run needs, checked. */

import { cgroupSteps } from "../cgroup/steps.ts";
import { VmjailError } from "../errors.ts";
import { probePaths } from "../host/paths.ts";
import { probePrograms } from "../host/programs.ts";
import type { HostFacts, Missing } from "../host/types.ts";
import { readAnnotations } from "../oci/annotations.ts";
import { unavailable } from "../oci/available.ts";
import { withRealPaths } from "../oci/host-path.ts";
import { pathsOf, specOf } from "../oci/spec.ts";
import type { Spec } from "../oci/types.ts";
import { planOf } from "../plan/plan.ts";
import type { Plan } from "../plan/types.ts";
import type { Control, Policy } from "../policy/types.ts";

export interface Prepared {
	readonly spec: Spec;
	readonly plan: Plan;
	/** With the paths of the policy. */
	readonly facts: HostFacts;
	readonly missing: readonly Missing[];
	readonly cpuLimitMs?: number;
	readonly wallLimitMs?: number;
	readonly outputMaxBytes?: number;
}

/** Everything of the policy that this version cannot enforce, as one error. */
export function refuseUnavailable(policy: Policy): void {
	const all = unavailable(policy);
	const [first] = all;
	if (first === undefined) return;
	throw new VmjailError(
		"NOT_AVAILABLE",
		all.map(({ path, what }) => `${path}: not available yet: ${what}`).join("\n"),
		{
			remedy: all.map(({ remedy }) => remedy).join("\n"),
		},
	);
}

function landlockMissing(facts: HostFacts, optional: readonly Control[]): readonly Missing[] {
	if (facts.landlockAbi > 0) return [];
	const reason = "this kernel has no Landlock (Linux 5.13, CONFIG_SECURITY_LANDLOCK), or it is not switched on";
	const remedy =
		"Add landlock to the kernel's lsm= parameter, or list landlock in system.optional (--optional landlock).";
	if (optional.includes("landlock")) return [{ control: "landlock", reason, remedy }];
	throw new VmjailError("HOST_UNSUPPORTED", `landlock: ${reason}`, { remedy });
}

/**
 * The spec, the plan with its cgroup, and the limits for pid 1.
 *
 * @param id of the jail's cgroup, from newGroupId
 * @throws VmjailError NOT_AVAILABLE, HOST_UNSUPPORTED, PATH_INVALID, POLICY_INVALID, USAGE: before anything was changed
 */
export function prepare(
	policy: Policy,
	host: HostFacts,
	command: readonly string[],
	terminal: boolean,
	id: string,
): Prepared {
	refuseUnavailable(policy);
	const { allow } = policy.security.process;
	const facts: HostFacts = {
		...host,
		paths: probePaths(pathsOf(policy, host)),
		...(allow.length === 0 ? {} : { programs: probePrograms(allow, policy.system.root.path) }),
	};
	const spec = specOf({ policy, facts, command, terminal });
	const { cpuMs, wallMs, outputMaxBytes, optional } = readAnnotations(spec);
	const cgroup = cgroupSteps({
		resources: spec.linux.resources ?? {},
		facts: facts.cgroup,
		optional,
		id,
		privileged: facts.caller.privileged,
	});
	const plan = planOf(spec, withRealPaths(facts));
	return {
		spec,
		facts,
		plan: {
			...plan,
			before: cgroup.host,
			parent: [...cgroup.parent, ...plan.parent],
			account: cgroup.account,
			cleanup: cgroup.cleanup,
			keep: [...plan.keep, ...(cgroup.cpuUsage === undefined ? [] : [cgroup.cpuUsage.slot])],
			...(cgroup.intoCgroup === undefined ? {} : { intoCgroup: cgroup.intoCgroup }),
			...(cgroup.cpuUsage === undefined ? {} : { cpuUsage: cgroup.cpuUsage }),
		},
		missing: [...cgroup.missing, ...landlockMissing(facts, optional)],
		...(cpuMs === undefined ? {} : { cpuLimitMs: cpuMs }),
		...(wallMs === undefined ? {} : { wallLimitMs: wallMs }),
		...(outputMaxBytes === undefined ? {} : { outputMaxBytes }),
	};
}
