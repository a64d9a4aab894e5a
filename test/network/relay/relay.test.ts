/** The relay on this machine's loopback: sockets that say they were meant for somewhere else. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { loadAddon } from "../../../src/executor/addon.ts";
import { Upstream } from "../../../src/network/dns/upstream.ts";
import { type NetworkEvent, reporter } from "../../../src/network/events.ts";
import { formatIp, type Ip, parseIp } from "../../../src/network/ip.ts";
import { JailNames } from "../../../src/network/jail-names.ts";
import { checkAddresses, interleave, ownAddresses } from "../../../src/network/relay/addresses.ts";
import type { RelayLimits } from "../../../src/network/relay/limits.ts";
import type { NativeRelay, RelayIo } from "../../../src/network/relay/native.ts";
import { TcpRelay } from "../../../src/network/relay/relay.ts";
import { compileRules } from "../../../src/network/rules.ts";
import { policyOf, type RuleTexts } from "../policy.ts";

const closers: (() => void)[] = [];
afterEach(() => {
	for (const close of closers.splice(0)) close();
});

async function listen(server: Server): Promise<number> {
	server.listen(0, "127.0.0.1");
	closers.push(() => server.close());
	await once(server, "listening");
	return (server.address() as AddressInfo).port;
}

/** A TCP connection whose far end is read by the caller. */
function open(port: number): Socket {
	const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
	socket.on("error", () => undefined);
	closers.push(() => socket.destroy());
	return socket;
}

const real: Readonly<Record<string, readonly string[]>> = {
	"private.test": ["10.0.0.1"],
	"three.test": ["9.1.1.1", "9.1.1.2", "9.1.1.3"],
};

interface Setup {
	readonly port: number;
	readonly relay: TcpRelay;
	readonly events: NetworkEvent[];
	/** The addresses of each verdict. */
	readonly dialled: string[];
}

/** The addon's thread, told that its clients all want `address:80`, and to reach every address at `server` instead. */
function redirected(address: string, there: readonly string[], port: number, dialled: string[]): RelayIo {
	const wanted = { address, port: 80 };
	return {
		startRelay(listeners, options, received) {
			const native: NativeRelay = loadAddon().startRelay(listeners, options, (records) => received(toWanted(records)));
			return { ...native, post: (records) => native.post(toServer(records)), close: () => toWanted(native.close()) };
		},
	};

	/** Rewrites the addresses of "ask" and "full". */
	function toWanted(records: Uint8Array): Uint8Array {
		return mapRecords(records, (type, body) => {
			if (type === 1 || type === 5) putAddress(body, 8, wanted.address, wanted.port);
		});
	}

	/** Rewrites the addresses of verdicts. */
	function toServer(records: Uint8Array): Uint8Array {
		return mapRecords(records, (type, body) => {
			if (type !== 1) return;
			for (let i = 0; i < body.getUint32(12, true); i++) {
				const at = 16 + i * 24;
				dialled.push([...new Uint8Array(body.buffer, body.byteOffset + at + 8, 4)].join("."));
				putAddress(body, at, there[i] ?? "127.0.0.1", port);
			}
		});
	}
}

function mapRecords(records: Uint8Array, change: (type: number, body: DataView) => void): Uint8Array {
	const copy = Uint8Array.from(records);
	const view = new DataView(copy.buffer);
	for (let at = 0; at < copy.length; at += 8 + ((view.getUint32(at + 4, true) + 7) & ~7))
		change(view.getUint32(at, true), new DataView(copy.buffer, at + 8, view.getUint32(at + 4, true)));
	return copy;
}

function putAddress(body: DataView, at: number, text: string, port: number): void {
	body.setUint16(at, 4, true);
	body.setUint16(at + 2, port, true);
	new Uint8Array(body.buffer, body.byteOffset + at + 8, 4).set(text.split(".").map(Number));
}

/** A listening socket that is nobody's but the relay's: a copy, as the executor would send it. */
async function listener(): Promise<{ readonly fd: number; readonly port: number }> {
	const addon = loadAddon();
	const server = createServer();
	const port = await listen(server);
	const { fd } = (server as unknown as { readonly _handle: { readonly fd: number } })._handle;
	const [here, there] = addon.socketpair();
	const copied = new Promise<number>((resolve) => {
		const control = addon.watch(there, (_message, descriptors) => {
			control("close");
			resolve(descriptors[0] ?? -1);
		});
	});
	addon.send(here, new Uint8Array(1), [fd]);
	closeSync(here);
	const copy = await copied;
	server.close();
	return { fd: copy, port };
}

/** A relay whose clients all want `address:80`, and which reaches every address at `serverPort` instead. */
async function setUp(
	texts: RuleTexts,
	address: string,
	serverPort: number,
	limits: Partial<RelayLimits> = {},
	there: readonly string[] = ["127.0.0.1"],
): Promise<Setup> {
	const rules = compileRules(policyOf(texts));
	const names = new JailNames(rules);
	for (const { name } of rules.dns) names.addressesOf(name);
	const events: NetworkEvent[] = [];
	const dialled: string[] = [];
	let id = 0;
	const found = (list: readonly string[]) => Promise.resolve(list.map((each) => ({ address: each, ttl: 9 })));
	const context = {
		rules,
		families: [4, 6] as const,
		names,
		upstream: new Upstream({
			resolve4: (name) => found(real[name] ?? ["9.1.1.1"]),
			resolve6: () => found([]),
			resolve: () => Promise.resolve([]),
		}),
		isOwn: (ip: Ip) => formatIp(ip) === "9.9.9.9",
		report: reporter("j", (event) => events.push(event)),
		nextId: () => ++id,
	};
	const { fd, port } = await listener();
	const io = redirected(address, there, serverPort, dialled);
	const relay = new TcpRelay(context, { io, listeners: [fd], limits, reportAll: true });
	closers.push(() => relay.close());
	return { port, relay, events, dialled };
}

const echo = () =>
	createServer({ allowHalfOpen: true }, (socket) => void socket.on("error", () => undefined).pipe(socket));

/** Unlike events.once, not put off by an error. */
function gone(socket: Socket): Promise<void> {
	return new Promise((resolve) => void socket.once("close", () => resolve()));
}

async function text(socket: Socket): Promise<string> {
	const chunks: Buffer[] = [];
	socket.on("data", (chunk: Buffer) => chunks.push(chunk));
	await gone(socket);
	return Buffer.concat(chunks).toString();
}

const NAME = "198.18.0.1";

describe("the relay", () => {
	it("joins both directions, half-closes, counts", async () => {
		const { port, relay, events, dialled } = await setUp({ dns: ["a.test:80"] }, NAME, await listen(echo()));
		const client = open(port);
		client.end("hello\n");
		expect(await text(client)).toBe("hello\n");
		await expect.poll(() => relay.connections).toBe(0);
		expect(dialled).toEqual(["9.1.1.1"]);
		await expect
			.poll(() => events)
			.toMatchObject([
				{ kind: "net.connect", destination: "a.test:80", rule: "dns a.test:80" },
				{ kind: "net.close", destination: "a.test:80", sent: 6, received: 6 },
			]);
	});

	it.each([
		["an address without a rule", {}, "9.1.1.1", "no-rule"],
		["a synthetic address without a name", { dns: ["a.test:80"] }, "198.18.0.9", "unknown-address"],
		["another port of the name", { dns: ["a.test:81"] }, NAME, "no-rule"],
		["a name that leads to a private address", { dns: ["private.test:80"] }, NAME, "special-address"],
		["an address of the host", { tcp: ["9.0.0.0/8:80"] }, "9.9.9.9", "own-address"],
		["a private address under a wide rule", { tcp: ["*:80"] }, "10.0.0.1", "no-rule"],
	] as const)("resets %s, and says why", async (_what, texts: RuleTexts, address, reason) => {
		const { port, events, dialled } = await setUp(texts, address, 1);
		const client = open(port);
		expect(await text(client)).toBe("");
		await expect.poll(() => events).toMatchObject([{ kind: "net.denied", reason }]);
		expect(dialled).toEqual([]);
	});

	it.each([
		["the very address of the host", { tcp: ["9.9.9.9:80"] }, "9.9.9.9"],
		["a private address that a rule names", { tcp: ["10.0.0.0/8:80"], dns: ["private.test:80"] }, NAME],
	] as const)("reaches %s", async (_what, texts: RuleTexts, address) => {
		const { port, dialled } = await setUp(texts, address, await listen(echo()));
		const client = open(port);
		client.end("x");
		expect(await text(client)).toBe("x");
		expect(dialled).toHaveLength(1);
	});

	it("resets the client when the server resets, and the server when the client does", async () => {
		const seen: string[] = [];
		const server = createServer((socket) => {
			socket.on("error", (error: NodeJS.ErrnoException) => seen.push(error.code ?? ""));
			socket.once("data", (data) => (String(data) === "reset" ? socket.resetAndDestroy() : undefined));
		});
		const { port } = await setUp({ tcp: ["9.1.1.1:80"] }, "9.1.1.1", await listen(server));
		const first = open(port);
		const failed = gone(first);
		first.on("error", (error: NodeJS.ErrnoException) => seen.push(`client ${error.code}`));
		first.write("reset");
		await failed;
		expect(seen).toEqual(["client ECONNRESET"]);
		const second = open(port);
		const [held] = await Promise.all([once(server, "connection"), second.write("stay")]);
		await once(held[0] as Socket, "data");
		second.resetAndDestroy();
		await expect.poll(() => seen).toEqual(["client ECONNRESET", "ECONNRESET"]);
	});

	it("holds a fast client back for a slow server", async () => {
		let held: Socket | undefined;
		const server = createServer((socket) => {
			held = socket.pause();
		});
		const { port } = await setUp({ tcp: ["9.1.1.1:80"] }, "9.1.1.1", await listen(server));
		const client = open(port);
		let sent = 0;
		const block = Buffer.alloc(1 << 16);
		while (sent < 1 << 30) {
			sent += block.length;
			if (client.write(block)) continue;
			const drained = await Promise.race([
				once(client, "drain").then(() => true),
				new Promise((resolve) => setTimeout(() => resolve(false), 500)),
			]);
			if (!drained) break;
		}
		expect(sent).toBeLessThan(64 << 20);
		held?.destroy();
	});

	it("refuses what is inspected, and passes on nothing of it", async () => {
		let received = "";
		const server = createServer(
			(socket) => void socket.on("error", () => undefined).on("data", (data) => (received += String(data))),
		);
		const { port, events } = await setUp({ dns: ["a.test:80"] }, NAME, await listen(server));
		const client = open(port);
		client.write("GET / HTTP/1.1\r\nHost: a.test\r\n\r\nGET / HTTP/1.1\r\nHost: evil.test\r\n\r\n");
		await text(client);
		await expect
			.poll(() => events.find(({ kind }) => kind === "net.denied"))
			.toMatchObject({
				reason: "host-header",
				wouldAllow: { flag: "--allow-dns evil.test:80" },
			});
		expect(received).not.toContain("evil");
	});

	it("gives up on a request that is begun and not finished", async () => {
		const { port, events } = await setUp({ dns: ["a.test:80"] }, NAME, await listen(echo()), { inspectionMs: 50 });
		const client = open(port);
		client.write("GET / HT");
		await text(client);
		await expect
			.poll(() => events.find(({ kind }) => kind === "net.denied"))
			.toMatchObject({
				reason: "malformed",
				message: expect.stringContaining("did not go on"),
			});
	});

	it("has a bound of connections, which frees itself", async () => {
		const { port, relay, events } = await setUp({ tcp: ["9.1.1.1:80"] }, "9.1.1.1", await listen(echo()), {
			connections: 2,
		});
		const first = [open(port), open(port)];
		await expect.poll(() => relay.connections).toBe(2);
		expect(await text(open(port))).toBe("");
		await expect.poll(() => events).toContainEqual(expect.objectContaining({ reason: "too-many" }));
		for (const socket of first) socket.destroy();
		await expect.poll(() => relay.connections).toBe(0);
		const again = open(port);
		again.end("x");
		expect(await text(again)).toBe("x");
	});

	it("closes everything when it is closed, connections on their way included", async () => {
		const { port, relay } = await setUp({ tcp: ["9.1.1.1:80"] }, "9.1.1.1", await listen(echo()));
		const client = open(port);
		await expect.poll(() => relay.connections).toBe(1);
		const closed = gone(client);
		relay.close();
		await closed;
		await expect.poll(() => relay.connections).toBe(0);
	});

	it("leaves nothing of 300 connections that come and go", async () => {
		const { port, relay, events } = await setUp({ tcp: ["9.1.1.1:80"] }, "9.1.1.1", await listen(echo()));
		for (let round = 0; round < 10; round++) {
			const all = Array.from({ length: 30 }, () => {
				const client = open(port);
				client.end("x");
				return text(client);
			});
			expect(new Set(await Promise.all(all))).toEqual(new Set(["x"]));
		}
		await expect.poll(() => relay.connections).toBe(0);
		await expect.poll(() => events.filter(({ kind }) => kind === "net.close")).toHaveLength(300);
	});
});

/** Clients and servers of every temper at once: what they do is drawn, and so is when they tire of it. */
describe("the relay among ruffians", () => {
	const acts = [
		(socket: Socket) => void socket.end(),
		(socket: Socket) => void socket.destroy(),
		(socket: Socket) => void socket.resetAndDestroy(),
		(socket: Socket) => void socket.write(Buffer.alloc(300_000)),
		(socket: Socket) => void socket.write("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"),
		(socket: Socket) => void socket.write("GET / HT"),
		(socket: Socket) => void socket.write(Buffer.from([22, 3, 1, 0, 5])),
		(socket: Socket) => void socket.pause(),
		(socket: Socket) => void socket.resume(),
	];

	function misbehave(socket: Socket): void {
		socket.on("error", () => undefined);
		socket.resume();
		const act = (left: number): void => {
			if (socket.destroyed) return;
			if (left === 0) return void socket.resetAndDestroy();
			acts[Math.floor(Math.random() * acts.length)]?.(socket);
			setTimeout(act, Math.random() * 20, left - 1);
		};
		act(8);
	}

	it.each([
		["by address", { tcp: ["9.1.1.1:80"] }, "9.1.1.1"],
		["by name, inspected", { dns: ["a.test:80"] }, NAME],
	] as const)("%s: serves 400 connections and has none left", async (_how, texts: RuleTexts, address) => {
		const server = createServer({ allowHalfOpen: true }, misbehave);
		const { port, relay, events } = await setUp(texts, address, await listen(server), { inspectionMs: 100 });
		for (let i = 0; i < 400; i++) {
			misbehave(open(port));
			if (i % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
		}
		await expect.poll(() => relay.connections, { timeout: 10_000 }).toBe(0);
		const count = (wanted: string) => events.filter(({ kind }) => kind === wanted).length;
		await expect.poll(() => count("net.close")).toBe(count("net.connect"));
		expect(count("net.connect")).toBeGreaterThan(100);
	});
});

describe("dialling", () => {
	it("tries IPv6 first, in turns", () => {
		expect(interleave(["1.1.1.1", "2.2.2.2", "::1"])).toEqual(["::1", "1.1.1.1", "2.2.2.2"]);
	});

	it("goes on at once after a refusal, and beside one that is silent", async () => {
		const port = await listen(echo());
		const silent = await fullListener("127.0.0.2", port);
		const setup = await setUp({ dns: ["three.test:80"] }, NAME, port, {}, ["127.0.0.3", "127.0.0.2", "127.0.0.1"]);
		const client = open(setup.port);
		client.end("x");
		expect(await text(client)).toBe("x");
		await expect
			.poll(() => setup.events)
			.toContainEqual(expect.objectContaining({ kind: "net.connect", address: "127.0.0.1" }));
		silent.close();
	});

	it("fails with the last error", async () => {
		const port = await listen(createServer());
		const { port: front, events } = await setUp({ dns: ["three.test:80"] }, NAME, port, {}, [
			"127.0.0.3",
			"127.0.0.4",
			"127.0.0.5",
		]);
		expect(await text(open(front))).toBe("");
		await expect
			.poll(() => events)
			.toMatchObject([{ kind: "net.failed", destination: "three.test:80", error: "connect ECONNREFUSED" }]);
	});
});

/** Listens, accepts nothing and has no room left: connections to it get no answer. */
async function fullListener(host: string, port: number): Promise<{ close(): void }> {
	const script = `import socket,sys,time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind((sys.argv[1], int(sys.argv[2]))); s.listen(0)
c = [socket.socket() for _ in range(4)]
for x in c:
  x.setblocking(False)
  x.connect_ex((sys.argv[1], int(sys.argv[2])))
print("full", flush=True); time.sleep(60)`;
	const child = spawn("python3", ["-c", script, host, String(port)], { stdio: ["ignore", "pipe", "inherit"] });
	closers.push(() => child.kill("SIGKILL"));
	await once(child.stdout, "data");
	return { close: () => void child.kill("SIGKILL") };
}

describe("addresses of a name", () => {
	const rules = compileRules(policyOf({ tcp: ["10.0.0.0/8:80"] }));
	it("are kept where they may be reached, and the first other one is named", () => {
		const isOwn = (ip: { readonly value: bigint }) => ip.value === parseIp("10.0.0.5")?.value;
		expect(checkAddresses(rules, "tcp", ["10.0.0.1", "10.0.0.5", "127.0.0.1", "9.1.1.1", "?"], 80, isOwn)).toEqual({
			allowed: ["10.0.0.1", "9.1.1.1"],
			refused: { reason: "own-address", address: "10.0.0.5" },
		});
		expect(checkAddresses(rules, "tcp", ["10.0.0.1"], 81, isOwn)).toEqual({
			allowed: [],
			refused: { reason: "special-address", address: "10.0.0.1" },
		});
	});

	it("are compared with the host's own, asked for every two seconds", () => {
		let now = 0;
		let asked = 0;
		const isOwn = ownAddresses(
			() => {
				asked++;
				return { eth0: [{ address: asked === 1 ? "9.1.1.1" : "9.2.2.2" } as never] };
			},
			() => now,
		);
		const is = (address: string) => {
			const ip = parseIp(address);
			return ip !== undefined && isOwn(ip);
		};
		expect([is("9.1.1.1"), is("9.2.2.2"), asked]).toEqual([true, false, 1]);
		now = 2000;
		expect([is("9.2.2.2"), asked]).toEqual([true, 2]);
	});

	it("may be any while the system does not tell, and what it tells afterwards", () => {
		const answers = [
			() => {
				throw Object.assign(new Error("too many open files"), { code: "EMFILE" });
			},
			() => ({ eth0: [{ address: "9.1.1.1" } as never] }),
		];
		const isOwn = ownAddresses(() => answers.shift()?.() ?? {});
		const [own, other] = [parseIp("9.1.1.1"), parseIp("9.2.2.2")];
		if (own === undefined || other === undefined) throw new Error("addresses");
		expect([isOwn(other), isOwn(other), isOwn(own)]).toEqual([true, false, true]);
	});
});

describe("the rate", () => {
	it("gives a burst of a tenth of a second at once, then as many bytes as time has passed", async () => {
		const { relay } = await setUp({}, NAME, 1, { bytesPerSecond: 1000 });
		expect(relay.take(90)).toBe(0);
		expect(relay.take(510)).toBeGreaterThan(450);
		expect(relay.take(0)).toBeLessThanOrEqual(501);
	});

	it("holds what the relay copies, in both directions together", async () => {
		const { port } = await setUp({ tcp: ["9.1.1.1:80"] }, "9.1.1.1", await listen(echo()), { bytesPerSecond: 400_000 });
		const client = open(port);
		const begun = performance.now();
		client.end(Buffer.alloc(100_000));
		expect(await text(client)).toHaveLength(100_000);
		// 200,000 bytes, of which a burst of 40,000 is free.
		expect(performance.now() - begun).toBeGreaterThan(350);
	});

	it("is none where none is set", async () => {
		const { relay } = await setUp({}, NAME, 1);
		expect(relay.take(1 << 30)).toBe(0);
	});
});
