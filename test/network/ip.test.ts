import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
	blockOf,
	bytesOf,
	contains,
	formatBlock,
	formatEndpoint,
	formatIp,
	ipOfBytes,
	overlaps,
	parseBlock,
	parseIp,
	within,
} from "../../src/network/ip.ts";
import { specialRangeOf } from "../../src/network/special.ts";

const ip = fc
	.oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 }))
	.map(ipOfBytes);

describe("addresses", () => {
	it("are the same as text, bytes and number", () => {
		fc.assert(
			fc.property(ip, (address) => {
				expect(parseIp(formatIp(address))).toEqual(address);
				expect(ipOfBytes(bytesOf(address))).toEqual(address);
			}),
		);
	});

	it.each(["0177.0.0.1", "127.1", "1.2.3", "0x7f.0.0.1", "fe80::1%eth0", "1.2.3.4 ", "", "::g", "2130706433"])(
		"%j is none",
		(text) => {
			expect(parseIp(text)).toBeUndefined();
		},
	);

	it("inside IPv6 are IPv4", () => {
		expect(parseIp("::ffff:127.0.0.1")).toEqual(parseIp("127.0.0.1"));
	});

	it("never make the parser throw", () => {
		fc.assert(fc.property(fc.string(), (text) => void parseIp(text)));
	});

	it("are shown with their port", () => {
		expect([formatEndpoint("::1", 80), formatEndpoint("1.2.3.4", 80), formatEndpoint("a.b", 80)]).toEqual([
			"[::1]:80",
			"1.2.3.4:80",
			"a.b:80",
		]);
	});
});

describe("blocks", () => {
	it("hold their addresses and lie within shorter ones", () => {
		fc.assert(
			fc.property(ip, fc.nat(128), fc.nat(128), (address, a, b) => {
				const bits = address.family === 4 ? 32 : 128;
				const [short, long] = [Math.min(a, b) % (bits + 1), Math.max(a, b) % (bits + 1)].sort((x, y) => x - y) as [
					number,
					number,
				];
				const outer = blockOf(address, short);
				const inner = blockOf(address, long);
				expect(
					contains(outer, address) && contains(inner, address) && within(inner, outer) && overlaps(inner, outer),
				).toBe(true);
				expect(parseBlock(formatBlock(inner))).toEqual(inner);
				expect(within(outer, inner)).toBe(short === long);
			}),
		);
	});

	it("of two families never meet", () => {
		expect(overlaps(parseBlock("0.0.0.0/0"), parseBlock("::/0"))).toBe(false);
	});

	it("are a mistake of the caller where they are no blocks", () => {
		expect(() => parseBlock("example.org")).toThrow(TypeError);
	});
});

describe("special addresses", () => {
	it.each([
		["127.0.0.1", "loopback"],
		["10.1.2.3", "private"],
		["172.31.255.255", "private"],
		["192.168.0.1", "private"],
		["100.64.0.1", "carrier-grade NAT"],
		["169.254.169.254", "link-local (cloud metadata)"],
		["0.0.0.0", "this host"],
		["224.0.0.1", "multicast"],
		["255.255.255.255", "reserved"],
		["::1", "unspecified, loopback or IPv4-compatible"],
		["::ffff:10.0.0.1", "private"],
		["64:ff9b::7f00:1", "loopback"],
		["2002:a00:1::1", "private"],
		["fe80::1", "link-local"],
		["fd00:ec2::254", "private"],
		["ff02::1", "multicast"],
	])("%s: %s", (text, what) => {
		const address = parseIp(text);
		expect(address && specialRangeOf(address)?.what).toBe(what);
	});

	it.each(["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1", "64:ff9b::101:101", "2002:101:101::1"])(
		"%s: none",
		(text) => {
			const address = parseIp(text);
			expect(address && specialRangeOf(address)).toBeUndefined();
		},
	);
});
