import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { Upstream } from "../../../src/network/dns/upstream.ts";
import { type NetworkEvent, reporter } from "../../../src/network/events.ts";
import { ipOfBytes, parseIp } from "../../../src/network/ip.ts";
import { JailNames } from "../../../src/network/jail-names.ts";
import { compileRules } from "../../../src/network/rules.ts";
import { type Endpoint, udpPacket } from "../../../src/network/udp/packet.ts";
import { type DatagramIo, type UdpPort, udpPort } from "../../../src/network/udp/port.ts";
import { UdpRelay } from "../../../src/network/udp/relay.ts";
import { parseSocketAddress } from "../../../src/network/udp/socket-address.ts";
import { policyOf, type RuleTexts } from "../policy.ts";

function endpoint(address: string, port: number): Endpoint {
	const ip = parseIp(address);
	if (ip === undefined) throw new Error(address);
	return { ip, port };
}

/** One's complement sum: all ones for a packet whose checksum is right. */
function sum(bytes: Uint8Array): number {
	let total = 0;
	for (let i = 0; i < bytes.length; i += 2) total += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
	while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
	return total;
}

describe("a datagram as a packet", () => {
	it("has the right checksum and lengths in both families", () => {
		const address = fc
			.constantFrom(4, 16)
			.chain((length) =>
				fc.tuple(
					fc.uint8Array({ minLength: length, maxLength: length }),
					fc.uint8Array({ minLength: length, maxLength: length }),
				),
			);
		fc.assert(
			fc.property(
				address,
				fc.nat(65_535),
				fc.nat(65_535),
				fc.uint8Array({ maxLength: 300 }),
				([a, b], p, q, payload) => {
					const [from, to] = [ipOfBytes(a), ipOfBytes(b)];
					fc.pre(from.family === to.family);
					const packet = udpPacket(payload, { ip: from, port: p }, { ip: to, port: q }) ?? new Uint8Array();
					const header = from.family === 4 ? 20 : 40;
					const datagram = packet.subarray(header);
					const pseudo = Buffer.concat([a, b, Buffer.from([0, 17, datagram.length >> 8, datagram.length & 255])]);
					expect(sum(Buffer.concat([pseudo, datagram]))).toBe(0xffff);
					expect(Buffer.from(datagram).readUInt16BE(4)).toBe(8 + payload.length);
					expect(packet.length).toBe(header + 8 + payload.length);
					expect(Buffer.from(packet).readUInt16BE(from.family === 4 ? 2 : 4)).toBe(
						from.family === 4 ? packet.length : datagram.length,
					);
				},
			),
		);
	});

	it("is at most 65,535 bytes", () => {
		const [a, b] = [endpoint("1.1.1.1", 1), endpoint("2.2.2.2", 2)];
		expect(udpPacket(Buffer.alloc(65_507), a, b)).toHaveLength(65_535);
		expect(udpPacket(Buffer.alloc(65_508), a, b)).toBeUndefined();
	});
});

describe("socket addresses", () => {
	it.each([
		[[2, 0, 0, 53, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0], endpoint("1.2.3.4", 53)],
		[[10, 0, 1, 1, 0, 0, 0, 0, ...new Array(15).fill(0), 1, 0, 0, 0, 0], endpoint("::1", 257)],
		[[1, 0, 0, 53, 1, 2, 3, 4], undefined],
		[[10, 0, 0, 53, 1, 2, 3, 4], undefined],
		[[2, 0], undefined],
	])("%j", (bytes, expected) => {
		expect(parseSocketAddress(Uint8Array.from(bytes))).toEqual(expected);
	});
});

describe("the port", () => {
	it("hears the jail alone, and answers by the family's raw socket", () => {
		const sent: [number, number][] = [];
		const closed: number[] = [];
		let receive: Parameters<DatagramIo["receive"]>[1] = () => undefined;
		const io: DatagramIo = {
			receive: (fd, received) => {
				receive = received;
				return () => closed.push(fd);
			},
			send: (fd, packet) => sent.push([fd, packet.length]) > 0,
			close: (fd) => closed.push(fd),
		};
		const port = udpPort(io, { 4: { receive: 7, send: 8 } });
		const heard: number[] = [];
		port.onDatagram((payload) => heard.push(payload.length));
		const address = (...octets: readonly number[]) => Uint8Array.from([2, 0, 0, 9, ...octets]);
		receive(Buffer.alloc(3), address(198, 19, 255, 254), address(1, 1, 1, 1));
		receive(Buffer.alloc(4), address(10, 0, 0, 1), address(1, 1, 1, 1));
		receive(Buffer.alloc(5), address(198, 19, 255, 254), new Uint8Array());
		expect(heard).toEqual([3]);
		port.send(Buffer.alloc(2), endpoint("1.1.1.1", 1), endpoint("198.19.255.254", 9));
		port.send(Buffer.alloc(2), endpoint("::2", 1), endpoint("fd76:6d6a:6169:6c00::2", 9));
		expect(sent).toEqual([[8, 30]]);
		port.close();
		expect(closed).toEqual([7, 8]);
	});
});

describe("the UDP relay", () => {
	const closers: (() => void)[] = [];
	afterEach(() => {
		for (const close of closers.splice(0)) close();
	});

	async function echoServer(): Promise<number> {
		const server = createSocket("udp4");
		server.on("message", (message, { port, address }) => server.send(message, port, address));
		server.bind(0, "127.0.0.1");
		await once(server, "listening");
		closers.push(() => server.close());
		return server.address().port;
	}

	function setUp(texts: RuleTexts, create?: () => Socket, rate = { take: (_bytes: number) => 0 }) {
		const rules = compileRules(policyOf(texts));
		const names = new JailNames(rules);
		for (const { name } of rules.dns) names.addressesOf(name);
		const events: NetworkEvent[] = [];
		const answers: string[] = [];
		let deliver: Parameters<UdpPort["onDatagram"]>[0] = () => undefined;
		const port: UdpPort = {
			onDatagram: (handler) => {
				deliver = handler;
			},
			send: (payload, from, to) => void answers.push(`${from.port}>${to.port} ${Buffer.from(payload)}`),
			close: () => undefined,
		};
		const found = (list: readonly string[]) => Promise.resolve(list.map((address) => ({ address, ttl: 9 })));
		let id = 0;
		const relay = new UdpRelay(
			{
				rules,
				families: [4, 6],
				names,
				upstream: new Upstream({
					resolve4: () => found(["127.0.0.1"]),
					resolve6: () => found([]),
					resolve: () => Promise.resolve([]),
				}),
				isOwn: () => false,
				report: reporter("j", (event) => events.push(event)),
				nextId: () => ++id,
			},
			port,
			rate,
			create,
		);
		closers.push(() => relay.close());
		const jail = (p: number) => endpoint("198.19.255.254", p);
		return {
			relay,
			events,
			answers,
			send: (text: string, from: number, to: Endpoint) => deliver(Buffer.from(text), jail(from), to),
		};
	}

	it("loses what is beyond the rate, in both directions", async () => {
		const server = await echoServer();
		let left = 25;
		const rate = {
			take(bytes: number): number {
				left -= bytes;
				return left >= 0 ? 0 : 1;
			},
		};
		const { relay, answers, send } = setUp({ udp: [`127.0.0.1:${server}`] }, undefined, rate);
		for (let i = 0; i < 10; i++) send("1234567890", 1000, endpoint("127.0.0.1", server));
		await expect.poll(() => left).toBeLessThan(0);
		await new Promise((resolve) => setTimeout(resolve, 100));
		expect(answers).toEqual([]);
		left = 25;
		send("1234567890", 1000, endpoint("127.0.0.1", server));
		await expect.poll(() => answers).toHaveLength(1);
		relay.close();
	});

	it("carries each flow by a socket of its own and answers from where it was sent to", async () => {
		const server = await echoServer();
		const { relay, events, answers, send } = setUp({ udp: [`127.0.0.1:${server}`] });
		for (const from of [1000, 1001]) for (const text of ["a", "b"]) send(text, from, endpoint("127.0.0.1", server));
		await expect
			.poll(() => answers.toSorted())
			.toEqual([`${server}>1000 a`, `${server}>1000 b`, `${server}>1001 a`, `${server}>1001 b`]);
		expect(relay.flows).toBe(2);
		relay.close();
		expect(events.filter(({ kind }) => kind === "net.close")).toMatchObject([
			{ sent: 2, received: 2 },
			{ sent: 2, received: 2 },
		]);
	});

	it("refuses what no rule covers, and names that lead where no rule does", async () => {
		const { relay, events, send } = setUp({ udp: ["*:123"], dns: ["a.test:1"] });
		send("x", 1000, endpoint("9.1.1.1", 124));
		send("x", 1000, endpoint("10.0.0.1", 123));
		send("x", 1000, endpoint("198.18.0.1", 123));
		await expect
			.poll(() => events)
			.toMatchObject([
				{ kind: "net.denied", reason: "no-rule", destination: "9.1.1.1:124" },
				{ kind: "net.denied", reason: "no-rule", destination: "10.0.0.1:123" },
				{ kind: "net.denied", reason: "special-address", destination: "a.test:123" },
			]);
		expect(relay.flows).toBe(0);
	});

	it("has a bound of flows", () => {
		const { relay, events, send } = setUp({ udp: ["9.1.1.1:9"] });
		for (let from = 1; from <= 1025; from++) send("x", from, endpoint("9.1.1.1", 9));
		expect(relay.flows).toBe(1024);
		expect(events).toMatchObject([{ kind: "net.denied", reason: "too-many" }]);
	});
});
