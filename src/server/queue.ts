/** So many commands at once, so many requests that wait, and a clear no to the rest. */

import { HttpProblem } from "./problem.ts";

interface Waiting {
	readonly weight: number;
	readonly start: () => void;
}

/** Seconds. */
const RETRY_AFTER = 1;

export interface QueueOptions {
	/** Commands that run at once. */
	readonly parallelism: number;
	/** Requests that may wait. */
	readonly length: number;
}

export class Queue {
	readonly #parallelism: number;
	readonly #length: number;
	readonly #waiting: Waiting[] = [];
	#running = 0;
	#requests = 0;
	#closed = false;
	#idle: (() => void) | undefined;

	constructor({ parallelism, length }: QueueOptions) {
		this.#parallelism = parallelism;
		this.#length = length;
	}

	/** Commands that run. */
	get running(): number {
		return this.#running;
	}

	get waiting(): number {
		return this.#waiting.length;
	}

	get closed(): boolean {
		return this.#closed;
	}

	/**
	 * Runs the work of one request when its commands have room, first come, first served. All of a request's commands start
	 * together, so that two requests never wait for each other's other half.
	 *
	 * @param weight how many commands it runs at once
	 * @throws HttpProblem 400 where they never fit, 429 where too many wait, 503 after {@link close}
	 */
	async run<T>(weight: number, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
		if (weight > this.#parallelism) {
			const text = `cmd: ${weight} commands at once, and this server runs ${this.#parallelism} (--parallelism)`;
			throw new HttpProblem(400, "REQUEST_INVALID", text);
		}
		await this.#enter(weight, signal);
		try {
			return await work();
		} finally {
			this.#leave(weight);
		}
	}

	#enter(weight: number, signal: AbortSignal): Promise<void> {
		if (this.#closed) throw new HttpProblem(503, "SHUTTING_DOWN", "the server is shutting down", RETRY_AFTER);
		if (signal.aborted) throw cancelled();
		if (this.#waiting.length === 0 && this.#running + weight <= this.#parallelism) {
			this.#take(weight);
			return Promise.resolve();
		}
		if (this.#waiting.length >= this.#length) {
			throw new HttpProblem(429, "QUEUE_FULL", `${this.#length} requests wait already: try again`, RETRY_AFTER);
		}
		return new Promise((resolve, reject) => {
			const waiting: Waiting = {
				weight,
				start: () => {
					signal.removeEventListener("abort", give);
					this.#take(weight);
					resolve();
				},
			};
			const give = () => {
				this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
				reject(cancelled());
				this.#next(); // what was behind it may fit
			};
			signal.addEventListener("abort", give, { once: true });
			this.#waiting.push(waiting);
		});
	}

	#take(weight: number): void {
		this.#running += weight;
		this.#requests++;
	}

	#leave(weight: number): void {
		this.#running -= weight;
		this.#requests--;
		this.#next();
		if (this.#requests === 0 && this.#waiting.length === 0) this.#idle?.();
	}

	#next(): void {
		for (;;) {
			const [first] = this.#waiting;
			if (first === undefined || this.#running + first.weight > this.#parallelism) return;
			this.#waiting.shift();
			first.start();
		}
	}

	/** Takes no more; resolves when everything that ran or waited has ended. */
	close(): Promise<void> {
		this.#closed = true;
		if (this.#requests === 0 && this.#waiting.length === 0) return Promise.resolve();
		return new Promise((resolve) => {
			this.#idle = resolve;
		});
	}
}

/** Whoever asked is gone, or asked for it: nobody reads this. */
function cancelled(): HttpProblem {
	return new HttpProblem(500, "CANCELLED", "the request was cancelled");
}
