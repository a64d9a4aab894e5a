/** All requests of an HTTP/1 connection, one after the other: a second request may name another host than the first. */

import { type HttpHead, MOST_HEAD_BYTES, parseHttpHead } from "./http-head.ts";

export type HttpProblem = { readonly host: string } | { readonly malformed: string };

export interface HttpStep {
	/** Bytes that may go on to the server. */
	readonly forward: readonly Uint8Array[];
	/** The connection must end here. */
	readonly problem?: HttpProblem;
	/** From here on the connection is a tunnel: nothing more to inspect. */
	readonly tunnel?: true;
}

type State =
	| { readonly kind: "head" }
	| { readonly kind: "body"; readonly left: number; readonly inChunk: boolean }
	| { readonly kind: "chunk-size" }
	| { readonly kind: "chunk-end" }
	| { readonly kind: "trailer" }
	/** An upgrade was asked for: the server's answer decides what the next bytes are. */
	| { readonly kind: "upgrade" }
	| { readonly kind: "tunnel" };

const MOST_LINE_BYTES = 8192;
const SWITCHING = "HTTP/1.1 101";

export class HttpStream {
	readonly #allows: (host: string) => boolean;
	#state: State = { kind: "head" };
	#held: Buffer = Buffer.alloc(0);
	#requests = 0;

	/** @param allows may a request name this host (as sent, without port)? */
	constructor(allows: (host: string) => boolean) {
		this.#allows = allows;
	}

	/** Bytes that wait for more: part of a head or line, or what follows a request to upgrade. */
	get held(): number {
		return this.#held.length;
	}

	/** The jail's bytes, in order. */
	push(chunk: Uint8Array): HttpStep {
		this.#held = this.#held.length === 0 ? viewOf(chunk) : Buffer.concat([this.#held, chunk]);
		const forward: Uint8Array[] = [];
		for (;;) {
			const problem = this.#advance(forward);
			if (problem === "more") return { forward };
			if (problem === "tunnel") return { forward: [...forward, this.#take(this.#held.length)], tunnel: true };
			if (problem !== undefined) return { forward, problem };
		}
	}

	/** The first bytes that the server sends (12 at least, or all there are). Returns what the jail may send on, now that this is known. */
	answered(first: Uint8Array): HttpStep {
		if (this.#state.kind !== "upgrade") return { forward: [] };
		const switched = Buffer.from(first).toString("latin1", 0, SWITCHING.length) === SWITCHING;
		this.#state = switched ? { kind: "tunnel" } : { kind: "head" };
		return this.push(new Uint8Array());
	}

	/** One step; undefined: go on. */
	#advance(forward: Uint8Array[]): HttpProblem | "more" | "tunnel" | undefined {
		const state = this.#state;
		switch (state.kind) {
			case "tunnel":
				return "tunnel";
			case "upgrade":
				return this.#held.length > MOST_HEAD_BYTES
					? { malformed: "the HTTP client does not wait for the answer to its upgrade" }
					: "more";
			case "head":
				return this.#head(forward);
			case "body":
				return this.#body(forward, state.left, state.inChunk);
			case "chunk-size":
			case "chunk-end":
			case "trailer":
				return this.#line(forward, state.kind);
			default:
				return state satisfies never;
		}
	}

	#head(forward: Uint8Array[]): HttpProblem | "more" | undefined {
		// RFC 9112 section 2.2: servers ignore empty lines before a request.
		while (this.#held.length >= 2 && this.#held[0] === 13 && this.#held[1] === 10) forward.push(this.#take(2));
		if (this.#held.length === 0) return "more";
		const head = parseHttpHead(this.#held);
		if (head === "more" || "malformed" in head) return head;
		const strange = head.hosts.find((host) => !this.#allows(host));
		if (strange !== undefined) return { host: strange };
		forward.push(this.#take(head.length));
		this.#requests++;
		this.#state = this.#after(head);
		return undefined;
	}

	#after(head: HttpHead): State {
		if (head.method === "CONNECT") return { kind: "tunnel" };
		// Answers come in the order of requests: only for the first is the first answer surely its own.
		if (head.websocket && this.#requests === 1 && head.body.kind === "none") return { kind: "upgrade" };
		if (head.body.kind === "chunked") return { kind: "chunk-size" };
		return head.body.kind === "length" && head.body.bytes > 0
			? { kind: "body", left: head.body.bytes, inChunk: false }
			: { kind: "head" };
	}

	#body(forward: Uint8Array[], left: number, inChunk: boolean): "more" | undefined {
		const part = this.#take(Math.min(left, this.#held.length));
		if (part.length > 0) forward.push(part);
		const rest = left - part.length;
		if (rest > 0) this.#state = { kind: "body", left: rest, inChunk };
		else this.#state = { kind: inChunk ? "chunk-end" : "head" };
		return rest > 0 ? "more" : undefined;
	}

	#line(forward: Uint8Array[], kind: "chunk-size" | "chunk-end" | "trailer"): HttpProblem | "more" | undefined {
		const end = this.#held.indexOf("\n", 0, "latin1");
		if (end < 0)
			return this.#held.length > MOST_LINE_BYTES ? { malformed: "a line of the HTTP body is too long" } : "more";
		const line = this.#held.toString("latin1", 0, end + 1);
		const next = afterLine(kind, line);
		if (next === undefined) return { malformed: "the chunks of the HTTP body are malformed" };
		forward.push(this.#take(end + 1));
		this.#state = next;
		return undefined;
	}

	#take(length: number): Uint8Array {
		const taken = this.#held.subarray(0, length);
		this.#held = this.#held.subarray(length);
		return taken;
	}
}

function afterLine(kind: "chunk-size" | "chunk-end" | "trailer", line: string): State | undefined {
	if (kind === "chunk-end") return line === "\r\n" ? { kind: "chunk-size" } : undefined;
	if (kind === "trailer") {
		if (line === "\r\n") return { kind: "head" };
		return /^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n$/.test(line) ? { kind: "trailer" } : undefined;
	}
	const [, size] = /^([0-9A-Fa-f]{1,12})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n$/.exec(line) ?? [];
	if (size === undefined) return undefined;
	const bytes = Number.parseInt(size, 16);
	return bytes === 0 ? { kind: "trailer" } : { kind: "body", left: bytes, inChunk: true };
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
	return Buffer.from(buffer, byteOffset, byteLength);
}
