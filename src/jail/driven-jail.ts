/**
 * A jail for one program after the other that another runtime makes (gVisor): started once, with vmjail's own pid 1 as its
 * first process. Limits of memory and processes are those of the sandbox as a whole, the runtime included.
 */

import { closeSync, statSync } from "node:fs";
import { cgroupSteps } from "../cgroup/steps.ts";
import { VmjailError } from "../errors.ts";
import { encodeKept, encodePlan, encodeWorkload } from "../executor/encode.ts";
import type { EndReport } from "../executor/frames.ts";
import { openInnerJail } from "../executor/inner-jail.ts";
import type { ExecReply, JailProcess, ResetReply } from "../executor/jail-process.ts";
import { resolvConf } from "../network/layout.ts";
import { resolverMount, sendNamespaceSteps } from "../network/namespace/jail-plan.ts";
import { readAnnotations } from "../oci/annotations.ts";
import type { Mount } from "../oci/types.ts";
import { innerConfinementSteps, innerEntryOf, innerPlanOf, innerRenewal } from "../plan/inner.ts";
import type { Kept, Plan, Step, Workload } from "../plan/types.ts";
import type { Policy } from "../policy/types.ts";
import type { Choice } from "../runtime/choose.ts";
import type { DrivenRun, Driver } from "../runtime/driver.ts";
import { jobPlan, jobWorkload } from "../runtime/supervise/plan.ts";
import { raised } from "./driven.ts";
import { type Cause, groupUsage } from "./ending.ts";
import { type Enclosed, enclose } from "./guarded.ts";
import { InnerFiles } from "./inner-files.ts";
import { asLaunch, type Inside } from "./inside.ts";
import { launchError } from "./launch-error.ts";
import { narrowed } from "./limits.ts";
import { below, networkFor } from "./networked.ts";
import { groupsOf, OneProcessor } from "./one-processor.ts";
import { inGroup, refuseUnavailable, resolverInJail, specFor } from "./prepare.ts";
import { Programs } from "./programs.ts";
import { NO_COMMAND, type Program, patient, processOf, type Reusable } from "./reusable.ts";
import type { Session } from "./session.ts";
import { openStreams } from "./stdio.ts";

/** A slow machine needs two seconds for a sandbox. */
const PATIENCE_MS = 20_000;

export interface OpenedJail {
	readonly inside: Inside;
	/** Once nothing of it runs any more. */
	readonly release: () => void;
}

/**
 * @param at whose executor holds the runtime
 * @throws VmjailError where the policy cannot be had, or the sandbox did not start
 */
export async function openDriven(
	at: Session,
	driver: Driver,
	policy: Policy,
	choice: Choice,
	signal: AbortSignal | undefined,
): Promise<OpenedJail> {
	refuseWhatIsNotReused(driver, policy);
	const jail = prepareJail(driver, policy, await at.facts(), at.newGroupId());
	const remove = () => void jail.enclosed.run.remove();
	try {
		return { inside: await start(at, jail, policy, choice, signal), release: remove };
	} catch (error) {
		remove();
		throw error;
	}
}

function refuseWhatIsNotReused(driver: Driver, policy: Policy): void {
	refuseUnavailable(policy, driver.name);
	if (policy.system.capabilities.length > 0) {
		throw new VmjailError(
			"NOT_AVAILABLE",
			"system.capabilities: not available in jails of gVisor's that are used again",
			{
				remedy: "With them a program could leave something for the next: use run() for each program.",
			},
		);
	}
	if (driver.inner !== undefined) return;
	throw new VmjailError("NOT_AVAILABLE", `system.runtime: ${driver.name}: no jail of it can be used again`, {
		remedy: 'Set system.runtime to "runlc" or "runsc", or use run() for each program.',
	});
}

interface DrivenJail {
	/** Names it in events. */
	readonly id: string;
	readonly enclosed: Enclosed;
	/** On the host. */
	readonly outer: Plan;
	readonly job: (beforeExec: readonly Step[]) => Workload;
	readonly reusable: Reusable;
}

function prepareJail(driver: Driver, policy: Policy, host: Reusable["facts"], id: string): DrivenJail {
	const kept: Uint8Array[] = [];
	const { networked, facts, spec, mac } = specFor(policy, host, NO_COMMAND, false, (bytes) =>
		String(kept.push(bytes) - 1),
	);
	const { programs = [], arch } = facts;
	const cgroup = cgroupSteps({
		resources: raised(spec.linux.resources ?? {}, driver),
		facts: facts.cgroup,
		optional: readAnnotations(spec).optional,
		id,
		privileged: facts.caller.privileged,
	});
	const resolver = networked ? resolverInJail(policy, facts) : undefined;
	const network = resolver === undefined ? {} : { network: { resolver, resolvConf: resolvConf() } };
	const enclosed = enclose(driver, spec, arch, { programs, kept }, { inner: "again", ...network });
	const { run, process, confinement } = enclosed;
	const laid = resolver === undefined ? [] : [resolverMount(resolver)];
	const mounts = { mounts: [...enclosed.mounts, ...laid], isFolder };
	const granted = process.capabilities?.permitted ?? [];
	const inside = { ...spec, process };
	return {
		id,
		enclosed,
		outer: inGroup(
			jobPlan(run.job, facts, { belowGateway: networked, last: networked ? sendNamespaceSteps() : [] }),
			cgroup,
		),
		job: (beforeExec) => jobWorkload(run.job, run.job.asIds?.uid ?? spec.process.user.uid, { beforeExec }),
		reusable: {
			// What the limit of file size cut is not looked for: the files are the sandbox's own.
			writable: [],
			spec: inside,
			facts,
			plan: innerPlanOf({ arch, programs, granted, renewed: mounts }),
			missing: [...cgroup.missing, ...mac],
			kept: () => ({
				before: innerRenewal(mounts),
				child: innerConfinementSteps(process, confinement),
				exec: [],
				account: [],
			}),
			program: (program) => programOf(policy, program, { spec: inside, facts }),
		},
	};
}

function isFolder({ source }: Mount): boolean {
	return source !== undefined && statSync(source).isDirectory();
}

function programOf(policy: Policy, program: Program, { spec, facts }: Pick<Reusable, "spec" | "facts">): Workload {
	const { limits, terminal } = program;
	const why =
		terminal !== undefined
			? "terminal: a jail of gVisor's that is used again has none to give"
			: narrowed(policy, limits) !== undefined
				? "limits.memoryBytes, limits.pids: under gVisor they are the sandbox's as a whole"
				: undefined;
	if (why !== undefined) {
		throw new VmjailError("NOT_AVAILABLE", why, { remedy: 'Use run() for this program, or the runtime "runlc".' });
	}
	const entry = innerEntryOf(processOf(program, spec, facts), { cpuLimitMs: limits.cpuMs, wallLimitMs: limits.wallMs });
	return { ...entry, exec: entry.exec.map(patient) };
}

async function start(
	at: Session,
	{ id, enclosed, outer: plannedOuter, job: jobWith, reusable }: DrivenJail,
	policy: Policy,
	choice: Choice,
	signal: AbortSignal | undefined,
): Promise<Inside> {
	const { facts } = reusable;
	const { arch } = facts;
	const network = await networkFor(at, policy, { facts, jail: id, ownKernel: true });
	const outerPlan = below(network, plannedOuter);
	const job = jobWith(network?.network.workloadSteps ?? []);
	const plan = encodePlan(reusable.plan, arch);
	const kept = reusable.kept([]);
	const keptProgram = encodeKept(kept, plan, reusable.plan, arch);
	const encodedOuter = encodePlan(outerPlan, arch);
	const { process, descriptors } = openInnerJail(plan);
	const outer = at.zygote.launch(encodedOuter);
	const { control, executor } = descriptors;
	void outer.end.then((end) => process.ended(end));
	const close = () => {
		process.close();
		outer.close();
	};
	const startRuntime = (): Promise<ExecReply> => {
		const streams = openStreams({ stdin: "ignore", stdout: "ignore", stderr: "ignore" }, {}, () => false);
		const replied = outer.exec({
			program: encodeWorkload(job, encodedOuter, outerPlan, arch),
			descriptors: [...streams.descriptors, control, executor],
			last: true,
			onDescriptor: (listener) => (network === undefined ? closeSync(listener) : network.network.explain(listener)),
		});
		streams.close();
		return replied;
	};
	let started: Promise<ExecReply>;
	try {
		try {
			await withPatience(network?.connect(outer, close), close, signal);
			started = startRuntime();
		} finally {
			for (const descriptor of [control, executor]) closeSync(descriptor);
		}
		process.keep(keptProgram);
		const reply = await withPatience(process.reset(true), close, signal);
		if (reply.kind !== "ready")
			throw await startError(reply, { started, outer, outerPlan, job, reusable, kept, enclosed });
	} catch (error) {
		close();
		const end = await outer.end;
		await network?.close();
		if (end === undefined) await at.sweepOwn();
		throw error;
	}
	const sandboxLost = checkLostWith(started, enclosed.run, encodedOuter.reports);
	const processor = OneProcessor.of(groupsOf(outerPlan), at.turn());
	const around = {
		...(processor === undefined ? {} : { processor }),
		plan: outerPlan,
		reports: encodedOuter.reports,
		passable: () => false,
		checkLost: (end: EndReport | undefined, cause: Cause) => {
			network?.checkAlive();
			sandboxLost(end, cause);
		},
		close,
	};
	const files = new InnerFiles(process, plan, reusable);
	const programs = new Programs(reusable, plan);
	const inside = { policy, reusable, process, plan, kept, keptProgram, files, programs, choice, around };
	return network === undefined ? inside : { ...inside, network };
}

/** A sandbox that hangs at its start is given up. */
async function withPatience<T>(
	promise: T | Promise<T>,
	giveUp: () => void,
	signal: AbortSignal | undefined,
): Promise<T> {
	const timer = setTimeout(giveUp, PATIENCE_MS);
	signal?.addEventListener("abort", giveUp, { once: true });
	try {
		return await promise;
	} finally {
		clearTimeout(timer);
		signal?.removeEventListener("abort", giveUp);
	}
}

interface Failed {
	readonly started: Promise<ExecReply>;
	readonly outer: JailProcess;
	readonly outerPlan: Plan;
	readonly job: Workload;
	readonly reusable: Reusable;
	readonly kept: Kept;
	readonly enclosed: Enclosed;
}

async function startError(reply: Exclude<ResetReply, { kind: "ready" }>, of: Failed): Promise<VmjailError> {
	if (reply.kind === "failed") {
		return launchError(reply.of === "jail" ? of.reusable.plan : asLaunch(of.kept), reply.failure, []);
	}
	const outside = await of.started;
	if (outside.kind === "failed") {
		return launchError(outside.of === "jail" ? of.outerPlan : of.job, outside.failure, ["runsc"]);
	}
	return sandboxError(of.enclosed.run, outside, "the sandbox did not start");
}

/** What the runtime has to say about its end. */
function sandboxError(run: DrivenRun, reply: ExecReply, what: string): VmjailError {
	const end = run.end(reply.kind === "exited" ? reply.exit.status : undefined);
	if (end instanceof VmjailError) return end;
	const how = end.kind === "exited" ? `exit status ${end.exitCode}` : `signal ${end.signal}`;
	return new VmjailError("EXECUTOR_FAILED", `${what}: its pid 1 ended (${how})`, {
		remedy: "Look for who killed it (dmesg, for want of memory?). With a debug log gVisor says more.",
	});
}

/** A sandbox that met its limit of memory or processes has ended with its program: that is the program's outcome. */
function checkLostWith(started: Promise<ExecReply>, run: DrivenRun, reports: readonly string[]) {
	const seen: { reply: ExecReply } = { reply: { kind: "lost" } };
	void started.then((reply) => {
		seen.reply = reply;
	});
	return (end: EndReport | undefined, cause: Cause): void => {
		const { oomKills, pidsRefused } = groupUsage(end?.reports, reports);
		if (cause !== "none" || oomKills > 0 || pidsRefused > 0) return;
		throw sandboxError(run, seen.reply, "the sandbox ended while a program ran in it");
	};
}
