import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { type NetworkEvent, reporter } from "../../src/network/events.ts";
import { type DialJail, publish } from "../../src/network/publish.ts";

const unlimited = { take: () => 0 };

const closers: (() => unknown)[] = [];
afterEach(async () => {
	for (const close of closers.splice(0).reverse()) await close();
});

async function jailServer(): Promise<number> {
	const server = createServer(
		{ allowHalfOpen: true },
		(socket) => void socket.on("error", () => undefined).pipe(socket),
	);
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	closers.push(() => server.close());
	return (server.address() as AddressInfo).port;
}

async function published(dial: DialJail, jailPort: number, events: NetworkEvent[] = []) {
	const report = reporter("j", (event) => events.push(event));
	const result = await publish([{ hostAddress: "127.0.0.1", hostPort: 0, jailPort }], {
		dial,
		publisher: () => ({ report, nextId: () => 1, rate: unlimited }),
	});
	closers.push(() => result.close());
	return { ...result, port: result.ports[0]?.hostPort ?? 0 };
}

const dial: DialJail = async (port) => {
	const socket: Socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
	await once(socket, "connect");
	return socket;
};

/** Unlike events.once, not put off by an error. */
function gone(socket: Socket): Promise<void> {
	return new Promise((resolve) => void socket.once("close", () => resolve()));
}

/** Rejects where the connection is refused. */
async function exchange(port: number, text: string): Promise<string> {
	const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
	const refused = new Promise<never>((_, reject) =>
		socket.on("error", (error: NodeJS.ErrnoException) => error.code === "ECONNREFUSED" && reject(error)),
	);
	let all = "";
	socket.on("data", (data) => {
		all += String(data);
	});
	socket.end(text);
	await Promise.race([gone(socket), refused]);
	return all;
}

describe("a published port", () => {
	it("leads into the jail, both directions, and is counted", async () => {
		const events: NetworkEvent[] = [];
		const { port } = await published(dial, await jailServer(), events);
		expect(await exchange(port, "hello")).toBe("hello");
		await expect
			.poll(() => events)
			.toMatchObject([
				{ kind: "net.accept", peer: expect.stringMatching(/^127\.0\.0\.1:/) },
				{ kind: "net.close", sent: 5, received: 5 },
			]);
	});

	it("resets where nobody listens in the jail", async () => {
		const { port } = await published(() => Promise.reject(new Error("ECONNREFUSED")), 1);
		expect(await exchange(port, "hello")).toBe("");
	});

	it("is closed with what is open", async () => {
		const { port, close } = await published(dial, await jailServer());
		const socket = connect(port, "127.0.0.1");
		socket.on("error", () => undefined);
		await once(socket, "connect");
		socket.write("x");
		await once(socket, "data");
		const reset = gone(socket);
		await close();
		await reset;
		await expect(exchange(port, "")).rejects.toMatchObject({ code: "ECONNREFUSED" });
	});

	it("that is taken is an error with a remedy, and leaves nothing listening", async () => {
		const taken = await jailServer();
		const free = await jailServer();
		await closers.pop()?.();
		const both = [free, taken].map((hostPort) => ({ hostAddress: "127.0.0.1", hostPort, jailPort: 1 }));
		await expect(
			publish(both, { dial, publisher: () => ({ report: () => undefined, nextId: () => 1, rate: unlimited }) }),
		).rejects.toMatchObject({
			code: "HOST_UNSUPPORTED",
			message: `security.network.policy.listen: 127.0.0.1:${taken}: EADDRINUSE`,
			remedy: expect.stringContaining("another port"),
		});
		await expect(exchange(free, "")).rejects.toMatchObject({ code: "ECONNREFUSED" });
	});
});
