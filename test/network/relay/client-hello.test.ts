import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { connect } from "node:tls";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseClientHello } from "../../../src/network/relay/client-hello.ts";
import { clientHello, extension, records, serverNames } from "./hello.ts";

/** What OpenSSL really sends. */
async function realHello(servername: string): Promise<Buffer> {
	const server = createServer();
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	const client = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", servername });
	client.on("error", () => undefined);
	const [socket] = await once(server, "connection");
	const [data] = (await once(socket, "data")) as [Buffer];
	socket.destroy();
	client.destroy();
	server.close();
	return data;
}

describe("a ClientHello", () => {
	it("of OpenSSL shows its server name", async () => {
		expect(parseClientHello(await realHello("www.python.org"))).toEqual({
			serverName: "www.python.org",
			encrypted: false,
		});
	});

	it("is the same in records of any size, and unfinished before its last byte", () => {
		const message = clientHello([serverNames("a.test"), extension(0xfe0d, Buffer.alloc(9))]);
		fc.assert(
			fc.property(
				fc.integer({ min: 1, max: 200 }),
				fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
				(size, part) => {
					const bytes = records(message, size);
					expect(parseClientHello(bytes)).toEqual({ serverName: "a.test", encrypted: true });
					expect(parseClientHello(bytes.subarray(0, Math.floor(bytes.length * part)))).toBe("more");
				},
			),
		);
	});

	it("may name no server, or have no extensions", () => {
		expect(parseClientHello(records(clientHello([])))).toEqual({ encrypted: false });
		expect(parseClientHello(records(clientHello(undefined)))).toEqual({ encrypted: false });
	});

	it.each([
		["two names", clientHello([serverNames("a.test", "b.test")]), /several servers/],
		["the extension twice", clientHello([serverNames("a.test"), serverNames("b.test")]), /repeats/],
		["an empty list", clientHello([extension(0, Buffer.from([0, 0]))]), /ends within/],
		[
			"a name that is longer than its list",
			clientHello([extension(0, Buffer.from([0, 4, 0, 0, 9, 97]))]),
			/ends within/,
		],
		[
			"bytes after its extensions",
			Buffer.concat([
				clientHello([]).subarray(0, 1),
				Buffer.from([0, 0, 76]),
				clientHello([]).subarray(4),
				Buffer.from([9]),
			]),
			/after its extensions|ends within/,
		],
		["another message", Buffer.from([2, 0, 0, 1, 0]), /begin with a ClientHello/],
		["a megabyte", Buffer.from([1, 16, 0, 0]), /larger/],
	])("with %s is malformed", (_what, message, malformed) => {
		expect(parseClientHello(records(message))).toEqual({ malformed: expect.stringMatching(malformed) });
	});

	it.each([
		["an empty record", Buffer.from([22, 3, 1, 0, 0])],
		["a record that is too long", Buffer.from([22, 3, 1, 0xff, 0xff])],
		[
			"an alert in the middle",
			Buffer.concat([records(clientHello([]).subarray(0, 9)), Buffer.from([21, 3, 1, 0, 2, 1, 0])]),
		],
	])("with %s is malformed", (_what, bytes) => {
		expect(parseClientHello(bytes)).toHaveProperty("malformed");
	});

	it("of any bytes makes nothing throw", () => {
		const message = records(clientHello([serverNames("a.test")]));
		const flips = fc.array(fc.tuple(fc.nat(message.length - 1), fc.nat(255)), { maxLength: 4 });
		fc.assert(
			fc.property(fc.uint8Array({ maxLength: 400 }), flips, (noise, changes) => {
				parseClientHello(noise);
				parseClientHello(Buffer.concat([Buffer.from([22, 3, 1]), noise]));
				const changed = Buffer.from(message);
				for (const [at, value] of changes) changed[at] = value;
				parseClientHello(changed);
			}),
			{ numRuns: 2000 },
		);
	});
});
