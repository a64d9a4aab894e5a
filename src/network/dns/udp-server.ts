/** DNS by UDP, on a socket of G. */

import type { Socket } from "node:dgram";
import type { Answering } from "./answer.ts";
import { respond } from "./serve.ts";

/** Questions at a time; further ones are dropped, and the client asks again. */
const MOST_PENDING = 256;

/**
 * Serves on a socket that is bound already. Ends when the socket is closed.
 *
 * @param answering asked for each question
 */
export function serveDnsByUdp(socket: Socket, answering: () => Answering): void {
	let last: { readonly context: Answering; pending: number } | undefined;
	socket.on("message", async (packet, sender) => {
		const context = answering();
		const turn = last?.context === context ? last : { context, pending: 0 };
		last = turn;
		if (turn.pending >= MOST_PENDING) return;
		turn.pending++;
		try {
			const response = await respond(context, packet, "udp");
			if (response === undefined || context.isOver?.()) return;
			// A sender that is gone is no fault of ours.
			socket.send(response, sender.port, sender.address, () => undefined);
		} finally {
			turn.pending--;
		}
	});
	socket.on("error", () => undefined);
}
