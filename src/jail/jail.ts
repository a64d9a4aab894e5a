/**
 * A jail that runs one program after the other. Between two of them everything is made anew that the first may have
 * changed: processes, file systems in memory, IPC objects, control groups (docs/jails.md). What runs it is the policy's
 * business: the interface is the same for every runtime.
 *
 * A program that could not be run because a file could not be copied in has the outcome `cancelled`, and `fileErrors`.
 */

import { closeSync } from "node:fs";
import { VmjailError } from "../errors.ts";
import { type EncodedProgram, encodeKept, encodePlan } from "../executor/encode.ts";
import type { JailProcess } from "../executor/jail-process.ts";
import type { Missing } from "../host/types.ts";
import type { Kept } from "../plan/types.ts";
import type { Policy } from "../policy/types.ts";
import type { Choice } from "../runtime/choose.ts";
import type { Driver } from "../runtime/driver.ts";
import type { RuntimeOptions } from "./choose.ts";
import { checkCleanup, checkLost, RUNLC } from "./ending.ts";
import { type ExecOptions, type ExecResult, Execution } from "./execution.ts";
import { identityOf, JailFiles } from "./files.ts";
import { asLaunch, type Inside, renewalError } from "./inside.ts";
import { launchError } from "./launch-error.ts";
import { below, checkLostWith, networkFor, withNetwork } from "./networked.ts";
import { Pins } from "./pins.ts";
import { Programs } from "./programs.ts";
import { prepareReusable, type Reusable } from "./reusable.ts";
import { type Session, session } from "./session.ts";
import { closeTaken } from "./stdio.ts";

export interface JailOptions extends RuntimeOptions {
	/** Gives up opening. */
	readonly signal?: AbortSignal;
}

export class Jail {
	/** Controls that go unenforced because the policy's `optional` lets them. */
	readonly missing: readonly Missing[];
	readonly choice: Choice;
	readonly #session: Session;
	readonly #inside: Inside;
	readonly #release: () => void;
	#running: Execution | undefined;
	#closing: Promise<void> | undefined;
	#ended = false;

	private constructor(at: Session, inside: Inside, release: () => void) {
		this.#session = at;
		this.#inside = inside;
		this.#release = release;
		this.missing = inside.reusable.missing;
		this.choice = inside.choice;
		inside.process.end.then(() => {
			this.#ended = true;
			return inside.network?.close();
		});
	}

	/**
	 * Makes a jail, ready for its first program.
	 *
	 * @throws VmjailError where the policy cannot be had on this host, or a step of the set-up failed; CANCELLED
	 */
	static async open(policy: Policy, options: JailOptions = {}): Promise<Jail> {
		const pins = new Pins();
		try {
			return await Jail.#openWith(pins, policy, options);
		} catch (error) {
			pins.close();
			throw error;
		}
	}

	static async #openWith(pins: Pins, policy: Policy, options: JailOptions): Promise<Jail> {
		const at = session();
		const { runtime, rollback } = policy.system;
		if (runtime !== "runlc" || rollback !== "") {
			const { choose } = await import("./choose.ts");
			const { choice, driver } = await choose(policy, await at.facts(), options);
			if (driver !== undefined) return await Jail.#openDriven(at, driver, policy, choice, options.signal);
			return await Jail.#openNative(at, pins, policy, choice, options.signal);
		}
		return await Jail.#openNative(at, pins, policy, RUNLC, options.signal);
	}

	static async #openDriven(
		at: Session,
		driver: Driver,
		policy: Policy,
		choice: Choice,
		signal: AbortSignal | undefined,
	): Promise<Jail> {
		const { openDriven } = await import("./driven-jail.ts");
		try {
			const { inside, release } = await openDriven(at, driver, policy, choice, signal);
			return new Jail(at, inside, release);
		} catch (error) {
			if (signal?.aborted) throw cancelled();
			throw error;
		}
	}

	static async #openNative(
		at: Session,
		pins: Pins,
		policy: Policy,
		choice: Choice,
		signal: AbortSignal | undefined,
	): Promise<Jail> {
		const host = await at.facts();
		if (signal?.aborted) throw cancelled();
		const id = at.newGroupId();
		const prepared = prepareReusable(policy, host, id, pins.keep);
		const { facts, spec } = prepared;
		const network = await networkFor(at, policy, { facts, jail: id, ownKernel: false });
		const reusable = { ...prepared, plan: below(network, prepared.plan) };
		const plan = encodePlan(reusable.plan, facts.arch);
		const kept = reusable.kept(network?.network.workloadSteps ?? []);
		const keptProgram = encodeKept(kept, plan, reusable.plan, facts.arch);
		const process = at.zygote.launch(plan);
		const abort = () => process.close();
		signal?.addEventListener("abort", abort, { once: true });
		try {
			const root = await withNetwork(
				firstReset(process, reusable, kept, plan),
				network?.connect(process, abort),
				abort,
			);
			process.keep(keptProgram);
			const files = new JailFiles(root, identityOf(spec));
			const programs = new Programs(reusable, plan);
			const around = { plan: reusable.plan, reports: plan.reports, checkLost: checkLostWith(network), close: abort };
			const shared = { policy, reusable, process, plan, kept, keptProgram, files, programs, choice, around };
			const inside = network === undefined ? shared : { ...shared, network };
			return new Jail(at, inside, () => {
				closeSync(root);
				pins.close();
			});
		} catch (error) {
			process.close();
			const end = await process.end;
			await network?.close();
			if (end === undefined) await at.sweepOwn();
			if (signal?.aborted) throw cancelled();
			throw error;
		} finally {
			signal?.removeEventListener("abort", abort);
		}
	}

	/** Can it run no program any more? */
	get broken(): boolean {
		return this.#ended || this.#closing !== undefined;
	}

	/**
	 * Runs a program to its end, then renews the jail.
	 *
	 * @throws VmjailError USAGE (another program runs, or the options make no sense), COMMAND_NOT_FOUND,
	 *   COMMAND_NOT_EXECUTABLE, LAUNCH_FAILED: the jail can be used again. JAIL_CLOSED, EXECUTOR_FAILED: it cannot.
	 */
	async exec(command: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
		let execution: Execution | undefined;
		try {
			execution = this.#begin(command, options);
			return await execution.run();
		} finally {
			if (execution !== undefined) this.#finish(execution);
			closeTaken(options);
		}
	}

	#begin(command: readonly string[], options: ExecOptions): Execution {
		if (this.#running !== undefined) {
			throw new VmjailError("USAGE", "the jail runs another program", { remedy: "Wait for it, or use a Pool." });
		}
		if (this.broken) throw this.#brokenError();
		const execution = new Execution(this.#inside, command, options);
		this.#running = execution;
		return execution;
	}

	#finish(execution: Execution): void {
		if (execution.used && !this.broken) this.#inside.process.reset(true);
		this.#running = undefined;
	}

	/**
	 * Ends the program that runs, if one does (its outcome is `cancelled`), and the jail. Nothing of it is left then.
	 *
	 * @throws VmjailError EXECUTOR_FAILED where something could not be taken away
	 */
	close(): Promise<void> {
		this.#closing ??= this.#close();
		return this.#closing;
	}

	#brokenError(): VmjailError {
		const { resetFailure } = this.#inside.process;
		if (resetFailure !== undefined && this.#closing === undefined) return renewalError(this.#inside, resetFailure);
		return new VmjailError("JAIL_CLOSED", "the jail has ended", { remedy: "Open another one." });
	}

	async #close(): Promise<void> {
		const { process, around, network } = this.#inside;
		this.#running?.cancel();
		around.close();
		const end = await process.end;
		await network?.close();
		this.#release();
		if (end === undefined) await this.#session.sweepOwn();
		else checkCleanup(end, around.plan);
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.close();
	}
}

function cancelled(): VmjailError {
	return new VmjailError("JAIL_CLOSED", "opening the jail was given up", { remedy: "The caller's signal did so." });
}

/** The jail's set-up, and the first renewal, which sends the jail's root. */
async function firstReset(
	process: JailProcess,
	{ plan: steps, facts }: Reusable,
	kept: Kept,
	plan: EncodedProgram,
): Promise<number> {
	const send = { label: "hand the jail's root to vmjail", call: "send_descriptor", args: [{ slot: "root" }] } as const;
	const { waiting: _, ...others } = kept;
	const first = { ...others, before: [...kept.before, send] };
	const roots: number[] = [];
	process.keep(encodeKept(first, plan, steps, facts.arch));
	const reply = await process.reset(true, (descriptor) => roots.push(descriptor));
	const [root, ...more] = roots;
	for (const descriptor of more) closeSync(descriptor);
	if (reply.kind === "ready" && root !== undefined) return root;
	if (root !== undefined) closeSync(root);
	if (reply.kind === "failed") throw launchError(reply.of === "jail" ? steps : asLaunch(first), reply.failure, []);
	checkLost(await process.end, "none");
	throw new VmjailError("EXECUTOR_FAILED", "the jail's pid 1 was killed while it set the jail up", {
		remedy: "Look for who killed it (dmesg, for want of memory?), then try again.",
	});
}
