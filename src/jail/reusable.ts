/** Policy and host → everything that a jail needs that is used again, and the plan of each program in it. */

import { type Narrowing, NO_NARROWING } from "../cgroup/parts.ts";
import { type ReusableGroups, reusableGroups } from "../cgroup/reuse.ts";
import { limitedBy } from "../cgroup/settings.ts";
import { VmjailError } from "../errors.ts";
import type { Keep } from "../host/programs.ts";
import type { HostFacts, Missing } from "../host/types.ts";
import { belowGateway, resolverMount } from "../network/namespace/jail-plan.ts";
import { readAnnotations } from "../oci/annotations.ts";
import { withRealPaths } from "../oci/host-path.ts";
import type { Mount, Process, Resources, Spec } from "../oci/types.ts";
import { cgroupNamespaceSteps } from "../plan/namespaces.ts";
import { parseOptions } from "../plan/options.ts";
import { mountsFor } from "../plan/plan.ts";
import { discardSteps, renewSteps } from "../plan/renew.ts";
import type { Terminal } from "../plan/terminal.ts";
import type { Kept, Plan, Step, Waiting, Workload } from "../plan/types.ts";
import { confinementSteps, entryOf, entryOfWaiting, mayWaitFiltered, waitingOf } from "../plan/workload.ts";
import type { Policy } from "../policy/types.ts";
import { type ExecLimits, limitsFor, narrowed, rlimitsFor } from "./limits.ts";
import { landlockMissing, planFor, resolverInJail, specFor } from "./prepare.ts";

/** In a spec without a command of its own. */
export const NO_COMMAND = ["true"];

export interface Reusable {
	readonly spec: Spec;
	readonly facts: HostFacts;
	readonly plan: Plan;
	readonly missing: readonly Missing[];
	/** Where its programs can write. */
	readonly writable: readonly string[];
	/** What pid 1 keeps for all programs. */
	readonly kept: (beforeFilters: readonly Step[]) => Kept;
	/**
	 * One program: where it may, and does not differ in more than its streams, arguments and limits, for the process that
	 * waits.
	 *
	 * @throws VmjailError USAGE for arguments that no exec(2) takes, or for limits that cannot be one program's here
	 */
	readonly program: (program: Program, mayWait: boolean) => Workload;
}

function isWritable({ type, options = [], destination }: Mount): boolean {
	const { readonly, bind } = parseOptions(options, destination);
	return !readonly && (bind || type === "tmpfs") && !destination.startsWith("/dev/");
}

function planInGroups(plan: Plan, groups: ReusableGroups): Plan {
	const { host, parent, child, account, cleanup, intoCgroup } = groups.jail;
	return {
		...plan,
		before: [...plan.before, ...host],
		parent: [...parent, ...plan.parent],
		child: [...child, ...plan.child],
		account,
		cleanup,
		keep: [...plan.keep, ...groups.keep],
		...(intoCgroup === undefined ? {} : { intoCgroup }),
	};
}

/**
 * @param id of the jail's cgroup, from newGroupId
 * @param keep see `probePrograms`
 * @throws VmjailError HOST_UNSUPPORTED, PATH_INVALID, POLICY_INVALID: before anything was changed
 */
export function prepareReusable(policy: Policy, host: HostFacts, id: string, keep: Keep): Reusable {
	const { networked, facts, spec, mac } = specFor(policy, host, NO_COMMAND, false, keep);
	const { optional } = readAnnotations(spec);
	const groups = reusableGroups({
		resources: spec.linux.resources ?? {},
		facts: facts.cgroup,
		optional,
		id,
		privileged: facts.caller.privileged,
	});
	const heldMounts = networked ? [resolverMount(resolverInJail(policy, facts))] : [];
	const plan = planFor(policy, { networked, spec, facts }, { reusable: true, heldMounts });
	const inJail = networked ? belowGateway(spec, facts) : spec;
	const mounts = [...mountsFor(inJail, facts.programs ?? []), ...heldMounts];
	const renew = renewSteps(inJail, withRealPaths(facts), mounts);
	const waiting = waitingFor({ spec, facts, groups }, policy);
	return {
		spec,
		facts,
		plan: planInGroups(plan, groups),
		program: (program, mayWait) =>
			programOf({ spec, facts, groups }, policy, program, mayWait && waiting !== undefined),
		writable: spec.mounts.filter(isWritable).map(({ destination }) => destination),
		missing: [...groups.missing, ...landlockMissing(facts, optional), ...mac],
		kept: (beforeFilters) => {
			const { child, last } = confinementSteps(
				spec,
				facts,
				beforeFilters,
				waiting !== undefined && beforeFilters.length === 0 && mayWaitFiltered(spec),
			);
			return {
				before: [...renew, ...groups.renew, ...discardSteps(mounts)],
				child,
				exec: last,
				account: groups.account,
				...(waiting === undefined ? {} : { waiting }),
			};
		},
	};
}

export interface Program {
	readonly command: readonly string[];
	readonly cwd?: string | undefined;
	/** In the place of the policy's. */
	readonly env?: Readonly<Record<string, string>> | undefined;
	readonly terminal?: Terminal | undefined;
	readonly limits: ExecLimits;
}

function environmentOf({ env, terminal }: Program, spec: Spec, facts: HostFacts): readonly string[] {
	const own = env === undefined ? spec.process.env : Object.entries(env).map(([name, value]) => `${name}=${value}`);
	const { TERM } = facts.caller.env;
	const told = terminal === undefined || TERM === undefined || own.some((entry) => entry.startsWith("TERM="));
	return told ? own : [...own, `TERM=${TERM}`];
}

/** Somebody's copy of the file for writing is on its way to being closed: a fork between open(2) and exec(2) elsewhere. */
export function patient(step: Step): Step {
	return step.call === "execve" ? { ...step, retryBusy: true } : step;
}

/** A program's process, out of that of a spec without a command of its own. */
export function processOf(program: Program, spec: Spec, facts: HostFacts): Process {
	return {
		...spec.process,
		args: program.command,
		env: environmentOf(program, spec, facts),
		cwd: program.cwd ?? spec.process.cwd,
		rlimits: rlimitsFor(spec.process.rlimits ?? [], program.limits),
	};
}

interface Host {
	readonly spec: Spec;
	readonly facts: HostFacts;
	readonly groups: ReusableGroups;
}

/** @throws VmjailError HOST_UNSUPPORTED for a limit of one program that no group of this host can keep */
function refuseUnlimitable(resources: Resources, { limits }: ReusableGroups): void {
	const lacks = limitedBy(resources).filter((name) => !limits.includes(name));
	if (lacks.length === 0) return;
	throw new VmjailError("HOST_UNSUPPORTED", `limits: ${lacks.join(", ")}: no control group here can keep them`, {
		remedy: "Run `vmjail doctor`: it names each control group and what it lacks. Or leave the limit out.",
	});
}

function withLimits(spec: Spec, limits: ExecLimits): Spec {
	return { ...spec, process: { ...spec.process, rlimits: rlimitsFor(spec.process.rlimits ?? [], limits) } };
}

/** The process that waits has the policy's limits: those of one program are narrower, if they differ. */
function waitingFor({ spec, facts, groups }: Host, policy: Policy): Waiting | undefined {
	const limits = limitsFor(policy);
	const waiting = waitingOf(withLimits(spec, limits), facts, limits.cpuMs);
	if (waiting === undefined) return undefined;
	return {
		...waiting,
		parent: [...groups.parent, ...waiting.parent],
		entry: [...groups.child, ...cgroupNamespaceSteps(spec.linux), ...waiting.entry],
		...(groups.intoCgroup === undefined ? {} : { intoCgroup: groups.intoCgroup }),
	};
}

function narrowing({ groups }: Host, policy: Policy, limits: ExecLimits): Narrowing {
	const narrower = narrowed(policy, limits);
	if (narrower === undefined) return NO_NARROWING;
	refuseUnlimitable(narrower, groups);
	return groups.narrow(narrower);
}

function programOf(host: Host, policy: Policy, program: Program, mayWait: boolean): Workload {
	const { spec, facts, groups } = host;
	const { terminal, limits } = program;
	const process = processOf(program, spec, facts);
	const { cpuMs, wallMs } = limits;
	const times = {
		...(cpuMs === undefined ? {} : { cpuLimitMs: cpuMs }),
		...(wallMs === undefined ? {} : { wallLimitMs: wallMs }),
	};
	const more = narrowing(host, policy, limits);
	const cpuUsage = groups.cpuUsage === undefined ? {} : { cpuUsage: groups.cpuUsage };
	if (mayWait && terminal === undefined && process.cwd === spec.process.cwd && more.child.length === 0) {
		const ofAll = limitsFor(policy);
		const had = { rlimits: withLimits(spec, ofAll).process.rlimits ?? [], cpuLimitMs: ofAll.cpuMs };
		const entry = entryOfWaiting(process, had, times);
		return { ...entry, before: more.before, exec: entry.exec.map(patient), cleanup: more.cleanup, ...cpuUsage };
	}
	const entry = entryOf({ process, linux: spec.linux }, facts, terminal === undefined ? times : { ...times, terminal });
	return {
		...entry,
		before: [...entry.before, ...more.before],
		parent: [...groups.parent, ...entry.parent],
		child: [...groups.child, ...more.child, ...cgroupNamespaceSteps(spec.linux), ...entry.child],
		exec: entry.exec.map(patient),
		cleanup: more.cleanup,
		...(groups.intoCgroup === undefined ? {} : { intoCgroup: groups.intoCgroup }),
		...cpuUsage,
	};
}
