/** A token bucket: bytes per second, with a burst of a tenth of a second. All connections of a jail share one. */
export class TokenBucket {
	readonly #bytesPerSecond: number;
	readonly #burst: number;
	readonly #now: () => number;
	#tokens: number;
	#since: number;

	/** @param now milliseconds, never going back */
	constructor(bytesPerSecond: number, now: () => number = () => performance.now()) {
		this.#bytesPerSecond = bytesPerSecond;
		this.#burst = Math.max(bytesPerSecond / 10, 1);
		this.#now = now;
		this.#tokens = this.#burst;
		this.#since = now();
	}

	/** Takes `bytes`, at once and all of them. Milliseconds to wait before taking again: 0 while there are tokens left. */
	take(bytes: number): number {
		const now = this.#now();
		this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#since) / 1000) * this.#bytesPerSecond);
		this.#since = now;
		this.#tokens -= bytes;
		return this.#tokens >= 0 ? 0 : Math.ceil((-this.#tokens / this.#bytesPerSecond) * 1000);
	}
}
