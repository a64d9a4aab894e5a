/** The server name in the first flight of TLS (RFC 8446 section 4.1.2, RFC 6066 section 3). Nothing is decrypted. Pure. */

export interface ClientHello {
	/** As sent; absent where the client names no server. */
	readonly serverName?: string;
	/** Encrypted Client Hello is offered, really or for show (GREASE): `serverName` is then the outer name. */
	readonly encrypted: boolean;
}

/** "more": the bytes end before the ClientHello does. `malformed`: no TLS implementation would send this. */
export type ClientHelloResult = ClientHello | "more" | { readonly malformed: string };

const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
const ENCRYPTED_CLIENT_HELLO = 0xfe0d;
const MOST_RECORD_BYTES = 16_384;
/** Post-quantum key shares take about 2 KiB; session tickets are of any size. */
export const MOST_HELLO_BYTES = 32_768;

class Malformed extends Error {}

/** @param bytes everything the client has sent so far; the first byte is 22 */
export function parseClientHello(bytes: Uint8Array): ClientHelloResult {
	try {
		const message = firstHandshakeMessage(bytes);
		return message === "more" ? "more" : readHello(new Reader(message));
	} catch (error) {
		if (error instanceof Malformed) return { malformed: error.message };
		throw error;
	}
}

/** The body of the first handshake message, put together from as many records as it is spread over. */
function firstHandshakeMessage(bytes: Uint8Array): Uint8Array | "more" {
	const parts: Uint8Array[] = [];
	let have = 0;
	let wanted: number | undefined;
	for (let at = 0; at + 5 <= bytes.length; ) {
		const length = ((bytes[at + 3] ?? 0) << 8) | (bytes[at + 4] ?? 0);
		if (bytes[at] !== HANDSHAKE || bytes[at + 1] !== 3)
			throw new Malformed("the TLS ClientHello is interrupted by another record");
		if (length === 0 || length > MOST_RECORD_BYTES) throw new Malformed("the TLS record has an impossible length");
		const part = bytes.subarray(at + 5, at + 5 + length);
		parts.push(part);
		have += part.length;
		at += 5 + length;
		if (wanted === undefined && have >= 4) wanted = messageLength(parts);
		if (wanted !== undefined && have >= 4 + wanted) return Buffer.concat(parts).subarray(4, 4 + wanted);
	}
	return "more";
}

function messageLength(parts: readonly Uint8Array[]): number {
	const head = Buffer.concat(parts);
	if (head[0] !== CLIENT_HELLO) throw new Malformed("the TLS connection does not begin with a ClientHello");
	const length = head.readUIntBE(1, 3);
	if (length > MOST_HELLO_BYTES) throw new Malformed(`the TLS ClientHello is larger than ${MOST_HELLO_BYTES} bytes`);
	return length;
}

function readHello(hello: Reader): ClientHello {
	hello.take(2 + 32); // version, random
	hello.vector(1); // session id
	hello.vector(2); // cipher suites
	hello.vector(1); // compression methods
	if (hello.empty) return { encrypted: false }; // before TLS had extensions
	const extensions = new Reader(hello.vector(2));
	if (!hello.empty) throw new Malformed("the TLS ClientHello has bytes after its extensions");
	const seen = new Map<number, Uint8Array>();
	while (!extensions.empty) {
		const type = extensions.number(2);
		const body = extensions.vector(2);
		if (seen.has(type)) throw new Malformed("the TLS ClientHello repeats an extension");
		seen.set(type, body);
	}
	const names = seen.get(SERVER_NAME);
	const encrypted = seen.has(ENCRYPTED_CLIENT_HELLO);
	return names === undefined ? { encrypted } : { serverName: readServerName(new Reader(names)), encrypted };
}

function readServerName(extension: Reader): string {
	const list = new Reader(extension.vector(2));
	const type = list.number(1);
	const name = list.vector(2);
	// One name of one type is all that was ever defined; servers differ in which of several they would take.
	if (type !== 0 || !list.empty || !extension.empty) throw new Malformed("the TLS ClientHello names several servers");
	return Buffer.from(name).toString("latin1");
}

class Reader {
	readonly #bytes: Uint8Array;
	#at = 0;

	constructor(bytes: Uint8Array) {
		this.#bytes = bytes;
	}

	get empty(): boolean {
		return this.#at === this.#bytes.length;
	}

	take(length: number): Uint8Array {
		if (this.#at + length > this.#bytes.length) throw new Malformed("the TLS ClientHello ends within a field");
		this.#at += length;
		return this.#bytes.subarray(this.#at - length, this.#at);
	}

	number(width: number): number {
		return this.take(width).reduce((sum, byte) => sum * 256 + byte, 0);
	}

	/** A field with its length, of `width` bytes, in front. */
	vector(width: number): Uint8Array {
		return this.take(this.number(width));
	}
}
