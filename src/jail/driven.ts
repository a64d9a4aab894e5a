/** A policy that runsc, runc or crun carries out: the runtime is the workload of a jail that holds it and its limits. */

import { cgroupSteps } from "../cgroup/steps.ts";
import type { GroupUsage } from "../cgroup/usage.ts";
import { VmjailError } from "../errors.ts";
import { probePaths } from "../host/paths.ts";
import type { HostFacts } from "../host/types.ts";
import { resolvConf } from "../network/layout.ts";
import { sendNamespaceSteps } from "../network/namespace/jail-plan.ts";
import { readAnnotations } from "../oci/annotations.ts";
import { pathsOf, specOf } from "../oci/spec.ts";
import type { Resources, Spec } from "../oci/types.ts";
import type { RawEnd } from "../outcome/outcome.ts";
import type { Terminal } from "../plan/terminal.ts";
import type { Step, Workload } from "../plan/types.ts";
import type { Policy } from "../policy/types.ts";
import { type DrivenRun, type Driver, waitOfExit } from "../runtime/driver.ts";
import type { EnteredNetwork } from "../runtime/entered-network.ts";
import { jobPlan, jobWorkload } from "../runtime/supervise/plan.ts";
import {
	inGroup,
	macMissing,
	type Prepared,
	refuseUnavailable,
	resolverInJail,
	resolverOf,
	without,
} from "./prepare.ts";
import type { Passable } from "./stdio.ts";

/** What a run does differently where a runtime stands between the jail's pid 1 and the program. */
export class Driven {
	readonly runtime: Driver["name"];
	readonly #run: DrivenRun;
	readonly #uid: number;

	constructor(runtime: Driver["name"], run: DrivenRun, uid: number) {
		this.runtime = runtime;
		this.#run = run;
		this.#uid = uid;
	}

	/** @param beforeExec see JobWorkloadOptions */
	workload(prepared: Prepared, terminal: Terminal | undefined, beforeExec: readonly Step[] = []): Workload {
		const { cpuLimitMs, wallLimitMs } = prepared;
		return jobWorkload(this.#run.job, this.#run.job.asIds?.uid ?? this.#uid, {
			...(terminal === undefined ? {} : { terminal }),
			...(cpuLimitMs === undefined ? {} : { cpuLimitMs }),
			...(wallLimitMs === undefined ? {} : { wallLimitMs }),
			beforeExec,
		});
	}

	/**
	 * None: crun and runsc change the owner of whatever they are given as a standard stream to the program's user, be it
	 * the host's /dev/null or /etc/passwd; and gVisor keeps its own position in a regular file.
	 */
	readonly passable: Passable = () => false;

	/** False: the signal is to be sent to the runtime's own process. */
	signal(number: number): boolean {
		return this.#run.signal(number);
	}

	/**
	 * The end of the program, out of that of the runtime. A runtime that broke down because a limit was reached has
	 * nothing to say.
	 *
	 * @throws VmjailError where the program never ran
	 */
	end(raw: RawEnd, usage: GroupUsage): RawEnd {
		const exit = this.#run.end(raw.status);
		if (!(exit instanceof VmjailError)) return { ...raw, status: waitOfExit(exit) };
		const isLimited = raw.cause !== "none" || usage.oomKills > 0 || usage.pidsRefused > 0;
		if (isLimited) return raw;
		throw exit;
	}

	remove(): Promise<void> {
		return this.#run.remove();
	}
}

/** The group holds the runtime as well: the program gets what the policy says. */
function raised(resources: Resources, { ownTasks }: Driver): Resources {
	if (resources.pids === undefined || resources.pids.limit <= 0) return resources;
	return { ...resources, pids: { limit: resources.pids.limit + ownTasks } };
}

/**
 * As `prepare`, for a driver. Makes the run's folder: `driven.remove()` is due, whatever happens after.
 *
 * @throws VmjailError as `prepare` does, and HOST_UNSUPPORTED for a control that the runtime cannot enforce
 */
export function prepareDriven(
	driver: Driver,
	policy: Policy,
	host: HostFacts,
	command: readonly string[],
	terminal: boolean,
	id: string,
): Prepared {
	refuseUnavailable(policy, driver.name);
	const networked = policy.security.network.mode === "hostwithpolicy";
	const facts: HostFacts = {
		...host,
		paths: probePaths([...pathsOf(policy, host), ...(networked ? [resolverOf(policy)] : [])]),
	};
	const mac = macMissing(policy, facts);
	const spec = without(specOf({ policy, facts, command, terminal }), mac);
	const { cpuMs, wallMs, outputMaxBytes, optional } = readAnnotations(spec);
	return {
		...prepareSpec(driver, spec, facts, {
			...{ id, optional, missing: mac },
			...(networked ? { network: { resolver: resolverInJail(policy, facts), resolvConf: resolvConf() } } : {}),
		}),
		...(cpuMs === undefined ? {} : { cpuLimitMs: cpuMs }),
		...(wallMs === undefined ? {} : { wallLimitMs: wallMs }),
		...(outputMaxBytes === undefined ? {} : { outputMaxBytes }),
	};
}

export interface SpecOptions extends Pick<Prepared, "missing"> {
	/** Of the control group. */
	readonly id: string;
	readonly optional: Policy["system"]["optional"];
	/** Present: the plan's jail belongs below a gateway's user namespace. */
	readonly network?: EnteredNetwork;
}

/** A spec by itself: what a probe runs. */
export function prepareSpec(
	driver: Driver,
	spec: Spec,
	facts: HostFacts,
	{ id, optional, missing, network }: SpecOptions,
): Prepared & { readonly driven: Driven } {
	const cgroup = cgroupSteps({
		resources: raised(spec.linux.resources ?? {}, driver),
		facts: facts.cgroup,
		optional,
		id,
		privileged: facts.caller.privileged,
	});
	const run = driver.prepare(spec, network);
	const belowGateway = network !== undefined;
	return {
		spec,
		facts,
		driven: new Driven(driver.name, run, spec.process.user.uid),
		plan: inGroup(jobPlan(run.job, facts, { belowGateway, last: belowGateway ? sendNamespaceSteps() : [] }), cgroup),
		missing: [...cgroup.missing, ...missing],
	};
}
