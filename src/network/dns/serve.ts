/** A packet in, a packet out: what both transports share. */

import { type Answering, answer } from "./answer.ts";
import { parseQuery } from "./query.ts";
import { encodeRefusal, encodeReply } from "./response.ts";

/** Bytes of the response, or undefined where none may be given. Never rejects, whatever the bytes. */
export async function respond(
	context: Answering,
	packet: Uint8Array,
	transport: "udp" | "tcp",
): Promise<Uint8Array | undefined> {
	const query = parseQuery(packet);
	if (query === "drop") return undefined;
	if ("refuse" in query) return encodeRefusal(query.id, query.refuse);
	const reply = await answer(context, query);
	try {
		return encodeReply(query, reply, transport);
	} catch {
		// Somebody else's record that the wire cannot carry must not end the server.
		return encodeRefusal(query.id, "SERVFAIL");
	}
}
