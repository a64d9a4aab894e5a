/** Records between the relay's thread (native/addon/relay.h) and the decisions: both directions as plain calls. */

import { bytesOf, type Family, formatIp, ipOfBytes, parseIp } from "../ip.ts";

/** What the addon must be able to do. */
export interface RelayIo {
	/** Owns the listeners, and copies between what they accept and what verdicts name. */
	startRelay(
		listeners: readonly number[],
		options: {
			/** Most connections at a time, and most that wait for a verdict or a server. */
			readonly connections: number;
			readonly pending: number;
			/** 0: no limit. */
			readonly bytesPerSecond: number;
			/** Tell of every connection, not only of inspected ones. */
			readonly tellAll: boolean;
		},
		received: (records: Uint8Array) => void,
	): NativeRelay;
}

export interface NativeRelay {
	post(records: Uint8Array): void;
	/** Takes bytes of the rate; milliseconds to wait before more may be taken. */
	take(bytes: number): number;
	connections(): number;
	/** Has anything ever come to a listener? Once a listener is empty, this knows of all that came. */
	touched(): boolean;
	/** Resets every connection; the last records. */
	close(): Uint8Array;
}

/** What the thread tells. `ask` numbers a destination until it is forgotten, `connection` a connection until it is closed. */
export interface RelayEvents {
	ask(ask: number, address: string, port: number): void;
	opened(connection: number, ask: number, server: string): void;
	closed(connection: number, sent: number, received: number, durationMs: number): void;
	failed(ask: number, errno: number): void;
	/** A connection was turned away, since there are too many. */
	full(ask: number, address: string, port: number): void;
	forgotten(ask: number): void;
	/** Bytes of an inspected connection's client; no more come before they are answered. */
	data(connection: number, bytes: Uint8Array): void;
	/** The client has finished; to be answered like bytes. */
	ended(connection: number): void;
	/** The server's first twelve bytes. */
	answered(connection: number, first: Uint8Array): void;
}

const TELL = ["", "ask", "opened", "closed", "failed", "full", "forgotten", "data", "ended", "answered"] as const;
const POST = { verdict: 1, forward: 2, reset: 3 } as const;
const VERDICT = { allow: 1, inspect: 2 } as const;
const FORWARD = { answer: 1, done: 2, end: 4 } as const;

const HEAD = 8;
const ADDRESS = 24;
/** As many addresses of one destination as the thread tries. */
const MOST_ADDRESSES = 32;

export function readRecords(records: Uint8Array, events: RelayEvents): void {
	const view = new DataView(records.buffer, records.byteOffset, records.byteLength);
	for (let at = 0; at + HEAD <= records.length; ) {
		const length = view.getUint32(at + 4, true);
		const body = new DataView(records.buffer, records.byteOffset + at + HEAD, length);
		dispatch(TELL[view.getUint32(at, true)] ?? "", body, events);
		at += HEAD + ((length + 7) & ~7);
	}
}

function dispatch(kind: (typeof TELL)[number], body: DataView, events: RelayEvents): void {
	const number = (at: number) => body.getUint32(at, true);
	const rest = () => new Uint8Array(body.buffer, body.byteOffset + 4, body.byteLength - 4);
	switch (kind) {
		case "ask":
			events.ask(number(0), readAddress(body, 8), body.getUint16(10, true));
			break;
		case "full":
			events.full(number(0), readAddress(body, 8), body.getUint16(10, true));
			break;
		case "opened":
			events.opened(number(0), number(4), readAddress(body, 8));
			break;
		case "closed":
			events.closed(number(0), Number(body.getBigUint64(8, true)), Number(body.getBigUint64(16, true)), number(4));
			break;
		case "failed":
			events.failed(number(0), number(4));
			break;
		case "forgotten":
			events.forgotten(number(0));
			break;
		case "data":
			events.data(number(0), rest());
			break;
		case "ended":
			events.ended(number(0));
			break;
		case "answered":
			events.answered(number(0), rest());
			break;
		case "":
			throw new TypeError("a record of the relay's thread is of no known type");
		default:
			kind satisfies never;
	}
}

function readAddress(body: DataView, at: number): string {
	const size = body.getUint16(at, true) === 4 ? 4 : 16;
	return formatIp(ipOfBytes(new Uint8Array(body.buffer, body.byteOffset + at + 8, size)));
}

/** Records for the thread, gathered and then posted together. */
export class RelayPost {
	readonly #records: Uint8Array[] = [];

	/** `lifetimeMs`: how long the answer holds for further connections to the same destination. Without addresses: refused. */
	verdict(
		ask: number,
		to: { readonly addresses: readonly string[]; readonly port: number; readonly inspect: boolean } | undefined,
		lifetimeMs: number,
	): void {
		const ips = (to?.addresses ?? []).flatMap((text) => parseIp(text) ?? []).slice(0, MOST_ADDRESSES);
		const flags = to === undefined ? 0 : VERDICT.allow | (to.inspect ? VERDICT.inspect : 0);
		const view = this.#record(POST.verdict, 16 + ips.length * ADDRESS);
		for (const [i, value] of [ask, flags, lifetimeMs, ips.length].entries()) view.setUint32(HEAD + i * 4, value, true);
		for (const [i, ip] of ips.entries()) {
			const at = HEAD + 16 + i * ADDRESS;
			view.setUint16(at, ip.family satisfies Family, true);
			view.setUint16(at + 2, to?.port ?? 0, true);
			new Uint8Array(view.buffer, at + 8).set(bytesOf(ip));
		}
	}

	/** `answer`: of `data` or `ended`. `done`: the rest needs no inspection. `end`: nothing more comes. */
	forward(
		connection: number,
		bytes: readonly Uint8Array[],
		how: { readonly answer: boolean; readonly done: boolean; readonly end: boolean },
	): void {
		const flags = (how.answer ? FORWARD.answer : 0) | (how.done ? FORWARD.done : 0) | (how.end ? FORWARD.end : 0);
		const view = this.#record(POST.forward, 8 + bytes.reduce((sum, each) => sum + each.length, 0));
		view.setUint32(HEAD, connection, true);
		view.setUint32(HEAD + 4, flags, true);
		let at = HEAD + 8;
		for (const each of bytes) {
			new Uint8Array(view.buffer).set(each, at);
			at += each.length;
		}
	}

	reset(connection: number): void {
		this.#record(POST.reset, 4).setUint32(HEAD, connection, true);
	}

	/** All records so far, which are forgotten here. */
	take(): Uint8Array {
		return Buffer.concat(this.#records.splice(0));
	}

	#record(type: number, length: number): DataView {
		const bytes = new Uint8Array(HEAD + ((length + 7) & ~7));
		const view = new DataView(bytes.buffer);
		view.setUint32(0, type, true);
		view.setUint32(4, length, true);
		this.#records.push(bytes);
		return view;
	}
}
