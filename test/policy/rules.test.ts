import { isIP } from "node:net";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseAddress } from "../../src/policy/address.ts";
import { canonicalName } from "../../src/policy/names.ts";
import { parseAddressRule, parseNameRule, parsePublishedPort } from "../../src/policy/rules.ts";

const ANY = { from: 0, to: 65535 };

describe("addresses", () => {
	it.each([
		["1.1.1.1", "1.1.1.1"],
		["10.0.0.0/8", "10.0.0.0/8"],
		["0.0.0.0/0", "0.0.0.0/0"],
		["192.168.1.7/32", "192.168.1.7"],
		["255.255.255.254/31", "255.255.255.254/31"],
		["2001:DB8:0:0:0:0:0:1", "2001:db8::1"],
		["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
		["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
		["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
		["::", "::"],
		["::1", "::1"],
		["1::", "1::"],
		["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
		["fd00::/8", "fd00::/8"],
		["::/0", "::/0"],
		["fe80::/10", "fe80::/10"],
		["1:2:3:4:5:6::8", "1:2:3:4:5:6:0:8"],
	])("%s is %s", (text, canonical) => {
		expect(parseAddress(text)).toEqual({ value: canonical });
	});

	it.each([
		["0177.0.0.1", "without leading zeros"],
		["127.0.0.01", "without leading zeros"],
		["0x7f.0.0.1", "must be decimal"],
		["127.1", "four numbers"],
		["2130706433", "four numbers"],
		["256.1.1.1", "four numbers"],
		["1.1.1.1.1", "four numbers"],
		["10.0.0.1/8", 'write "10.0.0.0/8"'],
		["fd00::1/8", 'write "fd00::/8"'],
		["10.0.0.0/33", "0 to 32"],
		["10.0.0.0/08", "0 to 32"],
		["::/129", "0 to 128"],
		["::ffff:1.2.3.4", "write it as IPv4"],
		["::ffff:7f00:1", "write it as IPv4"],
		["fe80::1%eth0", "zone"],
		["1::2::3", "expected an IP address"],
		["1:2:3:4:5:6:7:8:9", "expected an IP address"],
		["1:2:3:4:5:6:7::8", "expected an IP address"],
		["1:2:3:4:5:6:7:8::", "expected an IP address"],
		["12345::", "expected an IP address"],
		["1.2.3.4::", "expected an IP address"],
		["", "expected an IP address"],
	])("%s is refused", (text, words) => {
		expect(parseAddress(text)).toEqual({ problem: expect.stringContaining(words) });
	});

	it("accepts what node:net accepts, zones and IPv4 inside IPv6 aside", () => {
		const odd = fc.array(
			fc.constantFrom("0", "1", "255", "256", "01", ".", ":", "::", "f", "ffff", "12345", "1.2.3.4"),
			{ maxLength: 12 },
		);
		const texts = fc.oneof(
			fc.ipV4(),
			fc.ipV6(),
			odd.map((parts) => parts.join("")),
		);
		fc.assert(
			fc.property(texts, (text) => {
				const parsed = parseAddress(text);
				if ("problem" in parsed && parsed.problem.includes("write it as IPv4")) return;
				expect("value" in parsed).toBe(isIP(text) !== 0);
				if ("value" in parsed) {
					expect(isIP(parsed.value)).toBe(isIP(text));
					expect(parseAddress(parsed.value)).toEqual(parsed);
				}
			}),
			{ numRuns: 2000 },
		);
	});

	it("writes IPv6 as the URL parser does", () => {
		fc.assert(
			fc.property(fc.ipV6(), (text) => {
				const parsed = parseAddress(text);
				fc.pre("value" in parsed);
				expect(`[${"value" in parsed ? parsed.value : ""}]`).toBe(new URL(`http://[${text}]/`).hostname);
			}),
			{ numRuns: 500 },
		);
	});
});

describe("names", () => {
	it.each([
		["NPM.org", "npm.org"],
		["npm.org.", "npm.org"],
		["bücher.example", "xn--bcher-kva.example"],
		["例子。测试", "xn--fsqu00a.xn--0zwm56d"],
		["ＮＰＭ．org", "npm.org"],
		["_dmarc.example", "_dmarc.example"],
		["localhost", "localhost"],
		[`${"a".repeat(63)}.org`, `${"a".repeat(63)}.org`],
	])("%s is %s", (text, name) => {
		expect(canonicalName(text)).toEqual({ value: name });
	});

	it.each([
		["", "expected a domain name"],
		["a..b", "empty label"],
		[".a", "empty label"],
		["a.org..", "empty label"],
		["-a.org", "hyphen"],
		["a b", "cannot be part"],
		["user@host", "cannot be part"],
		["a/b", "cannot be part"],
		["a%41", "cannot be part"],
		["a\0b", "cannot be part"],
		["a\tb", "cannot be part"],
		["xn--a-ecp.ru", "not a valid domain name"],
		["xn--zzzzzzzzzzzz99999999", "not a valid domain name"],
		["127.0.0.1", "address, not a name"],
		["0x7f.1", "address, not a name"],
		["１２７.0.0.1", "address, not a name"],
		["foo.0x7f", "address, not a name"],
		[`${"a".repeat(64)}.org`, "at most 63"],
		[`${"a.".repeat(130)}org`, "at most 253"],
	])("%j is refused", (text, words) => {
		expect(canonicalName(text)).toEqual({ problem: expect.stringContaining(words) });
	});

	it("is idempotent and stays within the letters of a host name", () => {
		fc.assert(
			fc.property(fc.oneof(fc.domain(), fc.string({ unit: "binary" })), (text) => {
				const parsed = canonicalName(text);
				if ("problem" in parsed) return;
				expect(parsed.value).toMatch(/^[a-z0-9._-]{1,253}$/);
				expect(canonicalName(parsed.value)).toEqual(parsed);
			}),
			{ numRuns: 1000 },
		);
	});
});

describe("rules", () => {
	it.each([
		["1.1.1.1:", "1.1.1.1", ANY],
		["1.1.1.1:*", "1.1.1.1", ANY],
		["*:53", "*", { from: 53, to: 53 }],
		["10.0.0.0/8:8000-8100", "10.0.0.0/8", { from: 8000, to: 8100 }],
		["[FD00::1]:443", "fd00::1", { from: 443, to: 443 }],
		["[fd00::]/8:", "fd00::/8", ANY],
		["[fd00::/8]:1-65535", "fd00::/8", { from: 1, to: 65535 }],
	])("%s", (text, host, ports) => {
		expect(parseAddressRule(text)).toEqual({ value: { host, ports, text } });
	});

	it.each([
		["1.1.1.1", 'write "1.1.1.1:443", or "1.1.1.1:*"'],
		["::1:443", "in brackets"],
		["[1.1.1.1]:443", "IPv6 address in the brackets"],
		[":443", "expected a host"],
		["", "expected a host"],
		["npm.org:443", 'put it in "dns"'],
		["*.npm.org:443", 'put it in "dns"'],
		["*.*:1", "expected"],
		["1.1.1.1:0", "1 to 65535"],
		["1.1.1.1:65536", "1 to 65535"],
		["1.1.1.1:080", "1 to 65535"],
		["1.1.1.1:+80", "1 to 65535"],
		["1.1.1.1:80-", "1 to 65535"],
		["1.1.1.1:1-2-3", "1 to 65535"],
		["1.1.1.1:90-80", 'write "80-90"'],
		["0177.0.0.1:80", "leading zeros"],
		["10.0.0.1/8:80", "bits beyond its prefix"],
	])("%s is refused", (text, words) => {
		expect(parseAddressRule(text)).toEqual({ problem: expect.stringContaining(words) });
	});

	it.each([
		["*.npm.org:*", "npm.org", true, ANY],
		["python.org:443", "python.org", false, { from: 443, to: 443 }],
		["Python.ORG.:", "python.org", false, ANY],
	])("%s", (text, name, subdomains, ports) => {
		expect(parseNameRule(text)).toEqual({ value: { name, subdomains, ports, text } });
	});

	it.each([
		["python.org", 'write "python.org:443"'],
		["*:443", "every name"],
		["a.*.org:443", "whole first label"],
		["*foo.org:443", "whole first label"],
		["*.*.org:443", "whole first label"],
		["1.1.1.1:443", 'put it in "tcp" or "udp"'],
		["[::1]:443", 'put it in "tcp" or "udp"'],
		["*.:443", "expected a domain name"],
	])("%s is refused", (text, words) => {
		expect(parseNameRule(text)).toEqual({ problem: expect.stringContaining(words) });
	});

	it.each([
		[80, "127.0.0.1", 80, 80],
		["80", "127.0.0.1", 80, 80],
		["8080->80", "127.0.0.1", 8080, 80],
		["0.0.0.0:8080->80", "0.0.0.0", 8080, 80],
		["[::1]:8080->80", "::1", 8080, 80],
	])("publishes %s", (input, hostAddress, hostPort, jailPort) => {
		expect(parsePublishedPort(input)).toEqual({ value: { hostAddress, hostPort, jailPort } });
	});

	it.each([
		[0, "expected a port"],
		[65536, "expected a port"],
		[80.5, "expected a port"],
		["http", "expected a port"],
		["8080->", "expected a port"],
		["1->2->3", "expected a port"],
		["0.0.0.0:8080", 'write "0.0.0.0:8080->8080"'],
		["::1:8080->80", "in brackets"],
		["10.0.0.0/8:8080->80", "one address"],
		["0177.0.0.1:8080->80", "leading zeros"],
		["example.org:8080->80", "expected an IP address"],
	])("refuses to publish %s", (input, words) => {
		expect(parsePublishedPort(input)).toEqual({ problem: expect.stringContaining(words) });
	});
});
