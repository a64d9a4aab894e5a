/** What a client speaks, from its first bytes. Pure. */

export type Spoken = "tls" | "http" | "opaque";

const MOST_METHOD_CHARACTERS = 256;
const MOST_LINE_BYTES = 16_384;

/**
 * "more": cannot be told yet. Errs towards "http" and "tls", which are then read strictly: what looks like a request that some lenient
 * server might take must not pass as "opaque".
 */
export function protocolOf(bytes: Uint8Array): Spoken | "more" {
	const [first, second, third, fourth] = bytes;
	if (first === undefined) return "more";
	if (first === 22) return second === undefined ? "more" : second === 3 ? "tls" : "opaque";
	// The ClientHello of SSL 2, in which old clients offered SSL 3 and TLS 1: no server name fits in.
	if (first >= 0x80) {
		if (fourth === undefined && (third === undefined || third === 1)) return "more";
		return third === 1 && fourth === 3 ? "tls" : "opaque";
	}
	return textProtocolOf(bytes);
}

function textProtocolOf(bytes: Uint8Array): Spoken | "more" {
	const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, MOST_LINE_BYTES + 1));
	const text = buffer.toString("latin1").replace(/^[\r\n\t ]+/, "");
	const end = text.search(/[\r\n]/);
	const line = end < 0 ? text : text.slice(0, end);
	if (/[^\t\x20-\x7e\x80-\xff]/.test(line)) return "opaque";
	if (end >= 0 || buffer.length > MOST_LINE_BYTES) return /HTTP\/\d/i.test(line) || end < 0 ? "http" : "opaque";
	const method = /^[^ \t]*/.exec(line)?.[0] ?? "";
	return method.length > MOST_METHOD_CHARACTERS || !/^[!#$%&'*+.^_`|~0-9A-Za-z-]*$/.test(method) ? "opaque" : "more";
}
