/** A terminal for a command of a request: what is typed is given beforehand, what is shown is collected. */

import { ReadStream } from "node:tty";
import type { Budget } from "../jail/stdio.ts";
import type { TerminalRequest } from "../jail/types.ts";

/** The end of input as a terminal has it: Ctrl-D at the start of a line. */
const END_OF_INPUT = "\x04";

/** go-judge gives no size; this is what terminals have. */
const SIZE = { rows: 24, columns: 80 };

export class Tty {
	readonly request: TerminalRequest;
	readonly #chunks: Buffer[] = [];
	#size = 0;
	#over = false;
	#master: ReadStream | undefined;
	#closed: Promise<void> = Promise.resolve();

	/**
	 * @param input what is typed
	 * @param maxBytes of what is collected
	 * @param exceeded called once, when there is more
	 */
	constructor(input: Uint8Array, maxBytes: number, exceeded: () => void) {
		this.request = {
			size: SIZE,
			streams: ["stdin", "stdout", "stderr"],
			onMaster: (descriptor, budget) => this.#connect(descriptor, budget, input, maxBytes, exceeded),
		};
	}

	#connect(
		descriptor: number,
		budget: Budget | undefined,
		input: Uint8Array,
		maxBytes: number,
		exceeded: () => void,
	): void {
		const master = new ReadStream(descriptor);
		this.#master = master;
		master.on("data", (chunk: Buffer) => {
			const passed = budget?.take(chunk.length) ?? chunk.length;
			const free = maxBytes - this.#size;
			if (free < chunk.length && !this.#over) {
				this.#over = true;
				exceeded();
			}
			const kept = chunk.subarray(0, Math.max(0, Math.min(passed, free)));
			this.#size += kept.length;
			this.#chunks.push(kept);
		});
		this.#closed = new Promise((resolve) => {
			master.on("error", () => resolve()); // EIO: nobody has the slave open any more
			master.on("close", () => resolve());
		});
		if (input.length > 0) master.write(input);
		master.write(END_OF_INPUT);
	}

	/** Was more shown than is kept? */
	get over(): boolean {
		return this.#over;
	}

	/** After the program's end: everything that it showed. */
	async output(): Promise<Buffer> {
		await this.#closed;
		this.#master?.destroy();
		return Buffer.concat(this.#chunks);
	}
}
