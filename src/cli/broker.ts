/** `vmjail --broker unix:PATH -- PROGRAM`: the program runs in a broker's jail, its streams are ours. */

import { request } from "node:http";
import type { Socket } from "node:net";
import { VmjailError } from "../errors.ts";
import { workingFolder } from "../host/working-folder.ts";
import type { Running } from "../jail/types.ts";
import { exitStatus, signalNumber } from "../outcome/outcome.ts";
import type { Denial, Outcome } from "../outcome/types.ts";
import {
	EXEC_PATH,
	type ExecRequest,
	FRAME,
	FrameReader,
	type FrameType,
	frame,
	jsonFrame,
	PROTOCOL,
} from "../server/broker/frames.ts";
import type { PolicyArguments } from "./arguments.ts";
import { readPolicyFile } from "./policy-file.ts";
import { FAILED, say, sayDenial, sayEnd, sayMissing, sayRuntime, statusOf } from "./report.ts";
import { writeResult } from "./result-file.ts";

export interface BrokerArguments {
	/** unix:PATH */
	readonly broker: string;
	readonly policy: PolicyArguments;
	readonly command: readonly string[];
	readonly result?: string;
	readonly quiet: boolean;
}

const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;

/** As often as somebody presses Ctrl-C before the program is ended whether it wants or not. */
const PATIENCE = 3;

function unreachable(path: string, why: string, cause?: unknown): VmjailError {
	return new VmjailError("EXECUTOR_FAILED", `the broker at ${path} cannot be used: ${why}`, {
		remedy: "Have root start one: vmjail serve --listen unix:/run/vmjail.sock. Without --broker vmjail needs none.",
		cause,
	});
}

function socketPath(broker: string): string {
	if (broker.startsWith("unix:/")) return broker.slice("unix:".length);
	throw new VmjailError("USAGE", `--broker ${broker}: expected unix:PATH, absolute`, {
		remedy: "Write unix:/run/vmjail.sock.",
	});
}

/** The connection, once the broker has agreed to the protocol. */
function connect(path: string): Promise<{ readonly socket: Socket; readonly head: Buffer }> {
	return new Promise((resolve, reject) => {
		const asked = request({
			socketPath: path,
			path: EXEC_PATH,
			headers: { Connection: "Upgrade", Upgrade: PROTOCOL, Host: "localhost" },
		});
		asked.on("upgrade", (_response, socket, head) => resolve({ socket: socket as Socket, head }));
		asked.on("response", (response) => {
			const chunks: Buffer[] = [];
			response.on("data", (chunk: Buffer) => chunks.push(chunk));
			response.on("end", () => {
				const text = Buffer.concat(chunks).toString();
				reject(unreachable(path, `${response.statusCode} ${errorIn(text)}`));
			});
		});
		asked.on("error", (cause: NodeJS.ErrnoException) => reject(unreachable(path, cause.code ?? cause.message, cause)));
		asked.end();
	});
}

function errorIn(text: string): string {
	try {
		return String((JSON.parse(text) as { readonly error?: unknown }).error);
	} catch {
		return text.trim();
	}
}

function requestOf({ policy, command }: BrokerArguments): ExecRequest {
	const home = process.env["HOME"];
	const { config, flags } = policy;
	const env = Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined);
	const given = Object.entries(flags).flatMap(([name, values]) =>
		values === undefined ? [] : [[name, values] as const],
	);
	return {
		command,
		flags: Object.fromEntries(given),
		cwd: workingFolder(),
		env: Object.fromEntries(env),
		...(home?.startsWith("/") ? { home } : {}),
		...(config === undefined ? {} : { text: readPolicyFile(config).toString(), source: config }),
	};
}

type End =
	| Outcome
	| { readonly kind: "error"; readonly code: string; readonly message: string; readonly remedy?: string };

/** One run by way of a broker. */
class Remote {
	readonly #socket: Socket;
	readonly #quiet: boolean;
	readonly end: Promise<End>;

	constructor(socket: Socket, head: Buffer, path: string, quiet: boolean) {
		this.#socket = socket;
		this.#quiet = quiet;
		this.end = new Promise((resolve, reject) => {
			const reader = new FrameReader((type, payload) => this.#frame(type, payload, resolve));
			const push = (chunk: Buffer) => {
				try {
					reader.push(chunk);
				} catch (cause) {
					reject(unreachable(path, "it does not keep to the protocol", cause));
				}
			};
			socket.on("data", push);
			socket.on("error", (cause) => reject(unreachable(path, cause.message, cause)));
			socket.on("close", () => reject(unreachable(path, "it has gone")));
			if (head.length > 0) push(head);
		});
	}

	send(type: FrameType, payload?: Uint8Array): boolean {
		return this.#socket.destroyed || this.#socket.write(frame(type, payload));
	}

	#frame(type: number, payload: Buffer, resolve: (end: End) => void): void {
		if (type === FRAME.stdout) this.#write(process.stdout, payload);
		else if (type === FRAME.stderr) this.#write(process.stderr, payload);
		else if (type === FRAME.started)
			this.#started(JSON.parse(payload.toString()) as Pick<Running, "choice" | "missing">);
		else if (type === FRAME.denial && !this.#quiet) sayDenial(JSON.parse(payload.toString()) as Denial);
		else if (type === FRAME.end) resolve(JSON.parse(payload.toString()) as End);
	}

	#started({ choice, missing }: Pick<Running, "choice" | "missing">): void {
		sayRuntime(choice);
		if (!this.#quiet) sayMissing(missing);
	}

	/** A reader that is slow holds the program up. */
	#write(stream: NodeJS.WriteStream, bytes: Buffer): void {
		if (stream.write(bytes)) return;
		this.#socket.pause();
		stream.once("drain", () => this.#socket.resume());
	}

	/** Our input is the program's, as fast as it reads. */
	feed(): void {
		const { stdin } = process;
		stdin.on("data", (chunk: Buffer) => {
			if (this.send(FRAME.input, chunk)) return;
			stdin.pause();
			this.#socket.once("drain", () => stdin.resume());
		});
		stdin.on("end", () => this.send(FRAME.inputEnd));
		stdin.on("error", () => this.send(FRAME.inputEnd));
		for (const stream of [process.stdout, process.stderr]) stream.on("error", () => this.send(FRAME.cancel));
	}

	forwardSignals(): void {
		const pressed = { interrupts: 0 };
		for (const name of FORWARDED) {
			process.on(name, () => {
				if (name === "SIGINT" && ++pressed.interrupts >= PATIENCE) this.send(FRAME.cancel);
				else this.send(FRAME.signal, Uint8Array.of(signalNumber(name)));
			});
		}
	}
}

/** Until everything that was written has gone out. */
function flushed(stream: NodeJS.WriteStream): Promise<void> {
	return new Promise((resolve) => {
		if (!stream.writable || !stream.write("", () => resolve())) stream.once("error", () => resolve());
		if (!stream.writable) resolve();
	});
}

function statusOfEnd(end: End): number {
	if (end.kind !== "error") return exitStatus(end);
	return statusOf(new VmjailError(end.code as VmjailError["code"], end.message)) || FAILED;
}

/** Runs the program by way of the broker; returns the exit status of vmjail. */
export async function brokerCommand(args: BrokerArguments): Promise<number> {
	const path = socketPath(args.broker);
	const asked = requestOf(args);
	const { socket, head } = await connect(path);
	const remote = new Remote(socket, head, path, args.quiet);
	// In this order: once the program runs there may be signals for it.
	remote.forwardSignals();
	socket.write(jsonFrame(FRAME.request, asked));
	remote.feed();
	const end = await remote.end;
	await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
	if (end.kind === "error") say(end.remedy === undefined ? end.message : `${end.message}\n${end.remedy}`);
	else if (!args.quiet) sayEnd(end);
	writeResult(args.result, end);
	return statusOfEnd(end);
}
