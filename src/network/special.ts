/**
 * Addresses that are not "the Internet": the relay reaches them only where a rule names them.
 * Sources: the IANA special-purpose address registries for IPv4 and IPv6 (RFC 6890), RFC 6052, RFC 3056, RFC 4380.
 */

import { type Block, bytesOf, contains, type Ip, ipOfBytes, parseBlock, within } from "./ip.ts";

export interface SpecialRange {
	readonly block: Block;
	/** What it is, for messages. */
	readonly what: string;
}

const table: readonly (readonly [string, string])[] = [
	["0.0.0.0/8", "this host"],
	["10.0.0.0/8", "private"],
	["100.64.0.0/10", "carrier-grade NAT"],
	["127.0.0.0/8", "loopback"],
	["169.254.0.0/16", "link-local (cloud metadata)"],
	["172.16.0.0/12", "private"],
	["192.0.0.0/24", "protocol assignments"],
	["192.0.2.0/24", "documentation"],
	["192.88.99.0/24", "6to4 relay"],
	["192.168.0.0/16", "private"],
	["198.18.0.0/15", "benchmarking (vmjail's own)"],
	["198.51.100.0/24", "documentation"],
	["203.0.113.0/24", "documentation"],
	["224.0.0.0/4", "multicast"],
	["240.0.0.0/4", "reserved"],
	["::/96", "unspecified, loopback or IPv4-compatible"],
	["::ffff:0:0:0/96", "IPv4-translated"],
	["64:ff9b:1::/48", "private NAT64"],
	["100::/64", "discard-only"],
	["2001::/23", "protocol assignments"],
	["2001:db8::/32", "documentation"],
	["3fff::/20", "documentation"],
	["5f00::/16", "segment routing"],
	["fc00::/7", "private"],
	["fe80::/10", "link-local"],
	["fec0::/10", "site-local"],
	["ff00::/8", "multicast"],
];

export const specialRanges: readonly SpecialRange[] = table.map(([block, what]) => ({
	block: parseBlock(block),
	what,
}));

/** IPv6 addresses that a translator turns into the IPv4 address at byte `at`. */
const translated: readonly { readonly block: Block; readonly at: number }[] = [
	{ block: parseBlock("64:ff9b::/96"), at: 12 }, // NAT64, RFC 6052
	{ block: parseBlock("2002::/16"), at: 2 }, // 6to4, RFC 3056
];

/** The special range that `ip` lies in, or undefined for an ordinary unicast address. Looks through NAT64 and 6to4. */
export function specialRangeOf(ip: Ip): SpecialRange | undefined {
	const direct = specialRanges.find(({ block }) => contains(block, ip));
	if (direct !== undefined) return direct;
	const through = translated.find(({ block }) => contains(block, ip));
	return through === undefined
		? undefined
		: specialRangeOf(ipOfBytes(bytesOf(ip).subarray(through.at, through.at + 4)));
}

/**
 * Does a rule for `block` name the special range `special`, and so open it? Only where it lies wholly inside: "10.1.0.0/16"
 * and "10.0.0.0/8" name private addresses, "*", "0.0.0.0/0" and "8.0.0.0/5" do not.
 */
export function names(block: Block, special: SpecialRange): boolean {
	return within(block, special.block);
}
