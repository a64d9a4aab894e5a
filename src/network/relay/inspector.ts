/** Holds a client's bytes until they show which server they are meant for: TLS server name, HTTP hosts. */

import { canonicalName } from "../../policy/names.ts";
import { show } from "../../policy/shown.ts";
import type { NameRule } from "../../policy/types.ts";
import type { DenialReason } from "../events.ts";
import { rulesForName } from "../name-rules.ts";
import { MOST_HELLO_BYTES, parseClientHello } from "./client-hello.ts";
import { type HttpProblem, type HttpStep, HttpStream } from "./http-stream.ts";
import { protocolOf } from "./protocol.ts";

export interface Inspection {
	/** Bytes that may go on to the server. */
	readonly forward: readonly Uint8Array[];
	/** The connection must be refused. */
	readonly refusal?: { readonly reason: DenialReason; readonly detail?: string };
	/** Nothing more to inspect: the rest may flow freely. */
	readonly done?: true;
}

/** Records in which a ClientHello may be spread, with room for their headers. */
const MOST_UNDECIDED_BYTES = 2 * MOST_HELLO_BYTES;

export class Inspector {
	readonly #rules: readonly NameRule[];
	#undecided = Buffer.alloc(0);
	#http: HttpStream | undefined;

	/** @param rules the rules that the connection came under: every name they cover is as good as another */
	constructor(rules: readonly NameRule[]) {
		this.#rules = rules;
	}

	/** Bytes held back. */
	get held(): number {
		return this.#undecided.length + (this.#http?.held ?? 0);
	}

	/** The client's bytes, in order. */
	push(chunk: Uint8Array): Inspection {
		if (this.#http !== undefined) return inspectionOf(this.#http.push(chunk));
		this.#undecided = Buffer.concat([this.#undecided, chunk]);
		const spoken = protocolOf(this.#undecided);
		switch (spoken) {
			case "more":
				return { forward: [] };
			case "opaque":
				return this.#release();
			case "tls":
				return this.#tls();
			case "http":
				this.#http = new HttpStream((host) => this.#covers(host));
				return inspectionOf(this.#http.push(this.#take()));
			default:
				return spoken satisfies never;
		}
	}

	/** The server's first bytes: 12 or more, unless it sends no more. */
	answered(first: Uint8Array): Inspection {
		return this.#http === undefined ? { forward: [] } : inspectionOf(this.#http.answered(first));
	}

	/** The client sends no more. What was held is no whole request or ClientHello: it goes on only if it is neither. */
	end(): Inspection {
		const harmless = this.#http === undefined && protocolOf(this.#undecided) === "more";
		return harmless ? this.#release() : { forward: [], done: true };
	}

	#tls(): Inspection {
		// 0x80 and above: a ClientHello of SSL 2.
		const hello = (this.#undecided[0] ?? 0) >= 0x80 ? { encrypted: false } : parseClientHello(this.#undecided);
		if (hello === "more") {
			const tooLong = this.#undecided.length > MOST_UNDECIDED_BYTES;
			return tooLong ? refuse("malformed", "the TLS ClientHello does not end") : { forward: [] };
		}
		if ("malformed" in hello) return refuse("malformed", hello.malformed);
		if (!("serverName" in hello) || hello.serverName === undefined) return refuse("no-server-name");
		return this.#covers(hello.serverName) ? this.#release() : refuse("server-name", safe(hello.serverName));
	}

	#release(): Inspection {
		const bytes = this.#take();
		return { forward: bytes.length > 0 ? [bytes] : [], done: true };
	}

	#take(): Uint8Array {
		const bytes = this.#undecided;
		this.#undecided = Buffer.alloc(0);
		return bytes;
	}

	#covers(host: string): boolean {
		const name = canonicalName(host);
		return "value" in name && rulesForName(this.#rules, name.value).length > 0;
	}
}

function inspectionOf({ forward, problem, tunnel }: HttpStep): Inspection {
	if (tunnel) return { forward, done: true };
	return problem === undefined ? { forward } : { ...refuseHttp(problem), forward };
}

function refuseHttp(problem: HttpProblem): Inspection {
	return "host" in problem ? refuse("host-header", safe(problem.host)) : refuse("malformed", problem.malformed);
}

function refuse(reason: DenialReason, detail?: string): Inspection {
	return { forward: [], refusal: { reason, ...(detail === undefined ? {} : { detail }) } };
}

/** The canonical name, or what was sent instead of one, escaped. */
function safe(host: string): string {
	const name = canonicalName(host);
	return "value" in name ? name.value : show(host);
}
