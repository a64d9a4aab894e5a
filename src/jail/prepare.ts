/** Policy, host and command → everything that a run needs, checked. */

import { type CgroupSteps, cgroupSteps } from "../cgroup/steps.ts";
import { VmjailError } from "../errors.ts";
import type { HostFs } from "../host/fs.ts";
import { probePaths } from "../host/paths.ts";
import { type Keep, probePrograms } from "../host/programs.ts";
import type { HostFacts, Missing } from "../host/types.ts";
import { belowGateway, resolverSteps, sendNamespaceSteps } from "../network/namespace/jail-plan.ts";
import { readAnnotations } from "../oci/annotations.ts";
import { unavailable } from "../oci/available.ts";
import { withRealPaths } from "../oci/host-path.ts";
import { pathsOf, specOf } from "../oci/spec.ts";
import type { Spec } from "../oci/types.ts";
import { type ExtraSteps, planOf } from "../plan/plan.ts";
import type { Plan, Step } from "../plan/types.ts";
import type { Control, Policy } from "../policy/types.ts";
import type { Choice } from "../runtime/choose.ts";
import type { DriverName } from "../runtime/driver.ts";
import type { Driven } from "./driven.ts";
import type { Encoded } from "./encoded.ts";
import type { Ahead, Begun } from "./spare.ts";

export interface Prepared {
	readonly spec: Spec;
	readonly plan: Plan;
	/** Another runtime that carries out the spec, inside the plan's jail; absent: the jail's pid 1 does. */
	readonly driven?: Driven;
	/** Absent: runlc, as the policy says. */
	readonly choice?: Choice;
	/** With the paths of the policy. */
	readonly facts: HostFacts;
	readonly missing: readonly Missing[];
	/** Its bytes, where they are known already; `plan` may then name another run's group, and `shown` names this one's. */
	readonly ready?: {
		readonly encoded: Encoded;
		readonly shown: () => Plan;
		/** What of it can be done before a run. */
		readonly ahead?: Ahead;
		/** The jail, where that has been done: to be used, or to be closed. */
		readonly begun?: Begun;
	};
	readonly cpuLimitMs?: number;
	readonly wallLimitMs?: number;
	readonly outputMaxBytes?: number;
}

/** Everything of the policy that the runtime cannot enforce in this version, as one error. */
export function refuseUnavailable(policy: Policy, runtime: DriverName): void {
	const all = unavailable(policy, runtime);
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

export function landlockMissing(facts: HostFacts, optional: readonly Control[]): readonly Missing[] {
	if (facts.landlockAbi > 0) return [];
	const reason = "this kernel has no Landlock (Linux 5.13, CONFIG_SECURITY_LANDLOCK), or it is not switched on";
	const remedy =
		"Add landlock to the kernel's lsm= parameter, or list landlock in system.optional (--optional landlock).";
	if (optional.includes("landlock")) return [{ control: "landlock", reason, remedy }];
	throw new VmjailError("HOST_UNSUPPORTED", `landlock: ${reason}`, { remedy });
}

/** A profile or label of a module that is not switched on: an error, or what `optional` lets go. */
export function macMissing(policy: Policy, facts: HostFacts): readonly Missing[] {
	return (["apparmor", "selinux"] as const).flatMap((control): readonly Missing[] => {
		if (policy.security.mac[control] === undefined || facts.mac[control]) return [];
		const reason = `${control === "apparmor" ? "AppArmor" : "SELinux"} is not switched on in this kernel`;
		const remedy = `Take security.mac.${control} out of the policy, or list ${control} in system.optional.`;
		if (policy.system.optional.includes(control)) return [{ control, reason, remedy }];
		throw new VmjailError("HOST_UNSUPPORTED", `security.mac.${control}: ${reason}`, { remedy });
	});
}

/** The spec without what is missing. */
export function without(spec: Spec, missing: readonly Missing[]): Spec {
	const { apparmorProfile, selinuxLabel, ...process } = spec.process;
	const lacks = (control: Control) => missing.some((one) => one.control === control);
	return {
		...spec,
		process: {
			...process,
			...(apparmorProfile === undefined || lacks("apparmor") ? {} : { apparmorProfile }),
			...(selinuxLabel === undefined || lacks("selinux") ? {} : { selinuxLabel }),
		},
	};
}

/** The host's path of the resolv.conf that the jail sees. */
export function resolverOf(policy: Policy): string {
	const { path } = policy.system.root;
	return path === "/" ? "/etc/resolv.conf" : `${path}/etc/resolv.conf`;
}

/**
 * Where that really is, as the jail names it.
 *
 * @throws VmjailError HOST_UNSUPPORTED where there is none
 */
export function resolverInJail(policy: Policy, facts: HostFacts): string {
	const root = policy.system.root.path;
	const fact = facts.paths[resolverOf(policy)];
	if (fact?.real === undefined) {
		throw new VmjailError("HOST_UNSUPPORTED", `network rules: ${resolverOf(policy)} does not exist`, {
			remedy: "Make it, even empty: the jail's own, which names the gateway, is laid over it.",
		});
	}
	return root === "/" ? fact.real : fact.real.slice(root.length);
}

function resolverStepsFor(policy: Policy, facts: HostFacts): readonly Step[] {
	const inJail = resolverInJail(policy, facts);
	return resolverSteps(inJail, !inJail.startsWith("/run/"));
}

/** A plan whose jail is in a control group. */
export function inGroup(plan: Plan, cgroup: CgroupSteps): Plan {
	return {
		...plan,
		before: [...plan.before, ...cgroup.host],
		parent: [...cgroup.parent, ...plan.parent],
		child: [...cgroup.child, ...plan.child],
		account: cgroup.account,
		cleanup: cgroup.cleanup,
		...(plan.ahead === undefined ? {} : { ahead: cgroup.child.length + plan.ahead }),
		keep: [...plan.keep, ...(cgroup.cpuUsage === undefined ? [] : [cgroup.cpuUsage.slot])],
		...(cgroup.intoCgroup === undefined ? {} : { intoCgroup: cgroup.intoCgroup }),
		...(cgroup.cpuUsage === undefined ? {} : { cpuUsage: cgroup.cpuUsage }),
	};
}

interface Specified {
	readonly networked: boolean;
	/** With the paths of the policy. */
	readonly facts: HostFacts;
	readonly spec: Spec;
	readonly mac: readonly Missing[];
}

export function specFor(
	policy: Policy,
	host: HostFacts,
	command: readonly string[],
	terminal: boolean,
	keep: Keep | undefined,
	fs?: HostFs,
): Specified {
	const networked = policy.security.network.mode === "hostwithpolicy";
	const { allow } = policy.security.process;
	const facts: HostFacts = {
		...host,
		paths: probePaths(
			[...pathsOf(policy, host), ...(networked ? [resolverOf(policy)] : [])],
			fs === undefined ? {} : { fs },
		),
		...(allow.length === 0 ? {} : { programs: probePrograms(allow, policy.system.root.path, keep) }),
	};
	const mac = macMissing(policy, facts);
	const spec = without(specOf({ policy, facts, command, terminal }), mac);
	return { networked, facts, spec, mac };
}

/** @param extra for a jail that is used again */
export function planFor(
	policy: Policy,
	{ networked, spec, facts }: Omit<Specified, "mac">,
	extra: Pick<ExtraSteps, "reusable" | "heldMounts"> = {},
): Plan {
	if (!networked) return planOf(spec, withRealPaths(facts), extra);
	return planOf(belowGateway(spec, facts), withRealPaths(facts), {
		...extra,
		beforeRoot: resolverStepsFor(policy, facts),
		last: sendNamespaceSteps(),
	});
}

/**
 * The spec, the plan with its cgroup, and the limits for pid 1.
 *
 * @param id of the jail's cgroup, from newGroupId
 * @param keep see {@link probePrograms}; without it the plan cannot be carried out where a program is held to a digest
 * @param fs where the policy's paths are looked at; by default the real file system
 * @throws VmjailError HOST_UNSUPPORTED, PATH_INVALID, POLICY_INVALID, USAGE: before anything was changed
 */
export function prepare(
	policy: Policy,
	host: HostFacts,
	command: readonly string[],
	terminal: boolean,
	id: string,
	keep?: Keep,
	fs?: HostFs,
): Prepared {
	const { networked, facts, spec, mac } = specFor(policy, host, command, terminal, keep, fs);
	const { cpuMs, wallMs, outputMaxBytes, optional } = readAnnotations(spec);
	const cgroup = cgroupSteps({
		resources: spec.linux.resources ?? {},
		facts: facts.cgroup,
		optional,
		id,
		privileged: facts.caller.privileged,
	});
	return {
		spec,
		facts,
		plan: inGroup(planFor(policy, { networked, spec, facts }), cgroup),
		missing: [...cgroup.missing, ...landlockMissing(facts, optional), ...mac],
		...(cpuMs === undefined ? {} : { cpuLimitMs: cpuMs }),
		...(wallMs === undefined ? {} : { wallLimitMs: wallMs }),
		...(outputMaxBytes === undefined ? {} : { outputMaxBytes }),
	};
}
