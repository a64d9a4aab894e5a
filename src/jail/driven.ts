/** A policy that runsc, runc or crun carries out: the runtime is the workload of a jail that holds it and its limits. */

import { cgroupSteps } from "../cgroup/steps.ts";
import type { GroupUsage } from "../cgroup/usage.ts";
import { VmjailError } from "../errors.ts";
import type { ExecReply, ExecRequest, JailProcess } from "../executor/jail-process.ts";
import { probePaths } from "../host/paths.ts";
import { probePrograms } from "../host/programs.ts";
import type { HostFacts } from "../host/types.ts";
import { resolvConf } from "../network/layout.ts";
import { sendNamespaceSteps } from "../network/namespace/jail-plan.ts";
import { readAnnotations } from "../oci/annotations.ts";
import { pathsOf, specOf } from "../oci/spec.ts";
import type { Resources, Spec } from "../oci/types.ts";
import type { RawEnd } from "../outcome/outcome.ts";
import type { Terminal } from "../plan/terminal.ts";
import type { Launch, Step, Workload } from "../plan/types.ts";
import type { Policy } from "../policy/types.ts";
import { type DrivenRun, type Driver, type RawExit, waitOfExit } from "../runtime/driver.ts";
import type { EnteredNetwork } from "../runtime/entered-network.ts";
import { jobPlan, jobWorkload } from "../runtime/supervise/plan.ts";
import { type Guard, guardedRun } from "./guarded.ts";
import type { InnerRun } from "./inner-run.ts";
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

/** A slow machine needs two seconds. */
export const START_TIMEOUT_MS = 20_000;

export function lateError(runtime: string, timeoutMs: number): VmjailError {
	return new VmjailError("LAUNCH_FAILED", `${runtime} did not start the program within ${timeoutMs / 1000} s`, {
		remedy: "Run again with --debug-log DIR to see how far it came.",
	});
}

export interface Told {
	readonly argv: readonly string[];
	/** config.json. */
	readonly config: Spec;
	readonly inner?: InnerRun["plans"];
	/** See {@link DrivenRun.first}. */
	readonly first?: readonly Step[];
}

/** What a run does differently where a runtime stands between the jail's pid 1 and the program. */
export class Driven {
	readonly runtime: Driver["name"];
	readonly #run: DrivenRun;
	readonly #uid: number;
	readonly #inner: InnerRun | undefined;
	#timer: NodeJS.Timeout | undefined;
	#late: VmjailError | undefined;

	constructor(runtime: Driver["name"], run: DrivenRun, uid: number, inner?: InnerRun) {
		this.runtime = runtime;
		this.#run = run;
		this.#uid = uid;
		this.#inner = inner;
	}

	/** What the runtime is told, and what vmjail's own pid 1 inside does, where there is one: for who wants to see it. */
	get told(): Told {
		const { job, config, first } = this.#run;
		return {
			...{ argv: job.argv, config },
			...(first === undefined ? {} : { first }),
			...(this.#inner === undefined ? {} : { inner: this.#inner.plans }),
		};
	}

	/** Runs the {@link workload} in the jail. */
	exec(process: JailProcess, request: ExecRequest): Promise<ExecReply> {
		return this.#inner === undefined ? process.exec(request) : this.#inner.exec(process, request);
	}

	/** What failed, where it was not the runtime's own start. */
	failed(reply: Extract<ExecReply, { kind: "failed" }>): Launch | undefined {
		return this.#inner?.replied === true ? this.#inner.launchOf(reply) : undefined;
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

	/** Ends a start that does not come to its end: `giveUp` is to kill the runtime. */
	watchStart(giveUp: () => void, timeoutMs = START_TIMEOUT_MS): void {
		const look = () => {
			if (this.#run.hasStarted()) return;
			this.#late = lateError(this.runtime, timeoutMs);
			giveUp();
		};
		this.#timer = setTimeout(look, timeoutMs).unref();
	}

	/** False: the signal is to be sent to the runtime's own process. */
	signal(number: number): boolean {
		if (this.#inner === undefined) return this.#run.signal(number);
		this.#inner.signal(number);
		return true;
	}

	/**
	 * The end of the program, out of that of the runtime. A runtime that broke down because a limit was reached has
	 * nothing to say.
	 *
	 * @throws VmjailError where the program never ran
	 */
	end(raw: RawEnd, usage: GroupUsage): RawEnd {
		clearTimeout(this.#timer);
		const exit = this.#run.end(raw.status);
		if (this.#late !== undefined) throw this.#late;
		if (this.#inner?.replied === true) return raw;
		const isLimited = raw.cause !== "none" || usage.oomKills > 0 || usage.pidsRefused > 0;
		if (exit instanceof VmjailError) {
			if (isLimited) return raw;
			throw exit;
		}
		// What ended is not the program, but the pid 1 that should have said how the program did.
		if (this.#inner !== undefined && !isLimited) throw lostPid1(exit);
		return { ...raw, status: waitOfExit(exit) };
	}

	remove(): Promise<void> {
		clearTimeout(this.#timer);
		return this.#run.remove();
	}
}

function lostPid1(exit: RawExit): VmjailError {
	const how = exit.kind === "exited" ? `exit status ${exit.exitCode}` : `signal ${exit.signal}`;
	return new VmjailError("EXECUTOR_FAILED", `the sandbox's own pid 1 ended before the program did (${how})`, {
		remedy: "Everything in the sandbox ended with it. Run again with --debug-log DIR to see what gVisor says.",
	});
}

/** The group holds the runtime as well: the program gets what the policy says. */
export function raised(resources: Resources, { ownTasks }: Driver): Resources {
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
	terminal: Terminal | undefined,
	id: string,
): Prepared {
	refuseUnavailable(policy, driver.name);
	const networked = policy.security.network.mode === "hostwithpolicy";
	const facts: HostFacts = {
		...host,
		paths: probePaths([...pathsOf(policy, host), ...(networked ? [resolverOf(policy)] : [])]),
	};
	const mac = macMissing(policy, facts);
	const spec = without(specOf({ policy, facts, command, terminal: terminal !== undefined }), mac);
	const kept: Uint8Array[] = [];
	const { allow } = policy.security.process;
	const programs = probePrograms(allow, policy.system.root.path, (bytes) => String(kept.push(bytes) - 1));
	const { cpuMs, wallMs, outputMaxBytes, optional } = readAnnotations(spec);
	return {
		...prepareSpec(driver, spec, facts, {
			...{ id, optional, missing: mac },
			...(networked ? { network: { resolver: resolverInJail(policy, facts), resolvConf: resolvConf() } } : {}),
			...(programs.length === 0 ? {} : { guard: { programs, kept, terminal } }),
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
	readonly guard?: Guard;
}

/** A spec by itself: what a probe runs. */
export function prepareSpec(
	driver: Driver,
	spec: Spec,
	facts: HostFacts,
	{ id, optional, missing, network, guard }: SpecOptions,
): Prepared & { readonly driven: Driven } {
	const cgroup = cgroupSteps({
		resources: raised(spec.linux.resources ?? {}, driver),
		facts: facts.cgroup,
		optional,
		id,
		privileged: facts.caller.privileged,
	});
	const options = network === undefined ? {} : { network };
	const guarded = guard === undefined ? undefined : guardedRun(driver, spec, facts.arch, { ...guard, ...options });
	const run = guarded?.run ?? driver.prepare(spec, options);
	const belowGateway = network !== undefined;
	return {
		spec,
		facts,
		driven: new Driven(driver.name, run, spec.process.user.uid, guarded?.inner),
		plan: inGroup(jobPlan(run.job, facts, { belowGateway, last: belowGateway ? sendNamespaceSteps() : [] }), cgroup),
		missing: [...cgroup.missing, ...missing],
	};
}
