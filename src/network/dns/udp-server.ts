/** DNS by UDP, on a socket of G. */

import type { Socket } from "node:dgram";
import type { Answering } from "./answer.ts";
import { respond } from "./serve.ts";

/** Questions at a time; further ones are dropped, and the client asks again. */
const MOST_PENDING = 256;

/** Serves on a socket that is bound already. Ends when the socket is closed. */
export function serveDnsByUdp(socket: Socket, context: Answering): void {
	let pending = 0;
	socket.on("message", async (packet, sender) => {
		if (pending >= MOST_PENDING) return;
		pending++;
		try {
			const response = await respond(context, packet, "udp");
			// A sender that is gone is no fault of ours.
			if (response !== undefined) socket.send(response, sender.port, sender.address, () => undefined);
		} finally {
			pending--;
		}
	});
	socket.on("error", () => undefined);
}
