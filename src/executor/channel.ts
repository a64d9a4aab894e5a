/** One end of a socket to the executor: numbered frames out, checked frames in. */

import { closeSync } from "node:fs";
import type { Addon, WatchControl } from "./addon.ts";
import { decodeFrame, encodeFrame, type FrameHeader, type ReceivedHeader } from "./frames.ts";
import { MAX_FRAME, SIZE } from "./wire.ts";

export interface Incoming {
	readonly header: ReceivedHeader;
	readonly payload: Uint8Array;
	/** Belong to the receiver. */
	readonly descriptors: readonly number[];
}

interface Outgoing {
	readonly message: Uint8Array;
	readonly descriptors: readonly number[];
	/** To be closed once sent: the peer has its own copies. */
	readonly close: readonly number[];
}

export interface Request {
	readonly type: number;
	readonly sequence: number;
	readonly payload: Uint8Array;
	readonly descriptors?: readonly number[];
	/** Of `descriptors`, those that are of no more use here. */
	readonly close?: readonly number[] | undefined;
	readonly last?: boolean | undefined;
	/** Of an exec: renew the jail after it. */
	readonly reset?: boolean | undefined;
	/** Of an exec: it executes no program. */
	readonly errand?: boolean | undefined;
	/** Of an exec: by the process that waits. */
	readonly waiting?: boolean | undefined;
	/** Of a launch: the number of the new jail. */
	readonly jail?: number;
}

const NONE: readonly number[] = [];

/** What a channel needs of the addon. */
type Transport = Pick<Addon, "memfd" | "send" | "watch">;

export class Channel {
	readonly #addon: Transport;
	readonly #socket: number;
	readonly #jail: number;
	readonly #token: Uint8Array;
	readonly #control: WatchControl;
	readonly #onEnd: () => void;
	readonly #queue: Outgoing[] = [];
	#closed = false;

	/** Owns `socket`. `on.end` is called once, when the peer is gone or broke the protocol; not after {@link close}. */
	constructor(
		addon: Transport,
		socket: number,
		identity: { readonly jail: number; readonly token: Uint8Array },
		on: { readonly frame: (frame: Incoming) => void; readonly end: () => void },
	) {
		this.#addon = addon;
		this.#socket = socket;
		this.#jail = identity.jail;
		this.#token = identity.token;
		this.#onEnd = on.end;
		this.#control = addon.watch(socket, (message, descriptors) => {
			const frame = message === null ? undefined : decodeFrame(message);
			if (frame !== undefined && frame.header.descriptors === descriptors.length) {
				on.frame({ header: frame.header, payload: frame.payload, descriptors });
				return;
			}
			for (const descriptor of descriptors) closeSync(descriptor);
			this.close();
			on.end();
		});
	}

	/** A payload too large for one frame travels in a sealed memfd. */
	send(request: Request): void {
		const { payload, descriptors = NONE, close = NONE } = request;
		const large = payload.length > MAX_FRAME - SIZE.frameHeader;
		const memfd = large ? [this.#addon.memfd(payload)] : NONE;
		const header: FrameHeader = {
			type: request.type,
			sequence: request.sequence,
			jail: request.jail ?? this.#jail,
			token: this.#token,
			descriptors: descriptors.length + memfd.length,
			memfd: large,
			last: request.last,
			reset: request.reset,
			errand: request.errand,
			waiting: request.waiting,
		};
		const message = encodeFrame(header, large ? new Uint8Array() : payload);
		this.#queue.push(
			large
				? { message, descriptors: [...descriptors, ...memfd], close: [...close, ...memfd] }
				: { message, descriptors, close },
		);
		if (this.#queue.length === 1) this.#flush();
	}

	/** Sends what is queued; a full socket is tried again in a millisecond. */
	#flush(): void {
		for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
			if (!this.#closed && !this.#trySend(next)) {
				setTimeout(() => this.#flush(), 1);
				return;
			}
			this.#queue.shift();
			for (const descriptor of next.close) closeSync(descriptor);
		}
	}

	/** False where the socket is full. What cannot be sent at all ends the conversation, as if the peer were gone. */
	#trySend({ message, descriptors }: Outgoing): boolean {
		try {
			return this.#addon.send(this.#socket, message, descriptors);
		} catch (cause) {
			// EPIPE, ECONNRESET: the peer is gone, which the watch reports.
			const { code } = cause as NodeJS.ErrnoException;
			if (code !== "EPIPE" && code !== "ECONNRESET") {
				this.close();
				queueMicrotask(this.#onEnd);
			}
			return true;
		}
	}

	ref(): void {
		if (!this.#closed) this.#control("ref");
	}

	unref(): void {
		if (!this.#closed) this.#control("unref");
	}

	close(): void {
		if (this.#closed) return;
		this.#closed = true;
		this.#control("close");
	}
}
