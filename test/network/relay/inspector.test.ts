import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Inspection, Inspector } from "../../../src/network/relay/inspector.ts";
import { protocolOf } from "../../../src/network/relay/protocol.ts";
import { parseNameRule } from "../../../src/policy/rules.ts";
import { clientHello, records, serverNames } from "./hello.ts";

const rules = ["*.a.test:*"].flatMap((text) => {
	const parsed = parseNameRule(text);
	return "value" in parsed ? [parsed.value] : [];
});

describe("what a client speaks", () => {
	it.each([
		["", "more"],
		["\x16", "more"],
		["\x16\x03\x01", "tls"],
		["\x16\x04", "opaque"],
		["\x80\x2e\x01\x03", "tls"],
		["\x80\x00\x00\x28", "opaque"],
		["GET", "more"],
		["GET / HTTP/1.1", "more"],
		["GET / HTTP/1.1\r\n", "http"],
		["\r\n\n  get / http/1.1\n", "http"],
		["GET\t/\tHTTP/1.1\r\n", "http"],
		["PRI * HTTP/2.0\r\n", "http"],
		["GET /\r\n", "opaque"],
		["EHLO a.test\r\n", "opaque"],
		["SSH-2.0-OpenSSH_9\r\n", "opaque"],
		['{"jsonrpc"', "opaque"],
		["\x00\x00\x00\x08", "opaque"],
		["GE\x00", "opaque"],
		["x".repeat(257), "opaque"],
		[`GET ${"x".repeat(16_400)}`, "http"],
	])("%j: %s", (text, spoken) => {
		expect(protocolOf(Buffer.from(text, "latin1"))).toBe(spoken);
	});
});

function push(text: string | Uint8Array) {
	return new Inspector(rules).push(typeof text === "string" ? Buffer.from(text, "latin1") : text);
}

describe("the inspector", () => {
	it("lets TLS go to any name of the rule, and to no other", () => {
		for (const name of ["a.test", "B.A.test", "x.y.a.test."])
			expect(push(records(clientHello([serverNames(name)])))).toMatchObject({ done: true });
		for (const name of ["evil.test", "xa.test", "a.test.evil.test", "", "127.0.0.1", "a.test\0.evil"]) {
			expect(push(records(clientHello([serverNames(name)])))).toMatchObject({
				forward: [],
				refusal: { reason: "server-name" },
			});
		}
	});

	it("refuses TLS without a name, and that of SSL 2", () => {
		expect(push(records(clientHello([])))).toMatchObject({ refusal: { reason: "no-server-name" } });
		expect(push("\x80\x2e\x01\x03\x01")).toMatchObject({ refusal: { reason: "no-server-name" } });
	});

	it("shows what it refuses without passing on control characters", () => {
		const { refusal } = push(records(clientHello([serverNames("\x1b[2Jevil")])));
		expect(refusal?.detail).toBe('"\\u001b[2Jevil"');
	});

	it("lets everything else go unread", () => {
		expect(push("SSH-2.0-x\r\n")).toMatchObject({ done: true });
	});

	it("passes on what an undecided client has said when it ends, but no half request", () => {
		const undecided = new Inspector(rules);
		undecided.push(Buffer.from("GET"));
		expect(Buffer.concat(undecided.end().forward).toString()).toBe("GET");
		for (const begun of [Buffer.from("GET / HTTP/1.1\r\nHost: evil"), records(clientHello([])).subarray(0, 20)]) {
			const half = new Inspector(rules);
			half.push(begun);
			expect(half.end()).toEqual({ forward: [], done: true });
		}
	});

	it("never holds more than it may, whatever it is fed", () => {
		const endless = new Inspector(rules);
		let refused = false;
		for (let i = 0; i < 40 && !refused; i++)
			refused =
				endless.push(records(Buffer.concat([Buffer.from([1, 0, 0x7f, 0xff]), Buffer.alloc(1000)]), 1)).refusal !==
				undefined;
		expect(refused).toBe(true);
		expect(endless.held).toBeLessThan(100_000);
	});

	it("forwards the same bytes, in the same order, however they are cut", () => {
		const sources = [
			records(clientHello([serverNames("a.test")])),
			Buffer.from("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"),
			Buffer.from("hello\r\nworld"),
		];
		fc.assert(
			fc.property(
				fc.constantFrom(...sources),
				fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }),
				(bytes, sizes) => {
					const inspector = new Inspector(rules);
					const out: Uint8Array[] = [];
					let done = false;
					for (let at = 0, i = 0; at < bytes.length; i++) {
						const chunk = bytes.subarray(at, at + (sizes[i % sizes.length] ?? 1));
						at += chunk.length;
						const step: Inspection = done ? { forward: [chunk] } : inspector.push(chunk);
						done ||= step.done === true;
						out.push(...step.forward);
					}
					expect(Buffer.concat(out).equals(bytes)).toBe(true);
				},
			),
		);
	});

	it("of any bytes never throws, and never lets a foreign name through", () => {
		const foreign = fc.constantFrom(
			records(clientHello([serverNames("evil.test")])),
			Buffer.from("GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n"),
		);
		fc.assert(
			fc.property(fc.uint8Array({ maxLength: 8 }), foreign, fc.integer({ min: 1, max: 50 }), (noise, bytes, size) => {
				const plain = new Inspector(rules);
				let stopped = false;
				for (let at = 0; at < bytes.length && !stopped; at += size) {
					const step = plain.push(bytes.subarray(at, at + size));
					stopped = step.refusal !== undefined;
					expect(Buffer.concat(step.forward).includes("evil")).toBe(false);
				}
				expect(stopped).toBe(true);
				new Inspector(rules).push(Buffer.concat([noise, bytes]));
			}),
		);
	});
});
