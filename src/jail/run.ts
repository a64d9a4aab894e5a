/** One program in a jail of its own: made from a policy, leaves nothing. */

import { closeSync } from "node:fs";
import type { EncodedProgram } from "../executor/encode.ts";
import type { EndReport, ExecDenial } from "../executor/frames.ts";
import type { ExecReply, ExecRequest, JailProcess } from "../executor/jail-process.ts";
import type { Missing } from "../host/types.ts";
import type { NetworkEvent } from "../network/events.ts";
import type { Denial, Outcome } from "../outcome/types.ts";
import type { Plan, Workload } from "../plan/types.ts";
import type { Choice } from "../runtime/choose.ts";
import type { Chosen } from "./choose.ts";
import { encodeRun } from "./encoded.ts";
import { type Cause, checkCleanup, checkLost, groupUsage, outcomeOf, RUNLC, rawEnd } from "./ending.ts";
import { launchError } from "./launch-error.ts";
import type { JailNetwork } from "./network.ts";
import { Pins } from "./pins.ts";
import type { Prepared } from "./prepare.ts";
import { networkDenial, programDenial } from "./refusals.ts";
import { type Session, session } from "./session.ts";
import { Budget, besideTerminal, type OpenStreams, openStreams } from "./stdio.ts";
import type { Running, RunOptions, RunResult } from "./types.ts";

interface Executed {
	readonly replied: Promise<ExecReply>;
	readonly streams: OpenStreams;
}

/** The run of one program in one jail. */
class Run implements Running {
	readonly result: Promise<RunResult>;
	readonly missing: readonly Missing[];
	readonly choice: Choice;
	readonly #session: Session;
	readonly #prepared: Prepared;
	readonly #process: JailProcess;
	readonly #plan: EncodedProgram;
	readonly #command: readonly string[];
	readonly #denials: Denial[] = [];
	readonly #onEvent: ((event: NetworkEvent) => void) | undefined;
	readonly #onDenial: ((denial: Denial) => void) | undefined;
	/** The first name that the guard refused before the program ran: what a failed launch is explained by. */
	#refusedAtLaunch: string | undefined;
	#cause: Cause = "none";

	constructor(at: Session, prepared: Prepared, command: readonly string[], options: RunOptions, network?: JailNetwork) {
		this.#session = at;
		this.#prepared = prepared;
		this.missing = prepared.missing;
		this.#command = command;
		this.#onDenial = options.onDenial;
		this.#onEvent = options.onNetworkEvent;
		this.choice = prepared.choice ?? RUNLC;
		const { driven } = prepared;
		const { workload, jail, program } =
			prepared.ready?.encoded ??
			encodeRun(prepared, { terminal: options.terminal, beforeFilters: network?.workloadSteps });
		this.#plan = jail;
		const budget = this.#budget(prepared.outputMaxBytes);
		this.#process = this.#jail();
		const execute = () => this.#execute(program, options, budget, network);
		const result =
			network === undefined
				? this.#finish(execute(), workload)
				: this.#connected(network, () => this.#finish(execute(), workload));
		this.result = driven === undefined ? result : result.finally(() => driven.remove());
		this.#cancelOn(options.signal);
	}

	/** The one that was begun with, or a new one. */
	#jail(): JailProcess {
		return this.#prepared.ready?.begun?.process ?? this.#session.zygote.launch(this.#plan);
	}

	#execute(
		program: EncodedProgram,
		options: RunOptions,
		budget: Budget | undefined,
		network: JailNetwork | undefined,
	): Executed {
		const streams = this.#openStreams(options, budget);
		const { terminal } = options;
		// In the order in which the plan sends them: the terminal from pid 1, then the listener from the program's process.
		const receivers = [
			...(terminal === undefined ? [] : [(fd: number) => terminal.onMaster(fd, budget)]),
			...(network === undefined ? [] : [(fd: number) => network.explain(fd)]),
		];
		const receive = (fd: number) => (receivers.shift() ?? closeSync)(fd);
		try {
			const { driven } = this.#prepared;
			const exec = (request: ExecRequest) => driven?.exec(this.#process, request) ?? this.#process.exec(request);
			const replied = exec({
				program,
				descriptors: streams.descriptors,
				last: true,
				onDescriptor: receive,
				onDenied: (denial) => this.#denyProgram(denial),
				...(terminal?.onStopped === undefined ? {} : { onStopped: terminal.onStopped }),
			});
			this.#prepared.driven?.watchStart(() => this.cancel(), options.startTimeoutMs);
			return { replied, streams };
		} finally {
			streams.close();
		}
	}

	/** Streams that cannot be had end the jail, which waits for its program by now. */
	#openStreams(options: RunOptions, budget: Budget | undefined): OpenStreams {
		try {
			return openStreams(besideTerminal(options, options.terminal), { all: budget }, this.#prepared.driven?.passable);
		} catch (error) {
			this.#process.close();
			throw error;
		}
	}

	/** Connects the network, then runs; whatever happens, the gateway ends after the jail. */
	async #connected(network: JailNetwork, finish: () => Promise<RunResult>): Promise<RunResult> {
		try {
			await network.connect(this.#process);
			return await finish();
		} finally {
			this.#process.close();
			await this.#process.end;
			await network.close();
		}
	}

	signal(number: number): void {
		if (this.#prepared.driven?.signal(number) !== true) this.#process.signal(number);
	}

	resize(rows: number, columns: number): void {
		this.#process.resize(rows, columns);
	}

	cancel(): void {
		this.#stop("cancelled");
	}

	/** Listens only while the program runs: one AbortSignal may serve very many. */
	#cancelOn(signal: AbortSignal | undefined): void {
		if (signal === undefined) return;
		const cancel = () => this.cancel();
		const forget = () => signal.removeEventListener("abort", cancel);
		signal.addEventListener("abort", cancel, { once: true });
		this.result.then(forget, forget);
		if (signal.aborted) cancel();
	}

	/** The gateway refused something. */
	onNetworkEvent(event: NetworkEvent): void {
		this.#onEvent?.(event);
		if (event.kind === "net.denied") this.#deny(networkDenial(event));
	}

	#denyProgram(denial: ExecDenial): void {
		if (denial.launching && !denial.killed) this.#refusedAtLaunch ??= denial.path;
		else this.#deny(programDenial(denial));
	}

	#deny(denial: Denial): void {
		this.#denials.push(denial);
		this.#onDenial?.(denial);
	}

	#budget(maxBytes: number | undefined): Budget | undefined {
		return maxBytes === undefined ? undefined : new Budget(maxBytes, () => this.#stop("output"));
	}

	#stop(cause: Cause): void {
		if (this.#cause === "none") this.#cause = cause;
		this.#process.close();
	}

	/** The plan, for errors to name its steps. */
	#shown(): Plan {
		return this.#prepared.ready?.shown() ?? this.#prepared.plan;
	}

	async #finish({ replied, streams }: Executed, workload: Workload): Promise<RunResult> {
		const reply = await replied;
		streams.stop();
		const end = await this.#process.end;
		const [stdout, stderr] = await Promise.all([streams.stdout, streams.stderr]);
		if (reply.kind === "failed") {
			const { driven } = this.#prepared;
			const inside = driven?.failed(reply);
			const command = driven === undefined || inside !== undefined ? this.#command : [driven.runtime];
			const launch = inside ?? (reply.of === "jail" ? this.#shown() : workload);
			throw launchError(launch, reply.failure, command, this.#refusedAtLaunch);
		}
		if (end === undefined) await this.#session.sweepOwn();
		if (end?.cleanupFailures !== 0) checkCleanup(end, this.#shown());
		const { ahead } = this.#prepared.ready ?? {};
		if (ahead !== undefined) this.#session.spare.soon(ahead);
		if (reply.kind === "lost") checkLost(end, this.#cause);
		return {
			...this.#outcome(reply, end),
			...(stdout === undefined ? {} : { stdout }),
			...(stderr === undefined ? {} : { stderr }),
		};
	}

	#outcome(reply: Exclude<ExecReply, { kind: "failed" }>, end: EndReport | undefined): Outcome {
		const group = groupUsage(end?.reports, this.#plan.reports);
		const exit = reply.kind === "exited" ? reply.exit : undefined;
		const seen = rawEnd(exit, this.#cause, group);
		return outcomeOf({
			raw: this.#prepared.driven?.end(seen, group) ?? seen,
			group,
			exit,
			choice: this.choice,
			missing: this.#prepared.missing,
			denials: this.#denials,
		});
	}
}

/**
 * Starts a program in a jail of its own and returns while it runs.
 *
 * @throws VmjailError where the policy or the command cannot be had on this host; nothing has been started then
 */
export async function start(command: readonly string[], options: RunOptions): Promise<Running> {
	const pins = new Pins();
	const close = () => pins.close();
	try {
		const running = await startWith(pins, command, options);
		running.result.then(close, close);
		return running;
	} catch (error) {
		close();
		throw error;
	}
}

async function startWith(pins: Pins, command: readonly string[], options: RunOptions): Promise<Running> {
	const at = session();
	const facts = await at.facts();
	const id = at.newGroupId();
	const { runtime, rollback } = options.policy.system;
	const { choice, driver }: Chosen =
		runtime === "runlc" && rollback === ""
			? { choice: RUNLC }
			: await (await import("./choose.ts")).choose(options.policy, facts, options);
	const made =
		driver === undefined
			? at.plans.prepareRun(facts, command, options, id, pins.keep, (ahead) => at.spare.begin(ahead))
			: (await import("./driven.ts")).prepareDriven(driver, options.policy, facts, command, options.terminal, id);
	try {
		return await launch(at, { ...made, choice }, command, options, id);
	} catch (error) {
		made.ready?.begun?.process.close();
		await made.driven?.remove();
		throw error;
	}
}

/** @param id names the jail in events */
async function launch(
	at: Session,
	prepared: Prepared,
	command: readonly string[],
	options: RunOptions,
	id: string,
): Promise<Running> {
	const { facts } = prepared;
	const { network } = options.policy.security;
	if (network.mode !== "hostwithpolicy") return new Run(at, prepared, command, options);
	const { JailNetwork } = await import("./network.ts");
	const ownKernel = prepared.choice?.runtime === "runsc";
	const running: { run?: Run } = {};
	const onEvent = (event: NetworkEvent) => running.run?.onNetworkEvent(event);
	const reportAll = options.onNetworkEvent !== undefined;
	const gateway = new JailNetwork(at.zygote, { network, facts, jail: id, ownKernel, onEvent, reportAll });
	const plan = { ...prepared.plan, parentJail: gateway.parentJail };
	try {
		running.run = new Run(at, { ...prepared, plan }, command, options, gateway);
		return running.run;
	} catch (error) {
		await gateway.close();
		throw error;
	}
}

/**
 * Runs a program in a jail of its own, to the end.
 *
 * @throws VmjailError COMMAND_NOT_FOUND, COMMAND_NOT_EXECUTABLE, LAUNCH_FAILED (a step of the set-up failed), and those
 *   of {@link start}. What the program itself does is the result.
 */
export async function run(command: readonly string[], options: RunOptions): Promise<RunResult> {
	const running = await start(command, options);
	return running.result;
}
