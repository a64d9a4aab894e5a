/** Bytes → a DNS query. Strict: one question, no compression, ordinary label bytes. RFC 1035 section 4, RFC 6891. Pure. */

const HEADER = 12;
const OPT = 41;
const MOST_LABEL_BYTES = 63;
const MOST_NAME_BYTES = 255;

export interface Query {
	readonly id: number;
	readonly recursionDesired: boolean;
	/** As the client wrote it, case and all, without a trailing dot; "" is the root. Only visible ASCII, no dot inside a label. */
	readonly name: string;
	readonly type: number;
	/** The question section as sent, to be repeated in the answer (a client may check the case: "0x20"). */
	readonly question: Uint8Array;
	/** Largest UDP answer the client takes; absent without EDNS. */
	readonly edns?: { readonly size: number };
}

export type ResponseCode = "NOERROR" | "FORMERR" | "SERVFAIL" | "NXDOMAIN" | "NOTIMP" | "REFUSED";

/** `drop`: not a query at all; no answer may be given, or two servers could answer each other for ever. */
export type ParsedQuery = Query | { readonly id: number; readonly refuse: ResponseCode } | "drop";

/** Never throws, whatever the bytes. */
export function parseQuery(packet: Uint8Array): ParsedQuery {
	if (packet.length < HEADER) return "drop";
	const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
	const id = view.getUint16(0);
	const flags = view.getUint16(2);
	if ((flags & 0x8000) !== 0) return "drop";
	if (((flags >> 11) & 0xf) !== 0) return { id, refuse: "NOTIMP" };
	const [questions, answers, authorities, additionals] = [
		view.getUint16(4),
		view.getUint16(6),
		view.getUint16(8),
		view.getUint16(10),
	];
	if (questions !== 1 || answers !== 0 || authorities !== 0 || additionals > 2) return { id, refuse: "FORMERR" };
	const name = readName(packet, HEADER);
	if (name === undefined || name.end + 4 > packet.length) return { id, refuse: "FORMERR" };
	if (view.getUint16(name.end + 2) !== 1) return { id, refuse: "REFUSED" }; // only class IN
	const end = name.end + 4;
	const edns = readEdns(view, end, additionals);
	if (edns === "malformed") return { id, refuse: "FORMERR" };
	return {
		id,
		recursionDesired: (flags & 0x0100) !== 0,
		name: name.text,
		type: view.getUint16(name.end),
		question: packet.slice(HEADER, end),
		...(edns === undefined ? {} : { edns }),
	};
}

function readName(packet: Uint8Array, start: number): { readonly text: string; readonly end: number } | undefined {
	const labels: string[] = [];
	let at = start;
	for (;;) {
		const length = packet[at++];
		if (length === undefined || length > MOST_LABEL_BYTES || at + length - start > MOST_NAME_BYTES) return undefined;
		if (length === 0) return { text: labels.join("."), end: at };
		const label = packet.subarray(at, at + length);
		// A dot or NUL inside a label would make one name look like another.
		if (label.length < length || label.some((byte) => byte <= 0x20 || byte >= 0x7f || byte === 0x2e)) return undefined;
		labels.push(String.fromCharCode(...label));
		at += length;
	}
}

/** The OPT record, if it comes first: with another additional record (TSIG) before it, EDNS goes unnoticed and harms nobody. */
function readEdns(view: DataView, at: number, additionals: number): { size: number } | undefined | "malformed" {
	if (additionals === 0) return undefined;
	if (at + 11 > view.byteLength) return "malformed";
	if (view.getUint8(at) !== 0 || view.getUint16(at + 1) !== OPT) return undefined;
	if (at + 11 + view.getUint16(at + 9) > view.byteLength) return "malformed";
	return { size: view.getUint16(at + 3) };
}
