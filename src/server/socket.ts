/** `/ws`: requests as messages, answered as they end; a message can cancel another. */

import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type RawData, type WebSocket, WebSocketServer } from "ws";
import { VmjailError } from "../errors.ts";
import type { Guard } from "./auth.ts";
import { HttpProblem, problemOf } from "./problem.ts";
import { checkRequest, parseJson } from "./request.ts";
import type { Service } from "./service.ts";

/** "The endpoint is going away" (RFC 6455, section 7.4.1). */
const GOING_AWAY = 1001;

interface Reply {
	readonly requestId: string;
	readonly results?: readonly unknown[];
	readonly error?: string;
}

/** One client. */
class Client {
	readonly #socket: WebSocket;
	readonly #service: Service;
	readonly #running = new Map<string, AbortController>();

	constructor(socket: WebSocket, service: Service) {
		this.#socket = socket;
		this.#service = service;
		socket.on("message", (data, isBinary) => void this.#message(data, isBinary));
		socket.on("error", (error) => service.log.debug({ err: error }, "websocket"));
		socket.on("close", () => {
			for (const running of this.#running.values()) running.abort();
		});
	}

	#reply(reply: Reply): void {
		if (this.#socket.readyState === this.#socket.OPEN) this.#socket.send(JSON.stringify(reply));
	}

	async #message(data: RawData, isBinary: boolean): Promise<void> {
		let requestId = "";
		try {
			if (isBinary) throw new HttpProblem(400, "REQUEST_SYNTAX", "expected a text message with JSON");
			const value = parseJson(data.toString());
			const cancelled = cancelledBy(value);
			if (cancelled !== undefined) {
				this.#running.get(cancelled)?.abort();
				return;
			}
			requestId = idOf(value);
			await this.#run(requestId, value);
		} catch (error) {
			this.#reply({ requestId, error: this.#explain(error) });
		}
	}

	async #run(requestId: string, value: unknown): Promise<void> {
		const request = checkRequest(value);
		if (requestId !== "" && this.#running.has(requestId)) {
			throw new HttpProblem(400, "REQUEST_INVALID", `requestId: ${JSON.stringify(requestId)} is running already`);
		}
		const cancel = new AbortController();
		// Requests without an id cannot be cancelled, but they end with the connection like the others.
		const key = requestId === "" ? `\0${this.#running.size}${performance.now()}` : requestId;
		this.#running.set(key, cancel);
		try {
			const results = await this.#service.run(request, request.encoding ?? "utf-8", cancel.signal);
			this.#reply({ requestId, results, ...(cancel.signal.aborted ? { error: "cancelled" } : {}) });
		} finally {
			this.#running.delete(key);
		}
	}

	#explain(error: unknown): string {
		if (error instanceof HttpProblem) return error.message;
		if (error instanceof VmjailError) return problemOf(error).message;
		this.#service.log.error({ err: error }, "internal error");
		return "internal error; the server's log has it";
	}
}

function cancelledBy(value: unknown): string | undefined {
	const id = (value as { readonly cancelRequestId?: unknown } | null)?.cancelRequestId;
	return typeof id === "string" && id !== "" ? id : undefined;
}

function idOf(value: unknown): string {
	const id = (value as { readonly requestId?: unknown } | null)?.requestId;
	return typeof id === "string" ? id : "";
}

export interface Sockets {
	/** For the "upgrade" event of an HTTP server. */
	upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
	/** Says goodbye to all clients. */
	close(): void;
}

/** An upgrade is answered by hand: there is no response object yet. */
function refuseUpgrade(socket: Duplex, { status, message }: Pick<HttpProblem, "status" | "message">): void {
	socket.on("error", () => {}); // whoever is refused may be gone already
	const body = `${message}\n`;
	socket.end(
		`HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
	);
}

export function headOf({ headers }: IncomingMessage): Parameters<Guard>[0] {
	const site = headers["sec-fetch-site"];
	return {
		authorization: headers.authorization,
		host: headers.host,
		origin: headers.origin,
		fetchSite: typeof site === "string" ? site : undefined,
	};
}

export function socketsOf(service: Service, guard: Guard, maxPayload: number): Sockets {
	const server = new WebSocketServer({ noServer: true, maxPayload });
	server.on("connection", (socket) => new Client(socket, service));
	return {
		upgrade(request, socket, head) {
			try {
				guard(headOf(request));
				if (request.url?.replace(/\?.*$/, "") !== "/ws")
					throw new HttpProblem(404, "NOT_FOUND", "there is no such socket");
				server.handleUpgrade(request, socket, head, (client) => server.emit("connection", client, request));
			} catch (error) {
				refuseUpgrade(socket, error instanceof HttpProblem ? error : { status: 500, message: "internal error" });
			}
		},
		close() {
			for (const client of server.clients) client.close(GOING_AWAY, "the server is shutting down");
			server.close();
		},
	};
}
