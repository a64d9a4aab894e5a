/** Between the caller's terminal and the jail's: bytes both ways, window size, Ctrl-Z. */

import { ReadStream } from "node:tty";
import type { Budget } from "../jail/stdio.ts";
import type { Running, TerminalRequest } from "../jail/types.ts";
import { signalNumber } from "../outcome/outcome.ts";
import { isTerminal } from "./is-terminal.ts";

/**
 * A program gets a terminal of its own where both its input and its output are the caller's terminal. Asked without
 * process.stdin and process.stdout, which would make a pipe non-blocking for the program too.
 */
export function wantsTerminal(): boolean {
	return isTerminal(0) && isTerminal(1);
}

export class TerminalRelay {
	/** What the jail is asked for. */
	readonly request: TerminalRequest;
	#running: Running | undefined;
	#master: ReadStream | undefined;
	#drained: Promise<void> = Promise.resolve();

	constructor() {
		const { rows, columns } = process.stdout;
		this.request = {
			size: { rows, columns },
			streams: ["stdin", "stdout", ...(isTerminal(2) ? (["stderr"] as const) : [])],
			onMaster: (descriptor, budget) => this.#connect(descriptor, budget),
			onStopped: () => this.#stop(),
		};
	}

	/** From now on window changes and continuation reach the program. */
	attach(running: Running): void {
		this.#running = running;
		process.stdout.on("resize", () => this.#resize());
		process.on("SIGCONT", () => this.#continue());
		process.on("exit", () => this.#restore());
	}

	#connect(descriptor: number, budget: Budget | undefined): void {
		const master = new ReadStream(descriptor);
		this.#master = master;
		process.stdin.setRawMode(true);
		process.stdin.on("data", (chunk) => master.write(chunk));
		process.stdin.on("end", () => master.write("\x04"));
		master.on("data", (chunk: Buffer) => {
			const passed = chunk.subarray(0, budget?.take(chunk.length) ?? chunk.length);
			if (process.stdout.write(passed)) return;
			master.pause();
			process.stdout.once("drain", () => master.resume());
		});
		this.#drained = new Promise((resolve) => {
			// EIO: no process has the slave side open any more.
			master.on("error", () => resolve());
			master.on("close", () => resolve());
		});
	}

	#resize(): void {
		this.#running?.resize(process.stdout.rows, process.stdout.columns);
	}

	/** The program was stopped: so is vmjail, for the shell that started it to see. */
	#stop(): void {
		this.#restore();
		process.kill(process.pid, "SIGSTOP");
	}

	#continue(): void {
		if (this.#master !== undefined) process.stdin.setRawMode(true);
		this.#resize();
		this.#running?.signal(signalNumber("SIGCONT"));
	}

	#restore(): void {
		if (process.stdin.isTTY) process.stdin.setRawMode(false);
	}

	/** After the program's end: shows its last output, then gives the terminal back. */
	async finish(): Promise<void> {
		await this.#drained;
		this.#restore();
		process.stdin.pause();
		this.#master?.destroy();
	}
}
