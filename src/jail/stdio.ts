/** Where a workload's standard streams come from and go to. */

import { closeSync, constants, createReadStream, createWriteStream, fstatSync, openSync, type Stats } from "node:fs";
import { Socket } from "node:net";
import { type Readable, Writable } from "node:stream";
import { isatty, ReadStream } from "node:tty";
import { VmjailError } from "../errors.ts";
import { type Addon, loadAddon } from "../executor/addon.ts";
import type { Terminal } from "../plan/terminal.ts";

/** A descriptor of the caller's, one of the caller's standard streams, nothing, or bytes. */
export type Input = "ignore" | "inherit" | number | Taken | { readonly content: string | Uint8Array };
export type Output = "ignore" | "inherit" | "collect" | number | Taken;

/** A descriptor that is given away: it is closed here as soon as the program has its copy, or cannot run. */
export interface Taken {
	readonly take: number;
}

/** Those that somebody else than their giver is to close. */
const consumed = new WeakSet<Taken>();

function consume(taken: Taken): number {
	consumed.add(taken);
	return taken.take;
}

/** Closes what was given away and did not get as far as {@link openStreams}. */
export function closeTaken({ stdin, stdout, stderr }: Streams): void {
	for (const stream of [stdin, stdout, stderr]) {
		if (typeof stream === "object" && "take" in stream && !consumed.has(stream)) closeSync(consume(stream));
	}
}

export interface Streams {
	readonly stdin?: Input;
	readonly stdout?: Output;
	readonly stderr?: Output;
}

/** One output on its way through vmjail. */
interface Tap {
	/** Resolves when every writer is gone and what was passed on has arrived; with the bytes where they were kept. */
	readonly done: Promise<Buffer | undefined>;
}

/** The descriptors for a workload, and what becomes of its output. */
export interface OpenStreams {
	readonly descriptors: readonly [number, number, number];
	/** To be called once the workload has its copies. */
	close(): void;
	/** To be called when the workload has ended: nothing is read from the caller's input any more. */
	stop(): void;
	/** What was collected, if it was; resolves when every writer is gone. */
	readonly stdout: Promise<Buffer | undefined> | undefined;
	readonly stderr: Promise<Buffer | undefined> | undefined;
}

/** Counts the bytes of all outputs of one workload against its limit. */
export class Budget {
	#used = 0;
	#over = false;
	readonly #max: number;
	readonly #exceeded: () => void;

	constructor(max: number, exceeded: () => void) {
		this.#max = max;
		this.#exceeded = exceeded;
	}

	/** How much of a chunk may pass. */
	take(size: number): number {
		const free = Math.max(0, this.#max - this.#used);
		this.#used += size;
		if (this.#used > this.#max && !this.#over) {
			this.#over = true;
			this.#exceeded();
		}
		return Math.min(size, free);
	}
}

/** How much of a chunk may pass by all budgets; each counts all of it. */
function passing(budgets: readonly Budget[], size: number): number {
	return budgets.reduce((least, budget) => Math.min(least, budget.take(size)), size);
}

/** Reads a pipe to its end, whatever becomes of the bytes, so that the writer is never blocked. */
function tap(
	readEnd: number,
	budgets: readonly Budget[],
	forwardTo: NodeJS.WritableStream | undefined,
	ends = false,
): Tap {
	const socket = new Socket({ fd: readEnd, readable: true, writable: false });
	const chunks: Buffer[] = [];
	// Whoever reads behind us has gone (EPIPE): so do we, and the program gets the SIGPIPE that it would have got from them.
	forwardTo?.on("error", () => socket.destroy());
	if (ends) socket.on("end", () => forwardTo?.end());
	socket.on("data", (chunk: Buffer) => {
		const passed = chunk.subarray(0, passing(budgets, chunk.length));
		if (forwardTo === undefined) {
			chunks.push(passed);
		} else if (passed.length > 0 && !forwardTo.write(passed)) {
			socket.pause();
			forwardTo.once("drain", () => socket.resume());
		}
	});
	const done = new Promise<Buffer | undefined>((resolve) => {
		const collected = () => (forwardTo === undefined ? Buffer.concat(chunks) : undefined);
		socket.on("error", () => resolve(collected()));
		// What was passed on has arrived when the empty write behind it has.
		const flushed = () =>
			forwardTo?.writable === true ? forwardTo.write("", () => resolve(collected())) : resolve(collected());
		socket.on("close", flushed);
	});
	return { done };
}

/**
 * Reads what a descriptor of the caller's gives. Never by a blocking read(2) where it might wait for somebody: a thread in
 * there cannot be called back, and Node waits for it before it ends.
 */
function readerOf(descriptor: number, addon: Addon): Readable {
	const stat = fstatSync(descriptor);
	if (isatty(descriptor)) return new ReadStream(addon.duplicate(descriptor));
	if (stat.isFIFO()) return new Socket({ fd: reopened(descriptor, addon), readable: true, writable: false });
	if (stat.isSocket()) return new Socket({ fd: addon.duplicate(descriptor), readable: true, writable: false });
	return createReadStream("", { fd: descriptor, autoClose: false });
}

/** An open file of our own, where that is permitted: O_NONBLOCK on the caller's would be on for everybody who shares it. */
function reopened(descriptor: number, addon: Addon): number {
	try {
		return openSync(`/proc/self/fd/${descriptor}`, constants.O_RDONLY | constants.O_NONBLOCK);
	} catch {
		return addon.duplicate(descriptor);
	}
}

/** Feeds a pipe from what is being read, until its end, until nobody reads any more, or until what it returns is called. */
function pump(reader: Readable, writeEnd: number): () => void {
	const socket = new Socket({ fd: writeEnd, readable: false, writable: true });
	const stop = () => {
		reader.destroy();
		socket.destroy();
	};
	socket.on("error", stop);
	reader.on("error", stop);
	reader.pipe(socket);
	return stop;
}

/** May a runtime have this descriptor itself, or is a pipe to be put in between? */
export type Passable = (descriptor: number, stream: "stdin" | "stdout" | "stderr") => boolean;

/**
 * A pipe that is ours alone is written to without waiting: a reader that is slow, or waits for us to read, then holds up
 * no thread of Node's, of which there are few. One that the caller keeps must stay as it is (O_NONBLOCK is the open file's).
 */
function streamOf(descriptor: number, taken: boolean): NodeJS.WritableStream {
	if (taken && fstatSync(descriptor).isFIFO()) return new Socket({ fd: descriptor, readable: false, writable: true });
	if (!taken && descriptor === 1) return process.stdout;
	if (!taken && descriptor === 2) return process.stderr;
	return createWriteStream("", { fd: descriptor, autoClose: taken });
}

function statOf(descriptor: number, name: string): Stats {
	try {
		return fstatSync(descriptor);
	} catch (cause) {
		throw new VmjailError("USAGE", `${name}: descriptor ${descriptor} is not open`, {
			remedy: "Give a descriptor that stays open until the program has started.",
			cause,
		});
	}
}

/** A folder would be a way out of the jail (openat(2)), and a block device one around its file systems. */
function checkDescriptor(stream: Input | Output | undefined, inherited: number, name: string): void {
	const given = typeof stream === "object" && "take" in stream ? stream.take : stream;
	const descriptor = given === "inherit" ? inherited : given;
	if (typeof descriptor !== "number") return;
	const stat = statOf(descriptor, name);
	if (!stat.isDirectory() && !stat.isBlockDevice()) return;
	throw new VmjailError("USAGE", `${name} is a ${stat.isDirectory() ? "folder" : "block device"}`, {
		remedy: "Give a file, a pipe, a socket or a terminal.",
	});
}

const STREAMS = { 1: "stdout", 2: "stderr" } as const;

const shared: { nullDevice?: number } = {};

/** One for all programs of this process: it has no position and nothing that one could change. */
function nullDevice(): number {
	shared.nullDevice ??= openSync("/dev/null", constants.O_RDWR);
	return shared.nullDevice;
}

class Opener {
	readonly addon: Addon = loadAddon();
	readonly toClose: number[] = [];
	readonly toStop: (() => void)[] = [];
	readonly passable: Passable;

	constructor(passable: Passable) {
		this.passable = passable;
	}

	own(descriptor: number): number {
		this.toClose.push(descriptor);
		return descriptor;
	}

	/** /dev/null, or a pipe that is at its end. */
	nullInput(): number {
		const descriptor = nullDevice();
		if (this.passable(descriptor, "stdin")) return descriptor;
		const [readEnd, writeEnd] = this.addon.pipe();
		closeSync(writeEnd);
		return this.own(readEnd);
	}

	/** /dev/null, or a pipe whose other end reads and forgets. */
	nullOutput(number: 1 | 2): { readonly descriptor: number; readonly tap?: Tap } {
		const descriptor = nullDevice();
		if (this.passable(descriptor, STREAMS[number])) return { descriptor };
		const [readEnd, writeEnd] = this.addon.pipe();
		const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
		return { descriptor: this.own(writeEnd), tap: tap(readEnd, [], nowhere) };
	}

	input(input: Input): number {
		if (input === "ignore") return this.nullInput();
		if (input === "inherit") return this.#inputFrom(0);
		if (typeof input === "number") return this.#inputFrom(input);
		if ("take" in input) return this.#inputFrom(consume(input), true);
		const { content } = input;
		return this.own(this.addon.memfd(typeof content === "string" ? Buffer.from(content) : content));
	}

	#inputFrom(descriptor: number, taken = false): number {
		if (this.passable(descriptor, "stdin")) return taken ? this.own(descriptor) : descriptor;
		const [readEnd, writeEnd] = this.addon.pipe();
		const reader = readerOf(descriptor, this.addon);
		if (taken) reader.once("close", () => closeSync(descriptor));
		this.toStop.push(pump(reader, writeEnd));
		return this.own(readEnd);
	}

	/** Through vmjail where it is collected or counted, else straight to its destination. */
	output(
		output: Output,
		number: 1 | 2,
		budgets: readonly Budget[],
	): { readonly descriptor: number; readonly tap?: Tap } {
		if (output === "ignore") return this.nullOutput(number);
		const taken = typeof output === "object";
		const destination = taken ? consume(output) : output === "inherit" ? number : output;
		if (destination !== "collect" && budgets.length === 0 && this.passable(destination, STREAMS[number])) {
			return { descriptor: taken ? this.own(destination) : destination };
		}
		const [readEnd, writeEnd] = this.addon.pipe();
		return {
			descriptor: this.own(writeEnd),
			tap: tap(readEnd, budgets, destination === "collect" ? undefined : streamOf(destination, taken), taken),
		};
	}
}

/** What is counted: all outputs together, and each by itself. */
export interface Budgets {
	readonly all?: Budget | undefined;
	readonly stdout?: Budget | undefined;
	readonly stderr?: Budget | undefined;
}

/** What a terminal replaces is left alone: whoever read the caller's would take what is typed from it. */
export function besideTerminal(streams: Streams, terminal: Pick<Terminal, "streams"> | undefined): Streams {
	if (terminal === undefined) return streams;
	const replaced = terminal.streams.map((name) => [name, "ignore" as const]);
	return { ...streams, ...Object.fromEntries(replaced) };
}

/**
 * Opens the streams. With a budget an output passes through vmjail, and what is beyond it is dropped.
 *
 * @throws VmjailError USAGE for a descriptor that is not open, or is of a kind that no program in a jail may have
 */
export function openStreams(streams: Streams, budgets: Budgets = {}, passable: Passable = () => true): OpenStreams {
	checkDescriptor(streams.stdin, 0, "stdin");
	checkDescriptor(streams.stdout ?? "inherit", 1, "stdout");
	checkDescriptor(streams.stderr ?? "inherit", 2, "stderr");
	const opener = new Opener(passable);
	const counted = (own: Budget | undefined) => [budgets.all, own].filter((one) => one !== undefined);
	const stdin = opener.input(streams.stdin ?? "ignore");
	const stdout = opener.output(streams.stdout ?? "inherit", 1, counted(budgets.stdout));
	const stderr = opener.output(streams.stderr ?? "inherit", 2, counted(budgets.stderr));
	return {
		descriptors: [stdin, stdout.descriptor, stderr.descriptor],
		stdout: stdout.tap?.done,
		stderr: stderr.tap?.done,
		close: () => {
			for (const descriptor of opener.toClose.splice(0)) closeSync(descriptor);
		},
		stop: () => {
			for (const stop of opener.toStop.splice(0)) stop();
		},
	};
}
