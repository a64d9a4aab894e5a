/** The client's direction of a connection whose rule is for names: what the relay's thread hands over, until nothing is left to see. */

import type { NameRule } from "../../policy/types.ts";
import type { DenialReason } from "../events.ts";
import { type Inspection as Found, Inspector } from "./inspector.ts";

export interface InspectionOptions {
	readonly rules: readonly NameRule[];
	/** Milliseconds in which begun bytes must be understood. */
	readonly timeoutMs: number;
	/** Passes bytes on to the server. `done`: nothing more is to be seen. */
	readonly forward: (
		bytes: readonly Uint8Array[],
		how: { readonly answer: boolean; readonly done: boolean; readonly end: boolean },
	) => void;
	/** Called once; afterwards nothing more is passed on. */
	readonly refused: (reason: DenialReason, detail?: string) => void;
}

export class Inspection {
	readonly #options: InspectionOptions;
	readonly #inspector: Inspector;
	#timer: NodeJS.Timeout | undefined;
	/** "done": what the thread had handed over by then still has to be passed on. */
	#state: "looking" | "done" | "over" = "looking";

	constructor(options: InspectionOptions) {
		this.#options = options;
		this.#inspector = new Inspector(options.rules);
	}

	data(bytes: Uint8Array): void {
		if (this.#state === "looking") this.#act(this.#inspector.push(bytes), true, false);
		else if (this.#state === "done") this.#options.forward([bytes], { answer: true, done: true, end: false });
	}

	ended(): void {
		if (this.#state === "looking") this.#act(this.#inspector.end(), true, true);
		else if (this.#state === "done") this.#options.forward([], { answer: true, done: true, end: true });
	}

	/** The server's first bytes. */
	answered(first: Uint8Array): void {
		if (this.#state === "looking") this.#act(this.#inspector.answered(first), false, false);
	}

	/** The connection is gone. */
	close(): void {
		this.#state = "over";
		clearTimeout(this.#timer);
	}

	#act({ forward, refusal, done }: Found, answer: boolean, end: boolean): void {
		if (answer || forward.length > 0 || done === true)
			this.#options.forward(forward, { answer, done: done === true, end });
		if (refusal !== undefined) this.#refuse(refusal.reason, refusal.detail);
		else if (done) {
			this.#state = "done";
			clearTimeout(this.#timer);
		} else this.#watchTime();
	}

	#watchTime(): void {
		if (this.#inspector.held === 0) {
			clearTimeout(this.#timer);
			this.#timer = undefined;
		} else
			this.#timer ??= setTimeout(
				() => this.#refuse("malformed", "the client began a request and did not go on"),
				this.#options.timeoutMs,
			);
	}

	#refuse(reason: DenialReason, detail: string | undefined): void {
		this.close();
		this.#options.refused(reason, detail);
	}
}
