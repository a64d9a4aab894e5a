/** The executor process of this vmjail, and the jails it holds. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync } from "node:fs";
import { VmjailError } from "../errors.ts";
import { randomBytes } from "../host/random.ts";
import { type Addon, loadAddon } from "./addon.ts";
import { Channel, type Incoming } from "./channel.ts";
import type { EncodedProgram } from "./encode.ts";
import { decodeEnd, decodeFailure, decodeHello, type EndReport, type Hello, type StepFailure } from "./frames.ts";
import { JailProcess } from "./jail-process.ts";
import { nativePath } from "./package-files.ts";
import { FRAME, TOKEN_SIZE } from "./wire.ts";

/** What the zygote tells about one jail. */
export interface JailListener {
	/** A step on the host failed; `ended` follows. */
	failed(failure: StepFailure): void;
	ended(end: EndReport | undefined): void;
}

/**
 * One for each vmjail process: starts jails in about the time of a clone, because it is small. It ends, and takes every
 * jail with it, when this process is gone for whatever reason.
 */
export class Zygote {
	readonly #addon: Addon;
	/** Absent where the launcher started it. */
	readonly #process: ChildProcess | undefined;
	readonly #socket: number;
	readonly #channel: Channel;
	readonly #jails = new Map<number, JailListener>();
	/** Those of them that nobody uses yet. */
	readonly #unused = new Set<number>();
	readonly #token = randomBytes(TOKEN_SIZE);
	#sequence = 0;
	#gone = false;
	#greet: (hello: Hello | undefined) => void = () => {};
	#resolveOver: () => void = () => {};
	/** Resolves when the executor has closed its end of the socket, the last thing it does. */
	readonly #over = new Promise<void>((resolve) => {
		this.#resolveOver = resolve;
	});

	/** What the executor found out about the host when it started; undefined where it did not start. */
	readonly hello: Promise<Hello | undefined>;

	/**
	 * @param socket to an executor that runs already and that nobody has spoken to; without it one is started
	 * @throws VmjailError EXECUTOR_FAILED where the executor is not built or cannot be started.
	 */
	constructor(socket?: number) {
		this.hello = new Promise((resolve) => {
			this.#greet = resolve;
		});
		this.#addon = loadAddon();
		const started = socket === undefined ? startExecutor(this.#addon) : undefined;
		this.#socket = started?.socket ?? (socket as number);
		this.#process = started?.process;
		this.#process?.on("error", () => this.#end());
		this.#process?.unref();
		const on = { frame: (frame: Incoming) => this.#receive(frame), end: () => this.#end() };
		this.#channel = new Channel(this.#addon, this.#socket, { jail: 0, token: this.#token }, on);
	}

	/** Is the executor alive, as far as is known? */
	get alive(): boolean {
		return !this.#gone;
	}

	/** The executor's process id, for tests and doctor. */
	get pid(): number | undefined {
		return this.#process?.pid;
	}

	/**
	 * Starts a jail. It is set up while the caller goes on; what happens is told through the JailProcess.
	 *
	 * @throws VmjailError EXECUTOR_FAILED where the executor is gone
	 */
	launch(program: EncodedProgram): JailProcess {
		const jail = this.#launch(program);
		this.#channel.ref();
		return jail;
	}

	/**
	 * Starts a jail that nobody uses yet, and for which this process does not stay alive.
	 *
	 * @throws VmjailError EXECUTOR_FAILED where the executor is gone
	 */
	launchAhead(program: EncodedProgram): JailProcess {
		const jail = this.#launch(program);
		jail.hold(false);
		this.#unused.add(jail.id);
		return jail;
	}

	/** From now on somebody uses the jail, which {@link launchAhead} started. */
	use(jail: JailProcess): void {
		if (!this.#unused.delete(jail.id) || this.#gone) return;
		jail.hold(true);
		this.#channel.ref();
	}

	#launch(program: EncodedProgram): JailProcess {
		if (this.#gone) throw new VmjailError("EXECUTOR_FAILED", "the executor is gone", { remedy: "Start again." });
		const [here, there] = this.#addon.socketpair();
		const sequence = ++this.#sequence;
		const jail = new JailProcess(this.#addon, here, { jail: sequence, token: this.#token }, sequence);
		this.#jails.set(sequence, jail);
		this.#channel.send({
			type: FRAME.launch,
			sequence,
			jail: sequence,
			payload: program.bytes,
			descriptors: [there],
			close: [there],
		});
		return jail;
	}

	#receive({ header, payload, descriptors }: Incoming): void {
		for (const descriptor of descriptors) closeSync(descriptor);
		const jail = this.#jails.get(header.sequence);
		if (header.type === FRAME.hello) {
			this.#greet(decodeHello(payload));
			this.#rest();
		} else if (header.type === FRAME.failed) {
			const failure = decodeFailure(payload);
			if (failure !== undefined) jail?.failed(failure);
		} else if (header.type === FRAME.ended) {
			this.#jails.delete(header.sequence);
			this.#unused.delete(header.sequence);
			this.#rest();
			jail?.ended(decodeEnd(payload));
		}
	}

	/** Without a jail in use nothing is waited for; but at the end the executor's own end is. */
	#rest(): void {
		if (this.#jails.size === this.#unused.size && !this.#gone) this.#channel.unref();
	}

	/** Nothing is expected of the executor any more. */
	#abandon(): void {
		if (this.#gone) return;
		this.#gone = true;
		this.#greet(undefined);
		for (const jail of this.#jails.values()) jail.ended(undefined);
		this.#jails.clear();
		this.#unused.clear();
	}

	#end(): void {
		this.#abandon();
		this.#channel.close();
		this.#resolveOver();
	}

	#finish(): void {
		try {
			this.#channel.ref();
			this.#addon.finish(this.#socket);
		} catch {
			this.#end(); // it has gone before
		}
	}

	/** Ends the executor, and with it every jail; resolves when it is gone. */
	async close(): Promise<void> {
		const { exitCode = 0, signalCode } = this.#process ?? {};
		const gone = exitCode === null && signalCode === null ? once(this.#process as ChildProcess, "exit") : undefined;
		this.#process?.ref();
		if (!this.#gone) this.#finish();
		this.#abandon();
		await Promise.all([this.#over, gone]);
	}
}

/** detached: a session of its own, so that signals of the terminal reach vmjail only, which decides what jails get. */
function startExecutor(addon: Addon): { readonly socket: number; readonly process: ChildProcess } {
	const [here, there] = addon.socketpair();
	try {
		const process = spawn(nativePath("vmjail-executor"), ["serve", "3"], {
			stdio: ["ignore", "ignore", "ignore", there],
			detached: true,
			env: {},
			cwd: "/",
		});
		return { socket: here, process };
	} catch (error) {
		closeSync(here);
		throw error;
	} finally {
		closeSync(there);
	}
}
