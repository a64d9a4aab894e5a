/**
 * The spare: one jail made ahead of its use, so that the next run of the same kind begins with its namespaces and groups.
 *
 * No program has run in it, and none can before it is finished: its pid 1 obeys nothing else. It has no mounts of its own
 * yet and knows no path, so whatever a run depends on is looked at when it runs. See docs/adr/0026.
 */

import { groupName } from "../cgroup/id.ts";
import { type EncodedProgram, encodeHalves, type Halves } from "../executor/encode.ts";
import type { JailProcess } from "../executor/jail-process.ts";
import type { Zygote } from "../executor/zygote.ts";
import type { Architecture } from "../host/types.ts";
import type { Plan } from "../plan/types.ts";
import { placesOf } from "./places.ts";

/** A spare that has not been used for so long is given up: an idle process is to hold nothing for ever. */
const MOST_IDLE_MS = 30_000;

/** What can be done ahead for all runs of one policy. */
export interface Ahead {
	readonly halves: Halves;
	/** The bytes of what is done ahead, but for the group's name: equal ones make equal jails. */
	readonly likeness: Uint8Array;
	/** The half to be launched, for a group of its own. */
	readonly named: (id: string) => EncodedProgram;
}

/**
 * @param jail the encoded plan
 * @param group the name in it, which is new and random: what stands there has been put there by the plan
 * @returns undefined where nothing can be done ahead
 */
export function aheadOf(plan: Plan, jail: EncodedProgram, group: string, arch: Architecture): Ahead | undefined {
	const { ahead: steps = 0, parentJail } = plan;
	if (steps === 0 || parentJail !== undefined) return undefined;
	const halves = encodeHalves(plan, jail, arch);
	if (placesOf(group, halves.rest.bytes).length > 0) return undefined;
	const { bytes } = halves.ahead;
	const places = placesOf(group, bytes);
	const withName = (name: Uint8Array) => {
		const copy = bytes.slice();
		for (const place of places) copy.set(name, place);
		return copy;
	};
	return {
		halves,
		likeness: withName(new Uint8Array(group.length)),
		named: (id) => ({ ...halves.ahead, bytes: withName(Buffer.from(groupName(id), "latin1")) }),
	};
}

function areAlike(a: Ahead, b: Ahead | undefined): boolean {
	return b !== undefined && (a === b || Buffer.compare(a.likeness, b.likeness) === 0);
}

/** A run's jail that was a spare. */
export interface Begun {
	readonly process: JailProcess;
	/** Of its control group. */
	readonly id: string;
}

interface Ready extends Begun {
	readonly ahead: Ahead;
	readonly timer: NodeJS.Timeout;
}

/** What it needs of a session. */
export interface SpareHost {
	readonly zygote: Pick<Zygote, "alive" | "launchAhead" | "use">;
	newGroupId(): string;
	/** Removes what an executor left behind that died. */
	sweepOwn(): Promise<void>;
}

/** At most one for each process; `soon` is told of kinds that have been run before only. */
export class Spare {
	readonly #host: SpareHost;
	#ready: Ready | undefined;
	#last: Ahead | undefined;
	#soon: NodeJS.Immediate | undefined;
	/** After one that came to nothing: on a host that is short of something, spares would be in the way. */
	#notBeforeMs = 0;
	readonly #leave = () => this.discard();

	constructor(host: SpareHost) {
		this.#host = host;
	}

	/** Is there one? For tests. */
	get isReady(): boolean {
		return this.#ready !== undefined;
	}

	/**
	 * The spare, if there is one of this kind and it can be told so, being finished: the caller's from now on, and nobody
	 * else's.
	 */
	begin(wanted: Ahead): Begun | undefined {
		const ready = this.#ready;
		if (ready === undefined || !areAlike(wanted, ready.ahead)) return undefined;
		this.#forget(ready);
		this.#host.zygote.use(ready.process);
		try {
			ready.process.finish(wanted.halves);
			return ready;
		} catch {
			ready.process.close();
			return undefined;
		}
	}

	/**
	 * A run of this kind has ended, and not the first. Another jail like its own is made when the caller has gone on. One of
	 * another kind stays, as long as kinds take turns: where this one has come twice in a row it takes the other's place.
	 */
	soon(ahead: Ahead): void {
		const inRow = areAlike(ahead, this.#last);
		this.#last = ahead;
		const other = this.#ready !== undefined && !areAlike(ahead, this.#ready.ahead);
		if (other && inRow) this.discard();
		if (this.#soon !== undefined || this.#ready !== undefined) return;
		this.#soon = setImmediate(() => {
			this.#soon = undefined;
			this.#make(ahead);
		});
	}

	/** Nobody has asked for it, so that it cannot be had (no more descriptors, say) is nobody's error. */
	#make(ahead: Ahead): void {
		if (!this.#host.zygote.alive || Date.now() < this.#notBeforeMs) return;
		try {
			const id = this.#host.newGroupId();
			const process = this.#host.zygote.launchAhead(ahead.named(id));
			this.#keep({ ahead, process, id });
			process.provide(ahead.halves);
		} catch {
			this.#rest();
			this.discard();
		}
	}

	#rest(): void {
		this.#notBeforeMs = Date.now() + MOST_IDLE_MS;
	}

	#keep(made: Omit<Ready, "timer">): void {
		const { process } = made;
		const timer = setTimeout(() => this.discard(), MOST_IDLE_MS).unref();
		const ready: Ready = { ...made, timer };
		this.#ready = ready;
		globalThis.process.once("beforeExit", this.#leave);
		process.end.then((end) => {
			if (this.#ready !== ready) return;
			this.#forget(ready);
			this.#rest();
			process.close();
			if (end === undefined) void this.#host.sweepOwn();
		});
	}

	/** Ends the spare, if there is one or is to be one; this process stays until it is gone. */
	discard(): void {
		clearImmediate(this.#soon);
		this.#soon = undefined;
		const ready = this.#ready;
		if (ready === undefined) return;
		this.#forget(ready);
		this.#host.zygote.use(ready.process);
		ready.process.close();
	}

	#forget({ timer }: Ready): void {
		this.#ready = undefined;
		clearTimeout(timer);
		globalThis.process.off("beforeExit", this.#leave);
	}
}
