import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { VmjailError } from "../../src/errors.ts";
import { gatewayFirewall } from "../../src/network/firewall.ts";
import {
	contains,
	type Family,
	formatIp,
	type Ip,
	ipOfBytes,
	overlaps,
	parseBlock,
	parseIp,
} from "../../src/network/ip.ts";
import { JailNames } from "../../src/network/jail-names.ts";
import { own, synthetic, syntheticAddress } from "../../src/network/layout.ts";
import { classOfName, covers, rulesForName } from "../../src/network/name-rules.ts";
import { batchOf, type Message, NLM_F_ACK } from "../../src/network/netlink/message.ts";
import { messageOf } from "../../src/network/netlink/route.ts";
import { includesPort, unionPorts } from "../../src/network/ports.ts";
import { targetOf } from "../../src/network/relay/target.ts";
import { destinations, gatewaySettings, jailSettings } from "../../src/network/routes.ts";
import { compileRules, needsUdp, type Protocol, type Rules } from "../../src/network/rules.ts";
import { policyOf, type RuleTexts } from "./policy.ts";

const deck: RuleTexts = { listen: [80], tcp: ["1.1.1.1:"], udp: ["*:53"], dns: ["*.npm.org:*", "*.python.org:*"] };
const rich: RuleTexts = {
	tcp: ["*:443", "10.1.0.0/16:5432", "[2001:db8::/32]:8000-8100", "8.0.0.0/5:80"],
	udp: ["*:123", "9.9.9.9:53"],
	dns: ["npm.org:443", "*.python.org:80", "python.org:8443"],
};

function golden(name: string): string {
	return readFileSync(join(import.meta.dirname, "golden", name), "utf8");
}

describe.each([
	["deck", deck, [4, 6]],
	["rich", rich, [4, 6]],
	["rich-ipv4", rich, [4]],
	["nothing", {}, [4, 6]],
] as const)("the kernel's rules for %s", (name, texts, families: readonly Family[]) => {
	const rules = compileRules(policyOf(texts));

	it("nft", async () => {
		await expect(`${JSON.stringify(gatewayFirewall(rules, families), undefined, "\t")}\n`).toMatchFileSnapshot(
			`golden/${name}.nft.json`,
		);
	});

	it("netlink", async () => {
		const text = [gatewaySettings(families), jailSettings(rules, families)].map((settings) =>
			settings.map((setting) => {
				const { bytes, shown } = batchOf([messageOf(setting, "peer")]);
				return `${shown}\n\t${Buffer.from(bytes)
					.toString("hex")
					.replace(/(.{8})/g, "$1 ")
					.trim()}\n`;
			}),
		);
		await expect(text.map((lines) => lines.join("")).join("\n")).toMatchFileSnapshot(`golden/${name}.netlink`);
	});
});

describe("a batch of netlink messages", () => {
	const [first, , , ...rest] = gatewaySettings([4]).map((setting) => messageOf(setting, "peer"));
	const { bytes, patches } = batchOf([first as Message, ...rest]);
	const view = new DataView(bytes.buffer);

	it("is numbered, aligned, and answered once", () => {
		const seen: (readonly [number, number])[] = [];
		for (let at = 0; at < bytes.length; at += (view.getUint32(at, true) + 3) & ~3)
			seen.push([view.getUint32(at + 8, true), view.getUint16(at + 6, true) & NLM_F_ACK]);
		expect(seen).toEqual([
			[1, 0],
			[2, 0],
			[3, 0],
			[4, NLM_F_ACK],
		]);
	});

	it("has the place of the descriptor after the right attribute", () => {
		expect(patches).toHaveLength(1);
		const at = patches?.[0]?.at ?? 0;
		expect([view.getUint16(at - 4, true), view.getUint16(at - 2, true)]).toEqual([8, 28]); // IFLA_NET_NS_FD
	});
});

describe("the golden files", () => {
	it("hold what matters most", () => {
		expect(golden("deck.nft.json")).toContain('"admin-prohibited"');
		expect(golden("deck.netlink").match(/priority 32765 prohibit/g)).toHaveLength(2);
	});
});

const port = fc.nat(65_535);
const ports = fc.oneof(fc.constant("*"), port.filter((n) => n > 0).map(String), fc.constantFrom("80", "443", "1-1023"));
const someIp = fc.constantFrom(
	"1.1.1.1",
	"10.1.2.3",
	"10.200.0.1",
	"127.0.0.1",
	"169.254.169.254",
	"198.18.0.9",
	"9.1.1.1",
	"224.0.0.1",
	"2001:db8::5",
	"2606:4700::1",
	"fd00::1",
	"::1",
	"ff02::1",
);
const anyIp = fc.oneof(
	someIp,
	fc.uint8Array({ minLength: 4, maxLength: 4 }).map((bytes) => formatIp(ipOfBytes(bytes))),
);
const block = fc.constantFrom(
	"*",
	"1.1.1.1",
	"10.0.0.0/8",
	"10.1.0.0/16",
	"8.0.0.0/5",
	"0.0.0.0/0",
	"127.0.0.1",
	"128.0.0.0/1",
	"[::/0]",
	"[2001:db8::/32]",
	"[fd00::/8]",
	"169.254.169.254",
);
const addressRules = fc.array(
	fc.tuple(block, ports).map(([host, range]) => `${host}:${range}`),
	{ maxLength: 4 },
);
const names = fc.constantFrom("a.test", "b.a.test", "c.b.a.test", "other.test", "test", "xa.test");
const nameRules = fc.array(
	fc.tuple(fc.boolean(), names, ports).map(([all, name, range]) => `${all ? "*." : ""}${name}:${range}`),
	{ maxLength: 4 },
);
const policies = fc.record({ tcp: addressRules, udp: addressRules, dns: nameRules });

/** What the kernel would do, by the list that both nft and the routes are made from. */
function kernelAllows(rules: Rules, protocol: Protocol, ip: Ip, port: number): boolean {
	const first = destinations(rules, [4, 6]).find(
		(each) =>
			each.family === ip.family &&
			(each.protocol === undefined || each.protocol === protocol) &&
			(each.to === undefined || contains(parseBlock(each.to), ip)) &&
			(each.ports === undefined || includesPort([each.ports], port)),
	);
	return first?.allowed ?? false;
}

describe("the kernel and the relay", () => {
	it("agree on every address that is not synthetic, in every policy", () => {
		fc.assert(
			fc.property(
				policies,
				anyIp,
				port.filter((n) => n !== 53),
				fc.constantFrom("tcp" as const, "udp" as const),
				(texts, text, at, protocol) => {
					const rules = compileRules(policyOf(texts));
					const ip = parseIp(text);
					if (ip === undefined || contains(own[ip.family], ip)) return;
					const target = targetOf(rules, new JailNames(rules), protocol, text, at);
					expect("kind" in target).toBe(kernelAllows(rules, protocol, ip, at));
				},
			),
			{ numRuns: 3000 },
		);
	});

	it("agree on every synthetic address, in every policy", () => {
		fc.assert(
			fc.property(
				policies,
				names,
				port.filter((n) => n !== 53),
				fc.constantFrom("tcp" as const, "udp" as const),
				fc.constantFrom(4 as const, 6 as const),
				(texts, name, at, protocol, family) => {
					const rules = compileRules(policyOf(texts));
					const jailNames = new JailNames(rules);
					const address = jailNames.addressesOf(name)?.[family];
					expect(address !== undefined).toBe(rulesForName(rules.dns, name).length > 0);
					const ip = address === undefined ? undefined : parseIp(address);
					if (ip === undefined || address === undefined) return;
					const target = targetOf(rules, jailNames, protocol, address, at);
					expect("kind" in target).toBe(kernelAllows(rules, protocol, ip, at));
					expect(jailNames.nameAt(ip)).toBe(name);
				},
			),
			{ numRuns: 3000 },
		);
	});

	it("both refuse the addresses of the links", () => {
		const rules = compileRules(policyOf({ tcp: ["*:*"], udp: ["*:*"], dns: ["*.a.test:*"] }));
		for (const text of ["198.19.255.253", "198.19.255.254", "fd76:6d6a:6169:6c00::1"]) {
			const ip = parseIp(text);
			expect(ip && kernelAllows(rules, "tcp", ip, 8001)).toBe(false);
			expect(targetOf(rules, new JailNames(rules), "tcp", text, 8001)).toMatchObject({ reason: "unknown-address" });
		}
	});
});

describe("name classes", () => {
	it("are disjoint, lie in the synthetic range, and every allowed name has one", () => {
		fc.assert(
			fc.property(policies, names, (texts, name) => {
				const rules = compileRules(policyOf(texts));
				for (const family of [4, 6] as const) {
					const blocks = rules.classes.map(({ blocks }) => blocks[family]);
					expect(blocks.every((each, i) => blocks.slice(i + 1).every((other) => !overlaps(each, other)))).toBe(true);
					expect(
						blocks.every((each) => synthetic[family].first <= each.first && each.last <= synthetic[family].last),
					).toBe(true);
				}
				const found = classOfName(rules.classes, rules.dns, rules.anywhere.tcp, name);
				expect(found !== undefined).toBe(rules.dns.some((rule) => covers(rule, name)));
			}),
		);
	});

	it("leave the links' addresses alone", () => {
		const rules = compileRules(policyOf({ dns: ["a.test:*"] }));
		const link = parseIp("198.19.255.253");
		expect(link && rules.classes.some(({ blocks }) => contains(blocks[4], link))).toBe(false);
	});

	it("are refused beyond 511", () => {
		const dns = Array.from({ length: 512 }, (_, i) => `n${i}.test:${i + 1}`);
		expect(() => compileRules(policyOf({ dns: dns.slice(1) }))).not.toThrow();
		expect(() => compileRules(policyOf({ dns }))).toThrow(VmjailError);
	});
});

describe("jail names", () => {
	it("give every name one address, and none twice", () => {
		const rules = compileRules(policyOf({ dns: ["*.a.test:80", "*.other.test:443"] }));
		const jailNames = new JailNames(rules);
		const all = Array.from({ length: 300 }, (_, i) => `n${i}.${i % 2 === 0 ? "a" : "other"}.test`);
		const addresses = all.map((name) => jailNames.addressesOf(name)?.[4]);
		expect(new Set(addresses).size).toBe(300);
		expect(all.map((name) => jailNames.addressesOf(name)?.[4])).toEqual(addresses);
	});

	it("stop at 16,384", () => {
		const jailNames = new JailNames(compileRules(policyOf({ dns: ["*.a.test:*"] })));
		for (let i = 0; i < 16_384; i++) expect(jailNames.addressesOf(`n${i}.a.test`)).toBeDefined();
		expect(jailNames.addressesOf("one-more.a.test")).toBeUndefined();
		expect(jailNames.addressesOf("n5.a.test")).toBeDefined();
	});

	it("describe real addresses as they were last answered", () => {
		const jailNames = new JailNames(compileRules(policyOf({})));
		const ip = parseIp("9.1.1.1");
		jailNames.noteReal("9.1.1.1", "a.test");
		jailNames.noteReal("9.1.1.1", "b.test");
		expect(ip && jailNames.describe(ip)).toBe("b.test");
		expect(ip && jailNames.nameAt(ip)).toBeUndefined();
	});
});

describe("rules", () => {
	it.each(["198.18.0.1:80", "198.19.0.0/16:80", "[fd76:6d6a:6169::1]:80"])(
		"for vmjail's own addresses are refused: %s",
		(text) => {
			expect(() => compileRules(policyOf({ tcp: [text] }))).toThrow(/tcp\[0\].*stand for names/);
		},
	);

	it("say whether UDP needs a relay", () => {
		expect(["*:53", "8.8.8.8:53"].map((text) => needsUdp(compileRules(policyOf({ udp: [text] }))))).toEqual([
			false,
			false,
		]);
		expect(needsUdp(compileRules(policyOf({ udp: ["*:"] })))).toBe(true);
	});

	it("join ports", () => {
		const range = fc.tuple(port, port).map(([a, b]) => ({ from: Math.min(a, b), to: Math.max(a, b) }));
		fc.assert(
			fc.property(fc.array(range, { maxLength: 6 }), port, (ranges, at) => {
				const union = unionPorts(ranges);
				expect(includesPort(union, at)).toBe(includesPort(ranges, at));
				expect(union.every((each, i) => i === 0 || each.from > (union[i - 1]?.to ?? 0) + 1)).toBe(true);
			}),
		);
	});

	it("count synthetic addresses alike in both families", () => {
		expect([syntheticAddress(4, 257), syntheticAddress(6, 257)]).toEqual(["198.18.1.1", "fd76:6d6a:6169:6c01::101"]);
	});
});
