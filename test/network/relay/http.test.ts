import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseHttpHead } from "../../../src/network/relay/http-head.ts";
import { HttpStream } from "../../../src/network/relay/http-stream.ts";

function head(...lines: readonly string[]): Buffer {
	return Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
}

describe("the head of a request", () => {
	it.each([
		["a plain one", head("GET / HTTP/1.1", "Host: a.test"), { hosts: ["a.test"], body: { kind: "none" } }],
		["a port", head("GET / HTTP/1.1", "host:a.test:8080"), { hosts: ["a.test"] }],
		["HTTP/1.0 without a host", head("GET / HTTP/1.0"), { hosts: [] }],
		["an absolute target", head("GET http://b.test:80/x HTTP/1.1", "Host: a.test"), { hosts: ["a.test", "b.test"] }],
		["CONNECT", head("CONNECT b.test:443 HTTP/1.1", "Host: a.test"), { hosts: ["a.test", "b.test"] }],
		["OPTIONS *", head("OPTIONS * HTTP/1.1", "Host: a.test"), { hosts: ["a.test"] }],
		[
			"a length",
			head("POST / HTTP/1.1", "Host: a.test", "Content-Length: 12"),
			{ body: { kind: "length", bytes: 12 } },
		],
		["chunks", head("POST / HTTP/1.1", "Host: a.test", "Transfer-Encoding: Chunked"), { body: { kind: "chunked" } }],
		[
			"websocket",
			head("GET / HTTP/1.1", "Host: a.test", "Upgrade: WebSocket", "Connection: Upgrade"),
			{ websocket: true },
		],
	])("%s", (_what, bytes, expected) => {
		expect(parseHttpHead(bytes)).toMatchObject({ ...expected, length: bytes.length });
	});

	it.each([
		["two hosts", head("GET / HTTP/1.1", "Host: a.test", "Host: b.test")],
		["no host", head("GET / HTTP/1.1")],
		["a blank before the colon", head("GET / HTTP/1.1", "Host : a.test")],
		["a folded header", head("GET / HTTP/1.1", "Host: a.test", " b.test")],
		["a bare line feed", head("GET / HTTP/1.1", "X: y\nHost: b.test", "Host: a.test")],
		["a bare carriage return", head("GET / HTTP/1.1", "X: y\rHost: b.test", "Host: a.test")],
		["a NUL", head("GET / HTTP/1.1", "Host: a.test\0b")],
		["both lengths", head("POST / HTTP/1.1", "Host: a.test", "Content-Length: 1", "Transfer-Encoding: chunked")],
		["two lengths", head("POST / HTTP/1.1", "Host: a.test", "Content-Length: 1", "Content-Length: 1")],
		["a signed length", head("POST / HTTP/1.1", "Host: a.test", "Content-Length: +1")],
		["an unknown coding", head("POST / HTTP/1.1", "Host: a.test", "Transfer-Encoding: gzip, chunked")],
		["chunks in HTTP/1.0", head("POST / HTTP/1.0", "Host: a.test", "Transfer-Encoding: chunked")],
		["an obscured coding", head("POST / HTTP/1.1", "Host: a.test", "Transfer-Encoding: \x0bchunked")],
		["user and password", head("GET http://a.test@b.test/ HTTP/1.1", "Host: a.test")],
		["a target of no form", head("GET b.test HTTP/1.1", "Host: a.test")],
		["two blanks", head("GET  / HTTP/1.1", "Host: a.test")],
		["HTTP/2", head("PRI * HTTP/2.0")],
		["HTTP/3.1", head("GET / HTTP/3.1", "Host: a.test")],
	])("with %s is malformed", (_what, bytes) => {
		expect(parseHttpHead(bytes)).toHaveProperty("malformed");
	});

	it("is bounded", () => {
		expect(parseHttpHead(Buffer.alloc(65_536, "a"))).toBe("more");
		expect(parseHttpHead(Buffer.alloc(65_537, "a"))).toHaveProperty("malformed");
		expect(parseHttpHead(head("GET / HTTP/1.1", `X: ${"a".repeat(65_536)}`))).toHaveProperty("malformed");
	});

	it("of any bytes makes nothing throw", () => {
		const line = fc.oneof(
			fc.string(),
			fc.constantFrom("Host: a.test", "Content-Length: 3", "Transfer-Encoding: chunked", "Host:"),
		);
		fc.assert(
			fc.property(
				fc.constantFrom("GET / HTTP/1.1", "POST http://a/ HTTP/1.0", "x"),
				fc.array(line, { maxLength: 5 }),
				(first, lines) => {
					parseHttpHead(head(first, ...lines));
				},
			),
			{ numRuns: 2000 },
		);
	});
});

interface Run {
	readonly forwarded: string;
	readonly problem: unknown;
	readonly tunnel: boolean;
}

function run(chunks: readonly Uint8Array[], allows = (host: string) => host === "a.test"): Run {
	const stream = new HttpStream(allows);
	const forwarded: Uint8Array[] = [];
	for (const chunk of chunks) {
		const step = stream.push(chunk);
		forwarded.push(...step.forward);
		if (step.problem !== undefined || step.tunnel)
			return {
				forwarded: Buffer.concat(forwarded).toString("latin1"),
				problem: step.problem,
				tunnel: step.tunnel ?? false,
			};
	}
	return { forwarded: Buffer.concat(forwarded).toString("latin1"), problem: undefined, tunnel: false };
}

const get = (host: string) => `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
const post = (body: string) => `POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const chunked = (...parts: readonly string[]) =>
	`POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n${parts.map((part) => `${part.length.toString(16)};x=y\r\n${part}\r\n`).join("")}0\r\nT: x\r\n\r\n`;

describe("a connection of requests", () => {
	const request = fc.oneof(
		fc.constant(get("a.test")),
		fc.string({ unit: "binary-ascii", maxLength: 40 }).map(post),
		fc
			.array(fc.string({ unit: "binary-ascii", minLength: 1, maxLength: 20 }), { maxLength: 3 })
			.map((parts) => chunked(...parts)),
		fc.constant("\r\n"),
	);

	it("passes whole, however it is cut, and stops at the first foreign host", () => {
		fc.assert(
			fc.property(
				fc.array(request, { maxLength: 6 }),
				fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }),
				fc.boolean(),
				(requests, sizes, foreign) => {
					const good = requests.join("");
					const bytes = Buffer.from(good + (foreign ? get("b.test") : ""), "latin1");
					const chunks: Buffer[] = [];
					for (let at = 0, i = 0; at < bytes.length; i++) {
						const size = sizes[i % sizes.length] ?? 1;
						chunks.push(bytes.subarray(at, at + size));
						at += size;
					}
					const { forwarded, problem } = run(chunks);
					expect(forwarded).toBe(good);
					expect(problem).toEqual(foreign ? { host: "b.test" } : undefined);
				},
			),
			{ numRuns: 500 },
		);
	});

	it("finds a request behind a body, wherever the body ends", () => {
		const hidden = get("b.test");
		expect(run([Buffer.from(post(hidden))]).problem).toBeUndefined();
		expect(run([Buffer.from(`${post("")}${hidden}`)]).problem).toEqual({ host: "b.test" });
		expect(run([Buffer.from(`${chunked("abc")}${hidden}`)]).problem).toEqual({ host: "b.test" });
	});

	it.each([
		["a chunk size that is none", "x\r\n"],
		["a negative one", "-1\r\n"],
		["a bare line feed after it", "1\nx\r\n"],
		["data longer than said", "1\r\nxy\r\n"],
		["a huge one", "fffffffffffff\r\n"],
	])("with %s is malformed", (_what, chunk) => {
		const start = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
		expect(run([Buffer.from(start + chunk)]).problem).toHaveProperty("malformed");
	});

	const upgrade = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

	it("becomes a tunnel when the server agrees to a websocket", () => {
		const stream = new HttpStream(() => true);
		expect(Buffer.concat(stream.push(Buffer.from(`${upgrade}frames`)).forward).toString()).toBe(upgrade);
		const step = stream.answered(Buffer.from("HTTP/1.1 101 Switching"));
		expect([Buffer.concat(step.forward).toString(), step.tunnel]).toEqual(["frames", true]);
	});

	it("stays one of requests when the server does not", () => {
		const stream = new HttpStream((host) => host === "a.test");
		stream.push(Buffer.from(upgrade + get("b.test")));
		expect(stream.answered(Buffer.from("HTTP/1.1 200 OK\r\n"))).toMatchObject({
			forward: [],
			problem: { host: "b.test" },
		});
	});

	it("believes no upgrade but that of the first request", () => {
		const stream = new HttpStream((host) => host === "a.test");
		expect(stream.push(Buffer.from(get("a.test") + upgrade + get("b.test"))).problem).toEqual({ host: "b.test" });
	});

	it("is a tunnel after CONNECT to an allowed host", () => {
		expect(run([Buffer.from("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\nanything")])).toMatchObject({
			tunnel: true,
			problem: undefined,
		});
	});

	it("of any bytes makes nothing throw", () => {
		fc.assert(
			fc.property(
				fc.array(
					fc.oneof(
						fc.uint8Array({ maxLength: 50 }),
						request.map((text) => Buffer.from(text, "latin1")),
					),
					{ maxLength: 8 },
				),
				(chunks) => void run(chunks),
			),
			{ numRuns: 1000 },
		);
	});
});
