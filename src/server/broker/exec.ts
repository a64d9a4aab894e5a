/** `vmjail --broker`, at the worker's end: one program, its streams on the connection that asked for it. */

import { closeSync } from "node:fs";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import * as v from "valibot";
import { VmjailError } from "../../errors.ts";
import { loadAddon } from "../../executor/addon.ts";
import { start } from "../../jail/run.ts";
import type { Running } from "../../jail/types.ts";
import { loadPolicy } from "../../policy/load.ts";
import type { Policy } from "../../policy/types.ts";
import { HttpProblem } from "../problem.ts";
import type { Service } from "../service.ts";
import { narrowed, withoutExcess } from "./ceiling.ts";
import { type ExecRequest, FRAME, FrameReader, frame, jsonFrame, PROTOCOL } from "./frames.ts";

const text = v.string();
const absolute = v.pipe(text, v.regex(/^\//, "not absolute"));
const requestSchema = v.strictObject({
	command: v.pipe(v.array(text), v.minLength(1)),
	text: v.optional(text),
	source: v.optional(text),
	flags: v.record(text, v.array(text)),
	home: v.optional(absolute),
	cwd: absolute,
	env: v.record(text, text),
});

const HIGHEST_SIGNAL = 64;

export interface ExecContext {
	readonly service: Service;
	readonly ceiling: Policy;
	/** Runs one thing at a time in a folder; see `inFolder`. */
	readonly inFolder: <T>(folder: string, work: () => Promise<T>) => Promise<T>;
}

/** The policy of a request, as it would be for the caller itself, within the broker's. */
function policyOf(request: ExecRequest, ceiling: Policy): Policy {
	const { text: policyText, source, flags, cwd, home, env } = request;
	const context = { cwd, ...(home === undefined ? {} : { home }) };
	const loaded = loadPolicy({
		flags,
		...context,
		...(policyText === undefined ? {} : { text: policyText, source: source ?? "policy" }),
	});
	const isUsual = policyText === undefined && flags["preset"] === undefined;
	const asked = isUsual ? withoutExcess(loaded, loadPolicy(context), ceiling) : loaded;
	return narrowed(withEnvironment(asked, env), ceiling);
}

/** What the policy passes on is the caller's, not the worker's. */
function withEnvironment(policy: Policy, env: Readonly<Record<string, string>>): Policy {
	const { pass, set } = policy.system.env;
	const passed = pass.flatMap((name) => (Object.hasOwn(env, name) ? [[name, env[name] as string] as const] : []));
	return { ...policy, system: { ...policy.system, env: { pass: [], set: { ...Object.fromEntries(passed), ...set } } } };
}

function errorOf(error: unknown, log: Service["log"]): Readonly<Record<string, unknown>> {
	if (error instanceof VmjailError) {
		const { code, message, remedy } = error;
		return { kind: "error", code, message, remedy };
	}
	if (error instanceof HttpProblem) return { kind: "error", code: "EXECUTOR_FAILED", message: error.message };
	log.error({ err: error }, "internal error");
	return { kind: "error", code: "EXECUTOR_FAILED", message: "internal error; the broker's log has it" };
}

/** One `vmjail --broker`. */
class Exec {
	readonly #connection: Duplex;
	readonly #context: ExecContext;
	readonly #cancel = new AbortController();
	/** Input that came before the program had one. */
	readonly #early: Buffer[] = [];
	#inputEnded = false;
	#stdin: Socket | undefined;
	#running: Running | undefined;
	#begun = false;

	constructor(connection: Duplex, context: ExecContext) {
		this.#connection = connection;
		this.#context = context;
		const reader = new FrameReader((type, payload) => this.#frame(type, payload));
		connection.on("data", (chunk: Buffer) => {
			try {
				reader.push(chunk);
			} catch {
				connection.destroy();
			}
		});
		connection.on("error", () => connection.destroy());
		connection.on("close", () => this.#cancel.abort());
	}

	#frame(type: number, payload: Buffer): void {
		if (!this.#begun) {
			this.#begun = true;
			if (type !== FRAME.request) this.#connection.destroy();
			else void this.#run(payload);
			return;
		}
		if (type === FRAME.input) this.#input(payload);
		else if (type === FRAME.inputEnd) this.#endInput();
		else if (type === FRAME.cancel) this.#cancel.abort();
		else if (type === FRAME.signal) {
			const signal = payload[0] ?? 0;
			if (signal > 0 && signal <= HIGHEST_SIGNAL) this.#running?.signal(signal);
		} else this.#connection.destroy();
	}

	/** A program that does not read holds the caller up, not our memory. */
	#input(payload: Buffer): void {
		const stdin = this.#stdin;
		if (stdin === undefined) {
			this.#early.push(Buffer.from(payload));
			this.#connection.pause();
			return;
		}
		if (stdin.destroyed || stdin.write(Buffer.from(payload))) return;
		this.#connection.pause();
		const resume = () => this.#connection.resume();
		stdin.once("drain", resume);
		stdin.once("close", resume);
	}

	#endInput(): void {
		this.#inputEnded = true;
		this.#stdin?.end();
	}

	#openInput(toProgram: number): Socket {
		const stdin = new Socket({ fd: toProgram, readable: false, writable: true });
		stdin.on("error", () => stdin.destroy()); // the program need not read
		for (const chunk of this.#early.splice(0)) stdin.write(chunk);
		if (this.#inputEnded) stdin.end();
		this.#stdin = stdin;
		this.#connection.resume();
		return stdin;
	}

	async #run(payload: Buffer): Promise<void> {
		const { service } = this.#context;
		try {
			const request = parse(payload);
			const outcome = await service.queue.run(1, this.#cancel.signal, () => this.#execute(request));
			this.#connection.end(jsonFrame(FRAME.end, outcome));
		} catch (error) {
			this.#connection.end(jsonFrame(FRAME.end, errorOf(error, service.log)));
		}
	}

	async #execute(request: ExecRequest): Promise<unknown> {
		const { ceiling, inFolder } = this.#context;
		const policy = policyOf(request, ceiling);
		const { pipe } = loadAddon();
		const [stdin, toProgram] = pipe();
		const [fromStdout, stdout] = pipe();
		const [fromStderr, stderr] = pipe();
		const input = this.#openInput(toProgram);
		const outputs = [this.#output(fromStdout, FRAME.stdout), this.#output(fromStderr, FRAME.stderr)];
		const options = {
			policy,
			stdin,
			stdout,
			stderr,
			signal: this.#cancel.signal,
			onDenial: (denial: unknown) => this.#connection.write(jsonFrame(FRAME.denial, denial)),
		};
		try {
			this.#running = await inFolder(request.cwd, () => start(request.command, options));
			const { choice, missing } = this.#running;
			this.#connection.write(jsonFrame(FRAME.started, { choice, missing }));
			return await this.#running.result;
		} finally {
			// Not before the end: the program may not have been given them yet.
			for (const descriptor of [stdin, stdout, stderr]) closeSync(descriptor);
			input.destroy();
			await Promise.all(outputs);
		}
	}

	#output(readEnd: number, type: typeof FRAME.stdout | typeof FRAME.stderr): Promise<void> {
		const source = new Socket({ fd: readEnd, readable: true, writable: false });
		source.on("data", (chunk: Buffer) => {
			if (this.#connection.destroyed || this.#connection.write(frame(type, chunk))) return;
			source.pause();
			const resume = () => source.resume();
			this.#connection.once("drain", resume);
			this.#connection.once("close", resume);
		});
		return new Promise((resolve) => {
			source.on("error", () => source.destroy());
			source.on("close", () => resolve());
		});
	}
}

function parse(payload: Buffer): ExecRequest {
	try {
		return v.parse(requestSchema, JSON.parse(payload.toString())) as ExecRequest;
	} catch (cause) {
		throw new VmjailError("USAGE", `the broker does not understand the request: ${(cause as Error).message}`, {
			remedy: "Use the same version of vmjail on both sides.",
			cause,
		});
	}
}

/** Answers the upgrade, and runs what the first frame asks for. */
export function serveExec(connection: Duplex, head: Buffer, context: ExecContext): void {
	connection.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${PROTOCOL}\r\n\r\n`);
	new Exec(connection, context);
	if (head.length > 0) connection.unshift(head);
	connection.resume();
}
