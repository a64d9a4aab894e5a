/**
 * The head of an HTTP/1 request (RFC 9112), read so strictly that no server can read another one out of the same bytes: lines
 * end in CRLF, no folding, no blank before a colon, one Host, one unambiguous length of the body. Pure.
 */

export interface HttpHead {
	readonly method: string;
	/** Hosts that the request names: the Host header, the authority of an absolute target. As sent, without port. */
	readonly hosts: readonly string[];
	readonly body:
		| { readonly kind: "none" }
		| { readonly kind: "length"; readonly bytes: number }
		| { readonly kind: "chunked" };
	readonly websocket: boolean;
	/** Bytes of the head, the blank line included. */
	readonly length: number;
}

export type HttpHeadResult = HttpHead | "more" | { readonly malformed: string };

export const MOST_HEAD_BYTES = 65_536;

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const requestLine = new RegExp(`^(${token}) ([\\x21-\\x7e]+) HTTP/1\\.([01])$`);
const headerLine = new RegExp(`^(${token}):[ \\t]*([\\t\\x20-\\x7e\\x80-\\xff]*?)[ \\t]*$`);

/** @param bytes what the client has sent since the end of its last request, leading empty lines removed */
export function parseHttpHead(bytes: Uint8Array): HttpHeadResult {
	const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const end = buffer.indexOf("\r\n\r\n", 0, "latin1");
	if (end < 0 || end + 4 > MOST_HEAD_BYTES) {
		return bytes.length > MOST_HEAD_BYTES
			? { malformed: `the head of the HTTP request is larger than ${MOST_HEAD_BYTES} bytes` }
			: "more";
	}
	const [first = "", ...lines] = buffer.toString("latin1", 0, end).split("\r\n");
	const [, method = "", target = "", minor] = requestLine.exec(first) ?? [];
	if (minor === undefined) return { malformed: requestLineFault(first) };
	const headers = readHeaders(lines);
	if (headers === undefined) return { malformed: "a header line of the HTTP request is malformed" };
	const body = bodyOf(headers, minor === "1");
	if ("malformed" in body) return body;
	const hosts = hostsOf(headers, method, target, minor === "1");
	if ("malformed" in hosts) return hosts;
	return { method, hosts: hosts.hosts, body, websocket: isWebsocket(headers), length: end + 4 };
}

function requestLineFault(line: string): string {
	return /HTTP\/2/i.test(line)
		? "HTTP/2 without TLS hides the hosts of its requests"
		: "the HTTP request line is malformed";
}

/** Lower-case name → its values in order. */
type Headers = ReadonlyMap<string, readonly string[]>;

function readHeaders(lines: readonly string[]): Headers | undefined {
	const headers = new Map<string, string[]>();
	for (const line of lines) {
		const [, name, value] = headerLine.exec(line) ?? [];
		if (name === undefined || value === undefined) return undefined;
		const values = headers.get(name.toLowerCase()) ?? [];
		headers.set(name.toLowerCase(), [...values, value]);
	}
	return headers;
}

function bodyOf(headers: Headers, modern: boolean): HttpHead["body"] | { readonly malformed: string } {
	const lengths = headers.get("content-length") ?? [];
	const codings = headers.get("transfer-encoding") ?? [];
	if (codings.length > 0) {
		if (lengths.length > 0 || codings.length > 1 || codings[0]?.toLowerCase() !== "chunked" || !modern) {
			return { malformed: "the length of the HTTP request's body is ambiguous" };
		}
		return { kind: "chunked" };
	}
	const [length, ...others] = lengths;
	if (length === undefined) return { kind: "none" };
	if (others.length > 0 || !/^\d{1,15}$/.test(length))
		return { malformed: "the length of the HTTP request's body is ambiguous" };
	return { kind: "length", bytes: Number(length) };
}

function hostsOf(
	headers: Headers,
	method: string,
	target: string,
	modern: boolean,
): { readonly hosts: readonly string[] } | { readonly malformed: string } {
	const fromHeader = headers.get("host") ?? [];
	if (fromHeader.length > 1 || (modern && fromHeader.length === 0))
		return { malformed: "the HTTP request must have exactly one Host" };
	const authority = authorityOf(method, target);
	if (authority === undefined) return { malformed: "the target of the HTTP request is malformed" };
	return { hosts: [...fromHeader, ...authority].map((host) => host.replace(/:\d*$/, "")) };
}

/** The authority of the request target, if its form has one (RFC 9112 section 3.2); undefined where it has no known form. */
function authorityOf(method: string, target: string): readonly string[] | undefined {
	if (method === "CONNECT") return [target];
	if (target.startsWith("/") || target === "*") return [];
	const [, authority] = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]+)/i.exec(target) ?? [];
	// user:password@host: what stands before the @ is no host, but some parser may think so.
	return authority === undefined || authority.includes("@") ? undefined : [authority];
}

function isWebsocket(headers: Headers): boolean {
	return (headers.get("upgrade") ?? []).join(",").toLowerCase() === "websocket";
}
