import { describe, expect, it } from "vitest";
import { denial } from "../../src/network/denials.ts";
import { type NetworkEvent, reporter } from "../../src/network/events.ts";
import { explainNetwork } from "../../src/network/explain.ts";
import { whyTcp, whyUdp } from "../../src/network/why.ts";
import { policyOf, type RuleTexts } from "./policy.ts";

const deck: RuleTexts = { listen: [80], tcp: ["1.1.1.1:"], udp: ["*:53"], dns: ["*.npm.org:*", "*.python.org:*"] };
const network = (texts: RuleTexts, mode: "none" | "host" | "hostwithpolicy" = "hostwithpolicy") => ({
	mode,
	policy: policyOf(texts),
});

describe("why", () => {
	it.each([
		[deck, "registry.npm.org:443", { allowed: true, rule: 'dns "*.npm.org:*"' }],
		[deck, "1.1.1.1:9", { allowed: true, rule: 'tcp "1.1.1.1:"' }],
		[
			deck,
			"pypi.org:443",
			{
				allowed: false,
				reason: expect.stringContaining("the name resolves"),
				wouldAllow: { flag: "--allow-dns pypi.org:443" },
			},
		],
		[deck, "8.8.8.8:443", { allowed: false, wouldAllow: { flag: "--allow-tcp 8.8.8.8:443" } }],
		[
			deck,
			"[2606:4700::1]:443",
			{ allowed: false, destination: "[2606:4700::1]:443", wouldAllow: { entry: "[2606:4700::1]:443" } },
		],
		[
			{ dns: ["a.test:80"] },
			"Evil.Test:443",
			{
				allowed: false,
				destination: "evil.test:443",
				reason: expect.stringContaining("dns covers the name"),
				wouldAllow: { flag: "--allow-dns evil.test:443" },
			},
		],
		[{ dns: ["a.test:80"] }, "a.test:443", { allowed: false, wouldAllow: { flag: "--allow-dns a.test:443" } }],
		[{ tcp: ["*:443"], dns: ["a.test:80"] }, "a.test:443", { allowed: true, rule: 'tcp "*:443"' }],
		[{ tcp: ["*:443"] }, "10.0.0.1:443", { allowed: false, reason: expect.stringContaining("10.0.0.0/8 is private") }],
		[{ tcp: ["*:443"] }, "198.18.0.1:443", { allowed: false, reason: expect.stringContaining("stands for a name") }],
	])("%j %s", (texts, destination, expected) => {
		expect(whyTcp(network(texts), destination)).toMatchObject(expected);
	});

	it("knows UDP", () => {
		expect(whyUdp(network({ udp: ["*:123"], dns: ["a.test:1"] }), "a.test:123")).toMatchObject({ allowed: true });
		expect(whyUdp(network({ udp: ["*:123"] }), "a.test:123")).toMatchObject({
			allowed: false,
			wouldAllow: { list: "dns" },
		});
		expect(whyUdp(network({ dns: ["a.test:1"] }), "a.test:123")).toMatchObject({
			allowed: false,
			wouldAllow: { flag: "--allow-udp *:123" },
		});
	});

	it("follows what it suggests: with the entry added, the destination is allowed", () => {
		for (const destination of ["pypi.org:443", "8.8.8.8:443", "10.0.0.1:22", "[fe80::1]:80", "[2606:4700::1]:443"]) {
			const { wouldAllow } = whyTcp(network(deck), destination);
			const list = wouldAllow?.list ?? "tcp";
			const wider = { ...deck, [list]: [...(deck[list] ?? []), wouldAllow?.entry ?? ""] };
			expect(whyTcp(network(wider), destination)).toMatchObject({ allowed: true });
		}
	});

	it("depends on the mode", () => {
		expect([
			whyTcp(network(deck, "none"), "npm.org:80").allowed,
			whyTcp(network({}, "host"), "x.test:80").allowed,
		]).toEqual([false, true]);
	});

	it.each(["npm.org", "npm.org:*", "*.npm.org:80", "*:80", "10.0.0.0/8:80", "npm.org:80-90", "", "a b:80"])(
		"refuses %j",
		(text) => {
			expect(() => whyTcp(network(deck), text)).toThrow(expect.objectContaining({ code: "USAGE" }));
		},
	);
});

describe("explain", () => {
	it("says the talk's policy in words", () => {
		expect(explainNetwork(network(deck))).toEqual([
			"npm.org and every name below it may be reached by TCP at any port.",
			"python.org and every name below it may be reached by TCP at any port.",
			"1.1.1.1 may be reached by TCP at any port.",
			"Every name resolves; to names that no rule covers there is still no connection.",
			"Port 80 of the jail is published at 127.0.0.1:80.",
			"Everything else is refused at once. Private, link-local and loopback addresses need a rule of their own.",
		]);
	});

	it("says the rate", () => {
		const { mode, policy } = network(deck);
		expect(explainNetwork({ mode, policy: { ...policy, bytesPerSecond: 10_485_760 } })).toContain(
			"All of it together moves at most 10,485,760 bytes a second, both directions added up.",
		);
	});

	it("says what has no effect", () => {
		expect(explainNetwork(network(deck, "none"))).toHaveLength(2);
		expect(explainNetwork(network({}, "none"))).toHaveLength(1);
		expect(explainNetwork(network({ udp: ["*:100-200"], dns: ["a.test:80"] })).join(" ")).toMatch(
			/a\.test may.*port 80.*Every public address may be reached by UDP at ports 100-200.*No other name resolves/,
		);
	});
});

describe("denials", () => {
	it("are reported once each, and not without end", () => {
		const events: NetworkEvent[] = [];
		const report = reporter(
			"j",
			(event) => events.push(event),
			() => 5,
		);
		for (let i = 0; i < 3; i++) report(denial({ protocol: "tcp", reason: "no-rule", host: "9.1.1.1", port: 80 }));
		expect(events).toEqual([
			{
				time: 5,
				jail: "j",
				kind: "net.denied",
				protocol: "tcp",
				reason: "no-rule",
				destination: "9.1.1.1:80",
				message:
					"tcp 9.1.1.1:80 refused: no rule of security.network.policy.tcp covers it; --allow-tcp 9.1.1.1:80 would allow it",
				wouldAllow: { flag: "--allow-tcp 9.1.1.1:80", list: "tcp", entry: "9.1.1.1:80" },
			},
		]);
		for (let i = 0; i < 5000; i++) report(denial({ protocol: "tcp", reason: "no-rule", host: "9.1.1.1", port: i }));
		expect(events).toHaveLength(1024);
		report({ kind: "net.dns", name: "a.test", type: "A", answer: "synthetic" });
		expect(events).toHaveLength(1025);
	});
});
