/** The HTTP server in front of a {@link Service}, and how it ends. */

import { createServer, type Server } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { appOf } from "./app.ts";
import type { Guard } from "./auth.ts";
import type { Service } from "./service.ts";
import { socketsOf } from "./socket.ts";

export interface FrontOptions {
	readonly service: Service;
	readonly guard: Guard;
	readonly version: string;
	readonly maxBodyBytes: number;
	readonly config: Readonly<Record<string, unknown>>;
	/** Takes upgrades that are its own; returns false for others. */
	readonly upgrade?: (...args: Parameters<ReturnType<typeof socketsOf>["upgrade"]>) => boolean;
}

export interface Front {
	/** To be given connections, or told where to listen. */
	readonly server: Server;
	/** Takes nothing more, finishes what it has, says goodbye. */
	drain(): Promise<void>;
}

/** A client has this long to send its request's head. */
const HEADERS_MS = 20_000;
/** An answer that is on its way has this long to get there, once everything has ended. */
const LINGER_MS = 2_000;

export function frontOf({ service, guard, version, maxBodyBytes, config, upgrade }: FrontOptions): Front {
	const app = appOf({ service, guard, version, maxBodyBytes, config });
	const sockets = socketsOf(service, guard, maxBodyBytes);
	const server = createServer({ headersTimeout: HEADERS_MS }, getRequestListener(app.fetch));
	server.on("upgrade", (request, socket, head) => {
		if (upgrade?.(request, socket, head) !== true) sockets.upgrade(request, socket, head);
	});
	return {
		server,
		async drain() {
			const closed = new Promise<void>((resolve) => server.close(() => resolve()));
			const idle = service.queue.close();
			server.closeIdleConnections();
			await idle;
			sockets.close();
			server.closeIdleConnections();
			const force = setTimeout(() => server.closeAllConnections(), LINGER_MS);
			await closed;
			clearTimeout(force);
		},
	};
}
