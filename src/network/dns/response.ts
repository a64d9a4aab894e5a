/** A DNS response → bytes. */

import {
	type Answer,
	encode,
	type OptAnswer,
	RECURSION_AVAILABLE,
	RECURSION_DESIRED,
	TRUNCATED_RESPONSE,
} from "dns-packet";
import type { Query, ResponseCode } from "./query.ts";

const codes: Readonly<Record<ResponseCode, number>> = {
	NOERROR: 0,
	FORMERR: 1,
	SERVFAIL: 2,
	NXDOMAIN: 3,
	NOTIMP: 4,
	REFUSED: 5,
};

/** What vmjail takes and sends by UDP at most: passes every link unfragmented (DNS flag day 2020). */
const UDP_SIZE = 1232;
const UDP_SIZE_WITHOUT_EDNS = 512;

/** RFC 8914: "Prohibited", the server is configured not to answer. */
const EXTENDED_ERROR = { option: 15, prohibited: 18 };

export interface Reply {
	readonly code: ResponseCode;
	readonly answers: readonly Answer[];
	/** The policy refused the name: said in the answer where the client understands EDNS. */
	readonly prohibited?: true;
}

/** The answer to a query that could not be read: a bare header. */
export function encodeRefusal(id: number, code: ResponseCode): Uint8Array {
	return encode({ type: "response", id, flags: codes[code] });
}

/** `transport` "udp": an answer too large for the client is cut to its header and question, with TC set. */
export function encodeReply(query: Query, reply: Reply, transport: "udp" | "tcp"): Uint8Array {
	const whole = assemble(query, reply, 0);
	const limit =
		query.edns === undefined
			? UDP_SIZE_WITHOUT_EDNS
			: Math.min(Math.max(query.edns.size, UDP_SIZE_WITHOUT_EDNS), UDP_SIZE);
	if (transport === "tcp" ? whole.length <= 0xffff : whole.length <= limit) return whole;
	return assemble(query, { ...reply, answers: [] }, TRUNCATED_RESPONSE);
}

function assemble(query: Query, reply: Reply, extraFlags: number): Uint8Array {
	const flags = codes[reply.code] | RECURSION_AVAILABLE | (query.recursionDesired ? RECURSION_DESIRED : 0) | extraFlags;
	const rest = encode({
		type: "response",
		id: query.id,
		flags,
		answers: [...reply.answers],
		additionals: query.edns === undefined ? [] : [optRecord(reply)],
	});
	// The question goes in as it came, byte for byte. No name in `rest` is compressed, so nothing points past it.
	const packet = Buffer.concat([rest.subarray(0, 12), query.question, rest.subarray(12)]);
	packet.writeUInt16BE(1, 4);
	return packet;
}

function optRecord(reply: Reply): OptAnswer {
	const info = Buffer.alloc(2);
	info.writeUInt16BE(EXTENDED_ERROR.prohibited);
	const options = reply.prohibited ? [{ code: EXTENDED_ERROR.option, data: info }] : [];
	return {
		name: ".",
		type: "OPT",
		udpPayloadSize: UDP_SIZE,
		extendedRcode: 0,
		ednsVersion: 0,
		flags: 0,
		flag_do: false,
		options,
	} as OptAnswer;
}
