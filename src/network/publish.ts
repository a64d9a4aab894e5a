/** Ports of the jail, published on the host: Node listens, and each connection is joined to one that leads into the jail. */

import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { VmjailError } from "../errors.ts";
import type { PublishedPort } from "../policy/types.ts";
import type { Report } from "./events.ts";
import { formatEndpoint } from "./ip.ts";
import { type Coupled, couple, pump, type Rate, reset as resetSocket } from "./relay/pump.ts";

/**
 * A connection to a port of the jail's loopback, allowHalfOpen. Rejects where nobody listens there. The socket must be made
 * inside S, so whoever holds the jail's pid 1 brings this along.
 */
export type DialJail = (port: number) => Promise<Duplex & Coupled>;

export interface Published {
	/** As asked for; `hostPort` is the real one where 0 was asked for. */
	readonly ports: readonly PublishedPort[];
	/** Resets every connection, and those that wait to be accepted. Resolves when all of them have been reported. */
	reset(): Promise<void>;
	/** Stops listening and resets every connection. */
	close(): Promise<void>;
}

const MOST_CONNECTIONS = 1024;

/** Whom a connection is for: the program that runs when it comes. */
export interface Publisher {
	readonly report: Report;
	readonly nextId: () => number;
	readonly rate: Rate;
}

interface Open {
	readonly clients: Set<Socket>;
	/** Those that reached a program: each resolves when both of its ends are gone. */
	readonly joined: Set<Promise<void>>;
}

interface PublishOptions {
	readonly dial: DialJail;
	/** Asked for each connection. */
	readonly publisher: () => Publisher;
}

/**
 * @throws VmjailError HOST_UNSUPPORTED where a port cannot be had (taken, privileged, an address that is not the host's); nothing is
 *   left listening then
 */
export async function publish(ports: readonly PublishedPort[], options: PublishOptions): Promise<Published> {
	const open: Open = { clients: new Set(), joined: new Set() };
	const servers: Server[] = [];
	const resets = { waiting: 0 };
	const reset = async (): Promise<void> => {
		// What waits is accepted in the next round of the event loop, and by the second of these that is over.
		resets.waiting++;
		setImmediate(() => setImmediate(() => resets.waiting--));
		for (const client of open.clients) resetSocket(client);
		await Promise.all(open.joined);
	};
	const close = async (): Promise<void> => {
		const closed = servers.map((server) => new Promise((resolve) => server.close(resolve)));
		for (const client of open.clients) resetSocket(client);
		await Promise.all(closed);
	};
	const published: PublishedPort[] = [];
	try {
		for (const port of ports) {
			const server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true });
			server.maxConnections = MOST_CONNECTIONS;
			server.on("connection", (client) => {
				if (resets.waiting > 0) resetSocket(client);
				else void join(client, port.jailPort, options, open);
			});
			await listen(server, port);
			servers.push(server);
			const address = server.address();
			published.push({
				...port,
				hostPort: typeof address === "object" && address !== null ? address.port : port.hostPort,
			});
		}
	} catch (error) {
		await close();
		throw error;
	}
	return { ports: published, reset, close };
}

async function listen(server: Server, { hostAddress, hostPort }: PublishedPort): Promise<void> {
	try {
		// "::" means IPv6 alone: IPv4 is published where it is asked for.
		server.listen({ host: hostAddress, port: hostPort, ipv6Only: true });
		await once(server, "listening");
		server.on("error", () => undefined);
	} catch (error) {
		const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
		throw new VmjailError(
			"HOST_UNSUPPORTED",
			`security.network.policy.listen: ${formatEndpoint(hostAddress, hostPort)}: ${code}`,
			{
				remedy: remedies[code] ?? "Publish on an address and a port that this host has free.",
				cause: error,
			},
		);
	}
}

const remedies: Readonly<Record<string, string>> = {
	EACCES: 'Publish on a port above 1023, as in "8080->80".',
	EADDRINUSE: 'Another program listens there: publish on another port, as in "8081->80".',
	EADDRNOTAVAIL: "Publish on an address that this host has.",
};

async function join(client: Socket, jailPort: number, { dial, publisher }: PublishOptions, open: Open): Promise<void> {
	open.clients.add(client);
	client.once("close", () => open.clients.delete(client));
	client.on("error", () => undefined);
	const { report, nextId, rate } = publisher();
	const peer = formatEndpoint(client.remoteAddress ?? "", client.remotePort ?? 0);
	const started = performance.now();
	let inside: Duplex & Coupled;
	try {
		inside = await dial(jailPort);
	} catch {
		resetSocket(client); // nobody listens in the jail
		return;
	}
	if (client.destroyed) return void inside.destroy();
	const id = nextId();
	report({ kind: "net.accept", id, peer, jailPort });
	const over = new Promise<void>((resolve) => couple(client, inside, resolve));
	pump(client, inside, rate);
	pump(inside, client, rate);
	client.resume();
	open.joined.add(over);
	await over;
	open.joined.delete(over);
	const durationMs = Math.round(performance.now() - started);
	// What the jail sent is what the client was sent.
	report({
		kind: "net.close",
		id,
		destination: peer,
		sent: client.bytesWritten,
		received: client.bytesRead,
		durationMs,
	});
}
