/** One jail as the executor runs it: its pid 1, which executes workloads. */

import { closeSync } from "node:fs";
import { VmjailError } from "../errors.ts";
import type { Addon } from "./addon.ts";
import { Channel, type Incoming } from "./channel.ts";
import type { EncodedProgram, Halves } from "./encode.ts";
import {
	decodeDenial,
	decodeExit,
	decodeFailure,
	type EndReport,
	type ExecDenial,
	type ExitReport,
	encodeResize,
	encodeSignal,
	type StepFailure,
} from "./frames.ts";
import { FRAME } from "./wire.ts";

/** How a workload came to its end, in the executor's terms. */
export type ExecReply =
	| { readonly kind: "exited"; readonly exit: ExitReport }
	/** A step of the workload's plan, or of the jail's, failed. */
	| { readonly kind: "failed"; readonly of: "jail" | "workload" | "reset"; readonly failure: StepFailure }
	/** Pid 1 is gone and left no word: killed by the kernel (out of memory) or by vmjail. */
	| { readonly kind: "lost" };

export interface ExecRequest {
	readonly program: EncodedProgram;
	/** Standard input, output, error, and what else the workload names. They stay the caller's. */
	readonly descriptors: readonly number[];
	/** Of the caller's descriptors, those to be closed once sent: a socket may be full for a while. */
	readonly close?: readonly number[];
	/** The jail ends with this program. */
	readonly last: boolean;
	/** When it has ended the jail is renewed at once; whether that succeeded is told by the next request. */
	readonly reset?: boolean;
	/** Steps of vmjail's own that execute no program: they may come between a program and the jail's renewal. */
	readonly errand?: boolean;
	/** The program is for the process that waits, where pid 1 keeps how to make one. */
	readonly waiting?: boolean;
	/** What the workload's plan sends: the master side of its terminal, say. Belongs to the receiver. */
	readonly onDescriptor?: (descriptor: number) => void;
	readonly onStopped?: (signal: number) => void;
	readonly onDenied?: (denial: ExecDenial) => void;
}

/** A jail that could not be renewed ends: no program is to run in what another one left. */
export type ResetReply =
	| { readonly kind: "ready" }
	| { readonly kind: "failed"; readonly of: "jail" | "reset"; readonly failure: StepFailure }
	| { readonly kind: "lost" };

interface Resetting {
	readonly sequence: number;
	readonly onDescriptor: ((descriptor: number) => void) | undefined;
	readonly reply: Promise<ResetReply>;
	readonly settle: (reply: ResetReply) => void;
}

interface Pending {
	readonly sequence: number;
	readonly request: ExecRequest;
	readonly settle: (reply: ExecReply) => void;
}

export class JailProcess {
	/** Resolves when no process of the jail is left and the host is as it was; undefined where the executor is gone. */
	readonly end: Promise<EndReport | undefined>;
	/**
	 * The descriptor that the jail's plan sends while it is set up, if it sends one; undefined where the jail came to
	 * nothing, which the next {@link exec} tells. Belongs to the receiver.
	 */
	readonly sent: Promise<number | undefined>;
	/** By which other launches refer to it. */
	readonly id: number;
	readonly #channel: Channel;
	readonly #launchSequence: number;
	#sequence: number;
	#pending: Pending | undefined;
	#resetting: Resetting | undefined;
	#provided: Halves | undefined;
	/** Of the request that finishes a jail made ahead; and how many of its plan's steps were done by then. */
	#setup: { readonly sequence: number; readonly firstStep: number } | undefined;
	#failure: StepFailure | undefined;
	#resetFailure: StepFailure | undefined;
	#resolveEnd: (end: EndReport | undefined) => void = () => {};
	#resolveSent: (descriptor: number | undefined) => void = () => {};
	#ended = false;
	#pid1Gone = false;

	constructor(
		addon: Addon,
		socket: number,
		identity: { readonly jail: number; readonly token: Uint8Array },
		launchSequence: number,
	) {
		this.id = identity.jail;
		this.#launchSequence = launchSequence;
		this.sent = new Promise((resolve) => {
			this.#resolveSent = resolve;
		});
		this.#sequence = launchSequence;
		this.end = new Promise((resolve) => {
			this.#resolveEnd = resolve;
		});
		this.#channel = new Channel(addon, socket, identity, {
			frame: (frame) => this.#receive(frame),
			end: () => {
				this.#pid1Gone = true;
				this.#settleIfOver();
			},
		});
	}

	/** Of a pid 1 that no zygote made: what it is to do before anything else. */
	launch(plan: EncodedProgram): void {
		this.#channel.send({ type: FRAME.launch, sequence: this.#launchSequence, payload: plan.bytes });
	}

	/** Of a jail that is made ahead of its use: what will finish it. It is checked now and waits. */
	provide(halves: Halves): void {
		this.#provided = halves;
		this.#channel.send({ type: FRAME.setup, sequence: ++this.#sequence, payload: halves.rest.bytes });
	}

	/**
	 * Of a jail that was made ahead of its use: does what is left of its plan. What is sent meanwhile is done after it, or not
	 * at all; a step that fails is told like one of the launch.
	 */
	finish(halves: Halves): void {
		if (this.#provided?.rest !== halves.rest) this.provide(halves);
		const sequence = ++this.#sequence;
		this.#setup = { sequence, firstStep: halves.firstStep };
		this.#channel.send({ type: FRAME.finish, sequence, payload: NOTHING });
	}

	/** Keeps this process alive, or not: a jail that nobody uses is no reason to. */
	hold(on: boolean): void {
		if (on) this.#channel.ref();
		else this.#channel.unref();
	}

	/** Runs one program; a jail runs one at a time. */
	exec(request: ExecRequest): Promise<ExecReply> {
		if (this.#pending !== undefined) throw new VmjailError("JAIL_CLOSED", "the jail is running another program");
		const sequence = ++this.#sequence;
		return new Promise((settle) => {
			this.#pending = { sequence, request, settle };
			this.#channel.send({
				type: FRAME.exec,
				sequence,
				payload: request.program.bytes,
				descriptors: request.descriptors,
				close: request.close,
				last: request.last,
				reset: request.reset,
				errand: request.errand,
				waiting: request.waiting,
			});
			this.#settleIfOver();
		});
	}

	/** Gives pid 1 what is the same for all later programs, and how to renew the jail between them. */
	keep(program: EncodedProgram): void {
		this.#channel.send({ type: FRAME.keep, sequence: ++this.#sequence, payload: program.bytes });
	}

	/** Why the jail could not be renewed, if it could not: it has ended, or is about to. */
	get resetFailure(): StepFailure | undefined {
		return this.#resetFailure;
	}

	/**
	 * Renews the jail by the kept program, where that is not done since the last program, or `always`. What is sent
	 * meanwhile is done after it, or not at all.
	 */
	reset(always: boolean, onDescriptor?: (descriptor: number) => void): Promise<ResetReply> {
		if (this.#resetting !== undefined) return this.#resetting.reply;
		const sequence = ++this.#sequence;
		let settle: Resetting["settle"] = () => {};
		const reply = new Promise<ResetReply>((resolve) => {
			settle = resolve;
		});
		this.#resetting = { sequence, onDescriptor, reply, settle };
		this.#channel.send({ type: FRAME.reset, sequence, payload: new Uint8Array(), reset: always });
		this.#settleIfOver();
		return reply;
	}

	/** To the workload's process group, or to every process of the jail. */
	signal(number: number, everyone = false): void {
		this.#channel.send({ type: FRAME.signal, sequence: ++this.#sequence, payload: encodeSignal(number, everyone) });
	}

	resize(rows: number, columns: number): void {
		this.#channel.send({ type: FRAME.resize, sequence: ++this.#sequence, payload: encodeResize(rows, columns) });
	}

	/** Ends the jail: pid 1 leaves, and the kernel kills whatever else is in it. */
	close(): void {
		this.#channel.close();
		this.#pid1Gone = true;
		this.#settleIfOver();
	}

	/** From the zygote. */
	failed(failure: StepFailure): void {
		this.#failure ??= failure;
	}

	/**
	 * From the zygote. What pid 1 said last may still be on its way; without a zygote nothing is waited for, since a pid 1
	 * that was let go just before the zygote died, and had not asked for its parent-death signal yet, would live on.
	 */
	ended(end: EndReport | undefined): void {
		this.#ended = true;
		if (end === undefined) this.close();
		else this.#settleIfOver();
		this.#resolveEnd(end);
	}

	#receive({ header, payload, descriptors }: Incoming): void {
		const pending = this.#pending?.sequence === header.sequence ? this.#pending : undefined;
		if (header.type === FRAME.descriptor && descriptors.length === 1 && pending?.request.onDescriptor !== undefined) {
			pending.request.onDescriptor(descriptors[0] as number);
			return;
		}
		if (header.type === FRAME.descriptor && descriptors.length === 1 && header.sequence === this.#launchSequence) {
			this.#resolveSent(descriptors[0]);
			return;
		}
		if (this.#resetting?.sequence === header.sequence) {
			this.#receiveReset(this.#resetting, header.type, payload, descriptors);
			return;
		}
		for (const descriptor of descriptors) closeSync(descriptor);
		if (header.type === FRAME.exited) {
			const exit = decodeExit(payload);
			if (exit !== undefined && pending !== undefined) this.#settle({ kind: "exited", exit });
		} else if (header.type === FRAME.failed) {
			const failure = decodeFailure(payload);
			if (failure === undefined) return;
			if (header.sequence === this.#launchSequence) this.failed(failure);
			else if (header.sequence === this.#setup?.sequence) this.failed(later(failure, this.#setup.firstStep));
			else if (failure.kept && failure.section === "before") this.#resetFailure = failure;
			else if (pending !== undefined) this.#settle({ kind: "failed", of: "workload", failure });
		} else if (header.type === FRAME.denied) {
			const denial = decodeDenial(payload);
			if (denial !== undefined) pending?.request.onDenied?.(denial);
		} else if (header.type === FRAME.stopped && payload.length >= 4) {
			pending?.request.onStopped?.(new DataView(payload.buffer, payload.byteOffset).getUint32(0, true));
		}
	}

	#receiveReset({ onDescriptor }: Resetting, type: number, payload: Uint8Array, descriptors: readonly number[]): void {
		for (const descriptor of descriptors) (onDescriptor ?? closeSync)(descriptor);
		if (type === FRAME.ready) this.#settleReset({ kind: "ready" });
		// The jail ends with it: settled then.
		if (type === FRAME.failed) this.#resetFailure = decodeFailure(payload);
	}

	/** A reply that never came is lost once pid 1 is gone and the zygote, who may know of a failed step, has spoken. */
	#settleIfOver(): void {
		if (!this.#pid1Gone || !this.#ended) return;
		this.#resolveSent(undefined);
		const reply = this.#lastWord();
		this.#settleReset(reply);
		this.#settle(reply);
	}

	#lastWord(): ResetReply & ExecReply {
		if (this.#failure !== undefined) return { kind: "failed", of: "jail", failure: this.#failure };
		if (this.#resetFailure !== undefined) return { kind: "failed", of: "reset", failure: this.#resetFailure };
		return { kind: "lost" };
	}

	#settleReset(reply: ResetReply): void {
		const resetting = this.#resetting;
		this.#resetting = undefined;
		resetting?.settle(reply);
	}

	#settle(reply: ExecReply): void {
		const pending = this.#pending;
		this.#pending = undefined;
		pending?.settle(reply);
	}
}

const NOTHING = new Uint8Array();

function later(failure: StepFailure, steps: number): StepFailure {
	return failure.step === undefined ? failure : { ...failure, step: failure.step + steps };
}
