/** DNS by TCP (RFC 7766): messages with a length in front, several at a time, answered as they get ready. */

import { createServer, type Server, type Socket } from "node:net";
import { reset as resetSocket } from "../relay/pump.ts";
import type { Answering } from "./answer.ts";
import { respond } from "./serve.ts";

const limits = {
	connections: 64,
	/** A query is a header, one name, and options. */
	messageBytes: 1024,
	/** Questions of one connection at a time. */
	pending: 16,
	idleMs: 10_000,
	/** Answers that the client does not read. */
	unreadBytes: 1 << 20,
};

export interface DnsTcpServer {
	/** Not listening yet. */
	readonly server: Server;
	/** Ends every connection. */
	reset(): void;
	/** Stops listening and ends every connection. */
	close(): void;
}

/** @param answering asked for each connection */
export function dnsTcpServer(answering: () => Answering): DnsTcpServer {
	const open = new Set<Socket>();
	const server = createServer({ noDelay: true }, (socket) => {
		open.add(socket);
		socket.once("close", () => open.delete(socket));
		serve(socket, answering());
	});
	server.maxConnections = limits.connections;
	server.on("error", () => undefined);
	const reset = () => {
		for (const socket of open) resetSocket(socket);
	};
	return {
		server,
		reset,
		close() {
			server.close();
			reset();
		},
	};
}

function serve(socket: Socket, context: Answering): void {
	let buffered = Buffer.alloc(0);
	let pending = 0;
	socket.setTimeout(limits.idleMs, () => socket.destroy());
	socket.on("error", () => undefined);
	socket.on("data", (chunk) => {
		buffered = Buffer.concat([buffered, chunk]);
		take();
	});

	function take(): void {
		while (pending < limits.pending && buffered.length >= 2) {
			const length = buffered.readUInt16BE();
			if (length > limits.messageBytes) return void socket.destroy();
			if (buffered.length < 2 + length) break;
			const packet = buffered.subarray(2, 2 + length);
			buffered = buffered.subarray(2 + length);
			pending++;
			void reply(packet);
		}
		if (pending >= limits.pending) socket.pause();
	}

	async function reply(packet: Uint8Array): Promise<void> {
		const response = await respond(context, packet, "tcp");
		pending--;
		if (socket.destroyed) return;
		if (response === undefined || socket.writableLength > limits.unreadBytes) return void socket.destroy();
		const length = Buffer.alloc(2);
		length.writeUInt16BE(response.length);
		socket.write(Buffer.concat([length, response]));
		socket.resume();
		take();
	}
}
