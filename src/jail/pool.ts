/** Several jails of one policy: each program gets one that is free, or waits for one. */

import { VmjailError } from "../errors.ts";
import type { Policy } from "../policy/types.ts";
import { RUNLC } from "./ending.ts";
import { type ExecOptions, type ExecResult, notRun } from "./execution.ts";
import { Jail, type JailOptions } from "./jail.ts";
import { closeTaken } from "./stdio.ts";

export interface PoolOptions extends Omit<JailOptions, "signal"> {
	/** Jails, and so programs at one time. They are opened when they are first needed. */
	readonly size: number;
	/** Programs after which a jail is replaced by a new one. Default: never. */
	readonly maxUses?: number;
}

interface Held {
	readonly jail: Jail;
	uses: number;
}

/** "go": it is its turn. */
type Turn = "go" | "cancelled" | "closed";

export class Pool {
	readonly #policy: Policy;
	readonly #options: PoolOptions;
	readonly #idle: Held[] = [];
	readonly #all = new Set<Held>();
	readonly #queue = new Set<(turn: Turn) => void>();
	/** Jails on their way out, and programs on theirs. */
	readonly #leaving = new Set<Promise<unknown>>();
	/** Jails that are being closed. */
	readonly #closing = new Set<Promise<unknown>>();
	/** Ports of the host that a jail of this policy takes: the next one can have them when it is gone. */
	readonly #ports: readonly string[];
	#running = 0;
	#closed = false;

	/**
	 * @throws VmjailError USAGE for a size or a number of uses that is no positive whole number, and for more than one jail
	 *   of a policy that publishes ports: a port of the host is one jail's
	 */
	constructor(policy: Policy, options: PoolOptions) {
		for (const [name, value] of Object.entries({ size: options.size, maxUses: options.maxUses ?? 1 })) {
			if (Number.isSafeInteger(value) && value > 0) continue;
			throw new VmjailError("USAGE", `${name}: ${value} is no number of them`, { remedy: "Give 1 or more." });
		}
		this.#policy = policy;
		this.#options = options;
		this.#ports = portsOf(policy);
		if (this.#ports.length === 0 || options.size === 1) return;
		const what = "security.network.policy.listen";
		throw new VmjailError("USAGE", `${what}: ${options.size} jails cannot all have port ${this.#ports.join(", ")}`, {
			remedy: "Use one jail (size: 1, or vmjail serve --parallelism 1), or take the port out of the policy.",
		});
	}

	/** Programs that run now. */
	get running(): number {
		return this.#running;
	}

	/** Programs that wait for a jail. */
	get waiting(): number {
		return this.#queue.size;
	}

	/**
	 * Opens every jail now, so that the first programs need not wait for one.
	 *
	 * @throws VmjailError as Jail.open does
	 */
	async open(): Promise<void> {
		const lacking = Math.max(0, this.#options.size - this.#all.size);
		const opened = await Promise.allSettled(Array.from({ length: lacking }, () => this.#openJail()));
		for (const one of opened) if (one.status === "fulfilled") this.#giveBack(one.value);
		for (const one of opened) if (one.status === "rejected") throw one.reason;
	}

	/**
	 * As Jail.exec, in a jail that is free. Where none is, it waits for its turn, first come, first served; the signal
	 * takes it out of the queue, with the outcome `cancelled`.
	 *
	 * @throws VmjailError as Jail.open and Jail.exec do; JAIL_CLOSED where the pool is closed
	 */
	exec(command: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
		return this.#whileOpen(this.#exec(command, options));
	}

	async #exec(command: readonly string[], options: ExecOptions): Promise<ExecResult> {
		try {
			const now = this.#turn(options.signal);
			const turn = typeof now === "string" ? now : await now;
			if (turn === "closed") throw closed();
			if (turn === "cancelled") return notRun(RUNLC, [], []);
			return await this.#execNow(command, options);
		} finally {
			closeTaken(options);
		}
	}

	async #execNow(command: readonly string[], options: ExecOptions): Promise<ExecResult> {
		try {
			const held = this.#takeIdle() ?? (await this.#openJail());
			try {
				held.uses++;
				return await held.jail.exec(command, options);
			} finally {
				this.#giveBack(held);
			}
		} finally {
			this.#running--;
			this.#next();
		}
	}

	/** At once, or when fewer programs run than there are jails; with "go" this one counts from then on. */
	#turn(signal: AbortSignal | undefined): Turn | Promise<Turn> {
		if (this.#closed) return "closed";
		if (signal?.aborted) return "cancelled";
		if (this.#running < this.#options.size) {
			this.#running++;
			return "go";
		}
		return new Promise((resolve) => {
			const settle = (turn: Turn) => {
				signal?.removeEventListener("abort", cancel);
				this.#queue.delete(settle);
				if (turn === "go") this.#running++;
				resolve(turn);
			};
			const cancel = () => settle("cancelled");
			signal?.addEventListener("abort", cancel, { once: true });
			this.#queue.add(settle);
		});
	}

	#next(): void {
		const [first] = this.#queue;
		if (first !== undefined && this.#running < this.#options.size) first("go");
	}

	/** One that works: some may have broken while nothing ran in them. */
	#takeIdle(): Held | undefined {
		for (;;) {
			const held = this.#idle.shift();
			if (held === undefined || !held.jail.broken) return held;
			this.#giveBack(held);
		}
	}

	async #openJail(): Promise<Held> {
		const { size: _, maxUses: __, ...options } = this.#options;
		if (this.#ports.length > 0) await Promise.allSettled(this.#closing);
		const held: Held = { jail: await Jail.open(this.#policy, options), uses: 0 };
		this.#all.add(held);
		return held;
	}

	/** Back among the free ones; worn out or broken it goes, and the next program opens another. */
	#giveBack(held: Held): void {
		const { maxUses = Number.POSITIVE_INFINITY } = this.#options;
		if (!held.jail.broken && held.uses < maxUses && !this.#closed) {
			this.#idle.push(held);
			return;
		}
		this.#all.delete(held);
		const closing = this.#whileOpen(held.jail.close()).catch(() => undefined);
		this.#closing.add(closing);
		void closing.then(() => this.#closing.delete(closing));
	}

	/** {@link close} waits for it. */
	#whileOpen<T>(promise: Promise<T>): Promise<T> {
		this.#leaving.add(promise);
		const forget = () => this.#leaving.delete(promise);
		promise.then(forget, forget);
		return promise;
	}

	/**
	 * Ends the programs that run (their outcome is `cancelled`), those that wait (JAIL_CLOSED), and all jails.
	 *
	 * @throws VmjailError EXECUTOR_FAILED where something of a jail could not be taken away
	 */
	async close(): Promise<void> {
		this.#closed = true;
		for (const settle of [...this.#queue]) settle("closed");
		const ending = [...this.#all].map(({ jail }) => jail.close());
		this.#all.clear();
		this.#idle.length = 0;
		const ended = await Promise.allSettled(ending);
		await Promise.allSettled(this.#leaving);
		for (const one of ended) if (one.status === "rejected") throw one.reason;
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.close();
	}
}

function portsOf({ security: { network } }: Policy): readonly string[] {
	if (network.mode !== "hostwithpolicy") return [];
	return network.policy.listen.map(({ hostPort }) => `${hostPort}`);
}

function closed(): VmjailError {
	return new VmjailError("JAIL_CLOSED", "the pool is closed", { remedy: "Make another one." });
}
