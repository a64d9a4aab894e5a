import { decode, encode, type Packet } from "dns-packet";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Answering } from "../../../src/network/dns/answer.ts";
import { decide, reverseAddress } from "../../../src/network/dns/decide.ts";
import { parseQuery } from "../../../src/network/dns/query.ts";
import { recordsOf } from "../../../src/network/dns/records.ts";
import { respond } from "../../../src/network/dns/serve.ts";
import { type ResolverLike, Upstream } from "../../../src/network/dns/upstream.ts";
import type { NetworkEvent } from "../../../src/network/events.ts";
import { reporter } from "../../../src/network/events.ts";
import { formatIp } from "../../../src/network/ip.ts";
import { JailNames } from "../../../src/network/jail-names.ts";
import { compileRules } from "../../../src/network/rules.ts";
import { policyOf, type RuleTexts } from "../policy.ts";

class Failed extends Error {
	readonly code: string;
	constructor(code: string) {
		super(code);
		this.code = code;
	}
}

/** Knows npm.org (both families), four.test, six.test; counts what it is asked. */
function fakeResolver(asked: string[] = []): ResolverLike {
	const zone: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
		"npm.org": { A: ["72.167.71.164"], AAAA: ["2606:4700::1"] },
		"four.test": { A: ["9.1.1.1"] },
		"six.test": { AAAA: ["2606:4700::6"] },
		"evil.test": { A: ["9.9.1.1"] },
		[long]: { A: Array.from({ length: 16 }, (_, i) => `9.0.0.${i + 1}`) },
	};
	const find = (name: string, type: string): Promise<readonly string[]> => {
		asked.push(`${name} ${type}`);
		if (name === "broken.test") return Promise.reject(new Failed("ESERVFAIL"));
		const entry = zone[name];
		if (entry === undefined) return Promise.reject(new Failed("ENOTFOUND"));
		return entry[type] === undefined ? Promise.reject(new Failed("ENODATA")) : Promise.resolve(entry[type]);
	};
	const addresses = async (name: string, type: string) =>
		(await find(name, type)).map((address) => ({ address, ttl: 30 }));
	return {
		resolve4: (name) => addresses(name, "A"),
		resolve6: (name) => addresses(name, "AAAA"),
		resolve: (name, type) => find(name, type),
	};
}

/** Sixteen addresses of this name do not fit into 512 bytes. */
const long = `${"l".repeat(63)}.test`;

const texts: RuleTexts = { dns: ["*.npm.org:*", "four.test:80", "six.test:80", "broken.test:1"] };
const open: RuleTexts = { ...texts, udp: ["*:53"] };

function context(
	rulesOf: RuleTexts,
	resolver: ResolverLike = fakeResolver(),
	families: Answering["families"] = [4, 6],
): Answering & { readonly events: NetworkEvent[] } {
	const rules = compileRules(policyOf(rulesOf));
	const events: NetworkEvent[] = [];
	return {
		rules,
		names: new JailNames(rules),
		upstream: new Upstream(resolver),
		report: reporter("j", (event) => events.push(event)),
		families,
		events,
	};
}

function query(name: string, type: string, extra: Partial<Packet> = {}): Buffer {
	return encode({ type: "query", id: 7, flags: 0x0100, questions: [{ name, type: type as "A" }], ...extra });
}

async function ask(
	answering: Answering,
	name: string,
	type = "A",
	extra: Partial<Packet> = {},
): Promise<Packet & { readonly rcode?: string }> {
	const response = await respond(answering, query(name, type, extra), "udp");
	return decode(Buffer.from(response ?? []));
}

function data({ answers = [] }: Packet): readonly unknown[] {
	return answers.map((answer) => ("data" in answer ? answer.data : undefined));
}

describe("queries", () => {
	it("has no AAAA records for a jail without IPv6", async () => {
		const only4 = context({ dns: ["npm.org:443"] }, fakeResolver(), [4]);
		expect((await ask(only4, "npm.org", "AAAA")).answers).toEqual([]);
		expect((await ask(only4, "npm.org", "A")).answers).toHaveLength(1);
		expect((await ask(context({ dns: ["npm.org:443"] }), "npm.org", "AAAA")).answers).toHaveLength(1);
	});

	it("are read as dns-packet writes them", () => {
		const label = fc.stringMatching(/^[a-zA-Z0-9_-]{1,20}$/);
		fc.assert(
			fc.property(
				fc.array(label, { minLength: 1, maxLength: 6 }),
				fc.nat(65_535),
				fc.option(fc.integer({ min: 1, max: 65_535 })),
				(labels, id, size) => {
					const name = labels.join(".");
					const additionals = size === null ? [] : [{ type: "OPT" as const, name: ".", udpPayloadSize: size }];
					const packet = encode({
						type: "query",
						id,
						questions: [{ name, type: "AAAA" }],
						additionals: additionals as never,
					});
					expect(parseQuery(packet)).toMatchObject({
						id,
						name,
						type: 28,
						...(size === null ? {} : { edns: { size } }),
					});
				},
			),
		);
	});

	it("of any bytes make nothing throw", () => {
		fc.assert(
			fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => void parseQuery(bytes)),
			{ numRuns: 2000 },
		);
	});

	it("cut or flipped anywhere get an answer that fits, or none", async () => {
		const whole = query("www.npm.org", "A", {
			additionals: [{ type: "OPT", name: ".", udpPayloadSize: 4096 } as never],
		});
		const answering = context(texts);
		await fc.assert(
			fc.asyncProperty(
				fc.nat(whole.length),
				fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 3 }),
				async (length, flips) => {
					const bytes = Buffer.from(whole);
					for (const [at, value] of flips) bytes[at] = value;
					const response = await respond(answering, bytes.subarray(0, length), "udp");
					if (response === undefined) return;
					expect(response.length).toBeLessThanOrEqual(1232);
					expect(Buffer.from(response).readUInt16BE()).toBe(bytes.readUInt16BE());
					expect(() => decode(Buffer.from(response))).not.toThrow();
				},
			),
			{ numRuns: 500 },
		);
	});

	const header = (flags: number, counts: readonly number[]) =>
		Buffer.from([0, 9, flags >> 8, flags & 255, ...counts.flatMap((count) => [0, count])]);
	const question = Buffer.from([1, 97, 0, 0, 1, 0, 1]);
	it.each([
		["a response", Buffer.concat([header(0x8000, [1, 0, 0, 0]), question]), "drop"],
		["half a header", Buffer.alloc(11), "drop"],
		["a status request", Buffer.concat([header(0x1000, [1, 0, 0, 0]), question]), { id: 9, refuse: "NOTIMP" }],
		["two questions", Buffer.concat([header(0, [2, 0, 0, 0]), question, question]), { id: 9, refuse: "FORMERR" }],
		["a question with answers", Buffer.concat([header(0, [1, 1, 0, 0]), question]), { id: 9, refuse: "FORMERR" }],
		["no question", header(0, [0, 0, 0, 0]), { id: 9, refuse: "FORMERR" }],
		[
			"a name that points to itself",
			Buffer.concat([header(0, [1, 0, 0, 0]), Buffer.from([0xc0, 12, 0, 1, 0, 1])]),
			{ id: 9, refuse: "FORMERR" },
		],
		[
			"a dot in a label",
			Buffer.concat([header(0, [1, 0, 0, 0]), Buffer.from([3, 97, 46, 98, 0, 0, 1, 0, 1])]),
			{ id: 9, refuse: "FORMERR" },
		],
		[
			"a NUL in a label",
			Buffer.concat([header(0, [1, 0, 0, 0]), Buffer.from([3, 97, 0, 98, 0, 0, 1, 0, 1])]),
			{ id: 9, refuse: "FORMERR" },
		],
		[
			"another class",
			Buffer.concat([header(0, [1, 0, 0, 0]), Buffer.from([1, 97, 0, 0, 1, 0, 3])]),
			{ id: 9, refuse: "REFUSED" },
		],
		[
			"an OPT record that ends early",
			Buffer.concat([header(0, [1, 0, 0, 1]), question, Buffer.from([0, 0, 41, 4, 0])]),
			{ id: 9, refuse: "FORMERR" },
		],
		[
			"a name of more than 255 bytes",
			Buffer.concat([
				header(0, [1, 0, 0, 0]),
				...Array.from({ length: 5 }, () => Buffer.concat([Buffer.from([63]), Buffer.alloc(63, "a")])),
				Buffer.from([0, 0, 1, 0, 1]),
			]),
			{ id: 9, refuse: "FORMERR" },
		],
	] as const)("that are %s are refused", (_what, bytes, result) => {
		expect(parseQuery(bytes)).toEqual(result);
	});
});

describe("decisions", () => {
	const closedRules = compileRules(policyOf(texts));
	const openRules = compileRules(policyOf(open));
	it.each([
		["npm.org", 1, "synthetic", "synthetic"],
		["WWW.NPM.ORG", 28, "synthetic", "synthetic"],
		["npm.org", 65, "empty", "empty"], // HTTPS
		["npm.org", 64, "empty", "empty"], // SVCB
		["npm.org", 255, "empty", "empty"], // ANY
		["npm.org", 252, "refuse", "refuse"], // AXFR
		["npm.org", 16, "forward", "forward"],
		["npm.org", 12, "empty", "empty"],
		["evil.test", 1, "nonexistent", "forward"],
		["evil.test", 16, "nonexistent", "forward"],
		["evil.test", 65, "nonexistent", "empty"],
		["www.four.test", 1, "nonexistent", "forward"],
		["notnpm.org", 1, "nonexistent", "forward"],
		["npm.org.evil.test", 1, "nonexistent", "forward"],
		["use-application-dns.net", 1, "nonexistent", "nonexistent"],
		["localhost", 1, "localhost", "localhost"],
		["a.localhost", 16, "empty", "empty"],
		["127.0.0.1", 1, "nonexistent", "nonexistent"],
		["0x7f.1", 1, "nonexistent", "nonexistent"],
		["-a.test", 1, "nonexistent", "nonexistent"],
		["", 1, "nonexistent", "nonexistent"],
		["1.0.18.198.in-addr.arpa", 12, "reverse", "reverse"],
		["1.0.0.10.in-addr.arpa", 12, "reverse", "reverse"],
		["1.1.1.1.in-addr.arpa", 12, "nonexistent", "forward"],
		["1.1.1.1.in-addr.arpa", 16, "empty", "empty"],
	] as const)("%j type %d: %s; with names open: %s", (name, type, closedKind, openKind) => {
		expect(decide(closedRules, name, type).kind).toBe(closedKind);
		expect(decide(openRules, name, type).kind).toBe(openKind);
	});

	it("are made for any text without throwing, and never forward what no rule covers", () => {
		fc.assert(
			fc.property(fc.oneof(fc.string(), fc.domain()), fc.nat(70_000), (name, type) => {
				const decision = decide(closedRules, name, type);
				if (decision.kind === "forward")
					expect(closedRules.dns.some((rule) => decision.name.endsWith(rule.name))).toBe(true);
			}),
		);
	});

	it("read reverse names", () => {
		expect(reverseAddress("4.3.2.1.IN-ADDR.ARPA")).toMatchObject({ family: 4, value: 0x01020304n });
		const six = reverseAddress(`${"1.".repeat(31)}2.ip6.arpa`);
		expect(six && formatIp(six)).toBe("2111:1111:1111:1111:1111:1111:1111:1111");
		expect(
			["1.2.3.in-addr.arpa", "256.1.1.1.in-addr.arpa", "1.ip6.arpa", "01.1.1.1.in-addr.arpa"].map(reverseAddress),
		).toEqual([undefined, undefined, undefined, undefined]);
	});
});

describe("answers", () => {
	it("repeat the question as it was asked, case and all", async () => {
		const reply = await ask(context(texts), "wWw.nPm.OrG");
		expect(reply.questions?.[0]?.name).toBe("wWw.nPm.OrG");
		expect(reply.rcode).toBe("NXDOMAIN");
		const found = await ask(context(texts), "nPm.OrG");
		expect(found.answers?.[0]?.name).toBe("nPm.OrG");
	});

	it("are synthetic addresses of both families for whatever exists in either", async () => {
		const answering = context(texts);
		expect(data(await ask(answering, "four.test", "A"))).toEqual(["198.18.128.0"]);
		expect(data(await ask(answering, "four.test", "AAAA"))).toEqual(["fd76:6d6a:6169:6c01::8000"]);
		expect(data(await ask(answering, "six.test", "A"))).toEqual(["198.18.128.1"]);
		expect(data(await ask(answering, "0.128.18.198.in-addr.arpa", "PTR"))).toEqual(["four.test"]);
		expect(answering.events.map((event) => event.kind === "net.dns" && event.answer)).toContain("synthetic");
	});

	it("are real addresses for names that may resolve only", async () => {
		const answering = context(open);
		expect(data(await ask(answering, "evil.test"))).toEqual(["9.9.1.1"]);
		expect((await ask(answering, "evil.test", "AAAA")).answers).toEqual([]);
	});

	it("say no without asking anybody, and why, once", async () => {
		const asked: string[] = [];
		const answering = context(texts, fakeResolver(asked));
		const edns = { additionals: [{ type: "OPT", name: ".", udpPayloadSize: 1400 } as never] };
		for (const type of ["A", "AAAA", "TXT"])
			expect((await ask(answering, "Secret.Evil.test", type)).rcode).toBe("NXDOMAIN");
		const { additionals = [] } = await ask(answering, "secret.evil.test", "A", edns);
		expect(additionals[0]).toMatchObject({ type: "OPT", options: [{ code: 15, data: Buffer.from([0, 18]) }] });
		expect(asked).toEqual([]);
		expect(answering.events).toHaveLength(1);
		expect(answering.events[0]).toMatchObject({
			kind: "net.denied",
			jail: "j",
			reason: "name-not-allowed",
			destination: "secret.evil.test",
		});
	});

	it("tell a failing resolver from a name that does not exist", async () => {
		const answering = context(texts);
		expect((await ask(answering, "broken.test")).rcode).toBe("SERVFAIL");
		expect((await ask(answering, "none.npm.org")).rcode).toBe("NXDOMAIN");
	});

	it("too large for UDP are cut, and whole by TCP", async () => {
		const answering = context({ udp: ["*:53"] });
		const cut = await ask(answering, long);
		expect(["flag_tc" in cut && cut.flag_tc, cut.answers?.length, cut.questions?.[0]?.name]).toEqual([true, 0, long]);
		const whole = await respond(answering, query(long, "A"), "tcp");
		expect(decode(Buffer.from(whole ?? [])).answers).toHaveLength(16);
	});
});

describe("the host's resolver", () => {
	it("is asked once for what is asked together or again soon", async () => {
		const asked: string[] = [];
		let now = 0;
		const upstream = new Upstream(fakeResolver(asked), () => now);
		await Promise.all([upstream.addresses("npm.org"), upstream.addresses("npm.org")]);
		now = 29_999;
		await upstream.addresses("npm.org");
		expect(asked).toEqual(["npm.org A", "npm.org AAAA"]);
		now = 30_001;
		await upstream.addresses("npm.org");
		expect(asked).toHaveLength(4);
	});

	it("is not asked more than 64 questions at a time", async () => {
		let waiting = 0;
		const never = () => {
			waiting++;
			return new Promise<never>(() => undefined);
		};
		const upstream = new Upstream({ resolve4: never, resolve6: never, resolve: never });
		for (let i = 0; i < 100; i++) void upstream.addresses(`n${i}.test`);
		expect(await upstream.addresses("one-more.test")).toEqual({ failure: "SERVFAIL" });
		expect(waiting).toBe(64);
	});

	it("is believed about addresses only as far as they are any", async () => {
		const upstream = new Upstream({
			resolve4: () =>
				Promise.resolve([
					{ address: "9.1.1.1", ttl: 1 },
					{ address: "not an address", ttl: 1 },
				]),
			resolve6: () => Promise.resolve([{ address: "::ffff:127.0.0.1", ttl: 1 }]),
			resolve: () => Promise.resolve([]),
		});
		expect(await upstream.addresses("a.test")).toEqual({ v4: ["9.1.1.1", "127.0.0.1"], v6: [], ttl: 1 });
	});
});

describe("records of other types", () => {
	it.each([
		[
			"MX",
			[
				{ exchange: "Mail.npm.org", priority: 10 },
				{ exchange: "bad name", priority: 1 },
			],
			[{ exchange: "mail.npm.org", preference: 10 }],
		],
		["TXT", [["a", "b"]], [[Buffer.from("a"), Buffer.from("b")]]],
		["NS", ["ns.test", 5], ["ns.test"]],
		[
			"SRV",
			[{ name: "s.test", port: 1, priority: 2, weight: 3 }],
			[{ target: "s.test", port: 1, priority: 2, weight: 3 }],
		],
		["CAA", [{ critical: 0, issue: "ca.test" }], [{ flags: 0, tag: "issue", value: "ca.test" }]],
		[
			"SOA",
			{ nsname: "a.test", hostmaster: "b.test", serial: 1, refresh: 2, retry: 3, expire: 4, minttl: 5 },
			[{ mname: "a.test", rname: "b.test", serial: 1, refresh: 2, retry: 3, expire: 4, minimum: 5 }],
		],
		[
			"NAPTR",
			[{ flags: "s", service: "SIP", regexp: "", replacement: "r.test", order: 1, preference: 2 }],
			[{ flags: "s", services: "SIP", regexp: "", replacement: "r.test", order: 1, preference: 2 }],
		],
	] as const)("%s are passed on, and can be encoded", (type, found, expected) => {
		const answers = recordsOf("o.test", type, found);
		expect(answers.map((answer) => ("data" in answer ? answer.data : undefined))).toEqual(expected);
		expect(() => decode(encode({ type: "response", answers: [...answers] }))).not.toThrow();
	});

	it("of any shape make nothing throw", () => {
		fc.assert(
			fc.property(
				fc.constantFrom("MX", "TXT", "NS", "SRV", "CAA", "SOA", "NAPTR", "PTR"),
				fc.anything(),
				(type, found) => {
					const answers = recordsOf("o.test", type as "MX", found);
					expect(() => encode({ type: "response", answers: [...answers] })).not.toThrow();
				},
			),
		);
	});
});
