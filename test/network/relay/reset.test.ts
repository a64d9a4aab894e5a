import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { reset } from "../../../src/network/relay/pump.ts";

describe("a connection whose end is on its way", () => {
	const server = createServer({ allowHalfOpen: true }, (socket) => void socket.on("error", () => undefined));

	beforeAll(async () => {
		server.listen(0, "127.0.0.1");
		await once(server, "listening");
	});
	afterAll(() => void server.close());

	/** What is heard of a socket that has just been ended and is then `reset`. */
	async function heard(resetIt: (socket: Socket) => unknown): Promise<readonly string[]> {
		const { port } = server.address() as AddressInfo;
		const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
		await once(socket, "connect");
		const events: string[] = [];
		socket.on("error", (error: NodeJS.ErrnoException) => events.push(error.code ?? "error"));
		const closed = new Promise<void>((resolve) => {
			socket.once("close", () => {
				events.push("close");
				resolve();
			});
		});
		socket.end("x");
		resetIt(socket);
		await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 300))]);
		return events;
	}

	// Node's own resetAndDestroy() reports EINVAL here (Node 20) and never closes the socket.
	it("is closed by ours", async () => {
		expect(await heard(reset)).toEqual(["close"]);
	});
});
