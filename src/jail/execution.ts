/** One program in a jail that is used again. */

import { closeSync } from "node:fs";
import type { VmjailError } from "../errors.ts";
import type { ExecDenial, ExitReport, StepFailure } from "../executor/frames.ts";
import type { ExecReply, ResetReply } from "../executor/jail-process.ts";
import type { Missing } from "../host/types.ts";
import type { NetworkEvent } from "../network/events.ts";
import type { Denial, Outcome } from "../outcome/types.ts";
import type { Choice } from "../runtime/choose.ts";
import { type Cause, checkCleanup, groupUsage, outcomeOf, rawEnd } from "./ending.ts";
import { type CopyIn, type CopyOut, checkFiles, type FileError, type Taken } from "./files.ts";
import { asLaunch, type Inside, renewalError } from "./inside.ts";
import { launchError } from "./launch-error.ts";
import { type ExecLimits, limitsFor } from "./limits.ts";
import type { Prepared } from "./programs.ts";
import { networkDenial, programDenial } from "./refusals.ts";
import { Budget, besideTerminal, type OpenStreams, openStreams, type Streams } from "./stdio.ts";
import type { RunResult, TerminalRequest } from "./types.ts";

export interface ExecOptions extends Streams {
	/** In the jail. Default: the policy's. */
	readonly cwd?: string;
	/** In the place of the policy's environment. */
	readonly env?: Readonly<Record<string, string>>;
	readonly limits?: ExecLimits;
	/** Of each collected output. What is beyond ends the program; the outcome is the limit `output`. */
	readonly collectMaxBytes?: { readonly stdout?: number; readonly stderr?: number };
	/** A terminal of the jail's own in place of some streams. */
	readonly terminal?: TerminalRequest;
	/** Before the program runs, as its user. */
	readonly copyIn?: readonly CopyIn[];
	/** When it has ended, however it did, as its user. */
	readonly copyOut?: readonly CopyOut[];
	/** Ends the program, not the jail; the outcome is then `cancelled`. */
	readonly signal?: AbortSignal;
	readonly onDenial?: (denial: Denial) => void;
	/** Called for each thing that the network gateway saw or refused of this program, as it happens. */
	readonly onNetworkEvent?: (event: NetworkEvent) => void;
}

export type ExecResult = RunResult & {
	/** Of `copyOut`, by the paths as they were given. */
	readonly files: ReadonlyMap<string, Buffer>;
	/** Of `copyIn`: then the program was not run; and of `copyOut`. */
	readonly fileErrors: readonly FileError[];
};

const SIGKILL = 9;

const NONE: readonly [undefined?, undefined?] = [];

/** So much later than pid 1 vmjail itself ends a program that is over its time: pid 1 must have been stopped then. */
const LATE_MS = 1_000;

/** A killed program is gone in milliseconds; a jail that cannot say so is given up. */
const KILL_PATIENCE_MS = 5_000;

function noFiles(): Taken {
	return { files: new Map(), errors: [] };
}

/** The result for a program that was cancelled before it ran. */
export function notRun(choice: Choice, missing: readonly Missing[], errors: readonly FileError[]): ExecResult {
	const group = groupUsage(undefined, []);
	const raw = rawEnd(undefined, "cancelled", group);
	const outcome = outcomeOf({ raw, group, exit: undefined, choice, missing, denials: [] });
	return { ...outcome, files: new Map(), fileErrors: errors };
}

export class Execution {
	readonly #inside: Inside;
	readonly #command: readonly string[];
	readonly #options: ExecOptions;
	readonly #limits: ExecLimits;
	readonly #program: Prepared;
	readonly #denials: Denial[] = [];
	readonly #timers: NodeJS.Timeout[] = [];
	#refusedAtLaunch: string | undefined;
	/** File systems keep times that lag behind the clock by a tick. */
	readonly #startedMs = Date.now() - 20;
	#cause: Cause = "none";
	#sent = false;
	#used = false;

	/** @throws VmjailError USAGE for limits, a command or paths that make no sense; nothing was done then */
	constructor(inside: Inside, command: readonly string[], options: ExecOptions) {
		const { policy, programs } = inside;
		this.#inside = inside;
		this.#command = command;
		this.#options = options;
		this.#limits = limitsFor(policy, options.limits);
		const { cwd, env, terminal, copyIn = [], copyOut = [] } = options;
		this.#program = programs.prepare({ command, cwd, env, terminal, limits: this.#limits });
		checkFiles(copyIn, copyOut, this.#cwd);
	}

	/** Has anything been done in the jail that it does not renew by itself? */
	get used(): boolean {
		return this.#used;
	}

	/** Its outcome will be `cancelled`. */
	cancel(): void {
		this.#stop("cancelled");
	}

	get #cwd(): string {
		return this.#options.cwd ?? this.#inside.reusable.spec.process.cwd;
	}

	run(): Promise<ExecResult> {
		const { copyIn, signal } = this.#options;
		return copyIn === undefined && signal === undefined ? this.#runNow() : this.#runWith(copyIn ?? [], signal);
	}

	async #runWith(copyIn: readonly CopyIn[], signal: AbortSignal | undefined): Promise<ExecResult> {
		if (signal?.aborted) return this.#notRun([]);
		if (copyIn.length > 0) {
			this.#checkReset(await this.#inside.process.reset(false));
			this.#used = true;
			const errors = await this.#inside.files.putAll(copyIn, this.#cwd);
			if (errors.length > 0) return this.#notRun(errors);
		}
		if (signal === undefined) return this.#runNow();
		const cancel = () => this.cancel();
		signal.addEventListener("abort", cancel, { once: true });
		try {
			if (signal.aborted) return this.#notRun([]);
			return await this.#runNow();
		} finally {
			signal.removeEventListener("abort", cancel);
		}
	}

	async #runNow(): Promise<ExecResult> {
		const { network } = this.#inside;
		if (network !== undefined) {
			const reportAll = this.#options.onNetworkEvent !== undefined;
			await network.begin({ onEvent: (event) => this.#onNetworkEvent(event), reportAll });
			if (this.#cause !== "none") return this.#notRun([]);
		}
		const { processor } = this.#inside.around;
		try {
			processor?.begin();
			const { replied, streams } = this.#execute();
			const reply = await replied;
			streams.stop();
			this.#clearTimers();
			const pending = [streams.stdout, streams.stderr, network?.end()] as const;
			const [stdout, stderr] = pending.some((one) => one !== undefined) ? await Promise.all(pending) : NONE;
			if (reply.kind === "failed" && reply.of === "workload") throw this.#launchError(reply.failure);
			if (reply.kind !== "exited") {
				this.#checkReset(reply);
				return this.#result(await this.#lost(), stdout, stderr, noFiles());
			}
			const fileAtLimit = () => this.#isFileAtLimit();
			const outcome = this.#outcome(reply.exit, reply.exit.reports, this.#inside.keptProgram.reports, fileAtLimit);
			const { copyOut = [] } = this.#options;
			const taken = copyOut.length === 0 ? noFiles() : await this.#inside.files.takeAll(copyOut, this.#cwd);
			return this.#result(outcome, stdout, stderr, taken);
		} finally {
			processor?.end();
			this.#clearTimers();
		}
	}

	#clearTimers(): void {
		for (const timer of this.#timers) clearTimeout(timer);
	}

	/** The outcome is made for this result, so it becomes it: a copy of an object costs several microseconds. */
	#result(
		outcome: Outcome,
		stdout: Buffer | undefined,
		stderr: Buffer | undefined,
		{ files, errors }: Taken,
	): ExecResult {
		const collected: { stdout?: Buffer; stderr?: Buffer } = {};
		if (stdout !== undefined) collected.stdout = stdout;
		if (stderr !== undefined) collected.stderr = stderr;
		return Object.assign(outcome, collected, { files, fileErrors: errors });
	}

	/** The kernel cuts the write that crosses the limit of file size: what is written ends exactly there. */
	#isFileAtLimit(): boolean {
		const { fileSizeBytes } = this.#limits;
		if (fileSizeBytes === undefined) return false;
		const { files, reusable } = this.#inside;
		return files.hasFileOfSize(reusable.writable, fileSizeBytes, this.#startedMs);
	}

	#execute(): { readonly replied: Promise<ExecReply>; readonly streams: OpenStreams } {
		const { process } = this.#inside;
		const { terminal, copyOut = [] } = this.#options;
		const renews = copyOut.length === 0 && this.#limits.fileSizeBytes === undefined;
		const budget = this.#budget(this.#limits.outputBytes);
		const { stdout, stderr } = this.#options.collectMaxBytes ?? {};
		const streams = openStreams(
			besideTerminal(this.#options, terminal),
			{
				all: budget,
				stdout: this.#budget(stdout),
				stderr: this.#budget(stderr),
			},
			this.#inside.around.passable,
		);
		const { network } = this.#inside;
		// In the order in which the plan sends them: the terminal from pid 1, then the listener from the program's process.
		const receivers = [
			...(terminal === undefined ? [] : [(fd: number) => terminal.onMaster(fd, budget)]),
			...(network === undefined ? [] : [(fd: number) => network.network.explain(fd)]),
		];
		try {
			const replied = process.exec({
				program: this.#program.encoded,
				descriptors: streams.descriptors,
				last: false,
				// At once, and not when vmjail comes round to asking for it.
				reset: renews,
				waiting: this.#program.workload.waits === true,
				onDescriptor: (fd) => (receivers.shift() ?? closeSync)(fd),
				onDenied: (denial) => this.#denyProgram(denial),
				...(terminal?.onStopped === undefined ? {} : { onStopped: terminal.onStopped }),
			});
			this.#sent = true;
			this.#used = !renews;
			this.#watchTime();
			return { replied, streams };
		} finally {
			streams.close();
		}
	}

	#watchTime(): void {
		const { wallMs } = this.#limits;
		if (wallMs !== undefined) this.#after(wallMs + LATE_MS, () => this.#stop("wall-time"));
	}

	#after(ms: number, action: () => void): void {
		this.#timers.push(setTimeout(action, Math.min(ms, 2 ** 31 - 1)));
	}

	#budget(maxBytes: number | undefined): Budget | undefined {
		return maxBytes === undefined ? undefined : new Budget(maxBytes, () => this.#stop("output"));
	}

	/** Ends the program; the jail only where it does not answer. */
	#stop(cause: Cause): void {
		if (this.#cause !== "none") return;
		this.#cause = cause;
		if (!this.#sent) return;
		const { process, around } = this.#inside;
		process.signal(SIGKILL, true);
		this.#after(KILL_PATIENCE_MS, () => around.close());
	}

	#notRun(errors: readonly FileError[]): ExecResult {
		const { choice, reusable } = this.#inside;
		return notRun(choice, reusable.missing, errors);
	}

	#outcome(
		exit: ExitReport | undefined,
		reports: ReadonlyMap<number, Uint8Array>,
		names: readonly string[],
		fileAtLimit?: () => boolean,
	): Outcome {
		const { choice, reusable } = this.#inside;
		const group = groupUsage(reports, names);
		const raw = rawEnd(exit, this.#cause, group, fileAtLimit);
		return outcomeOf({ raw, group, exit, choice, missing: reusable.missing, denials: this.#denials });
	}

	/** The jail has ended with the program in it. */
	async #lost(): Promise<Outcome> {
		const { process, around } = this.#inside;
		const end = await process.end;
		checkCleanup(end, around.plan);
		around.checkLost(end, this.#cause);
		return this.#outcome(undefined, end?.reports ?? new Map(), around.reports);
	}

	#launchError(failure: StepFailure): VmjailError {
		const launch = failure.kept ? asLaunch(this.#inside.kept) : this.#program.workload;
		return launchError(launch, failure, this.#command, this.#refusedAtLaunch);
	}

	/** @throws VmjailError where the jail could not be renewed, or even set up: it has ended then */
	#checkReset(reply: ResetReply | ExecReply): void {
		if (reply.kind === "failed") throw renewalError(this.#inside, reply.failure);
	}

	#denyProgram(denial: ExecDenial): void {
		if (denial.launching && !denial.killed) this.#refusedAtLaunch ??= denial.path;
		else this.#deny(programDenial(denial));
	}

	#deny(denial: Denial): void {
		this.#denials.push(denial);
		this.#options.onDenial?.(denial);
	}

	/** The gateway saw or refused something. */
	#onNetworkEvent(event: NetworkEvent): void {
		this.#options.onNetworkEvent?.(event);
		if (event.kind === "net.denied") this.#deny(networkDenial(event));
	}
}
