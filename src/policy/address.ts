/**
 * IP addresses and blocks → canonical text. The grammar is inet_pton(3)'s: four decimal octets without leading zeros
 * (inet_aton's octal "0177.0.0.1" and short "127.1" are refused), and RFC 4291 section 2.2 for IPv6, without zones.
 * Canonical IPv6 is RFC 5952's.
 */

import type { Parsed } from "./parsed.ts";
import { show } from "./shown.ts";

interface Family {
	readonly bits: number;
	/** Bits per number in `groups`. */
	readonly width: number;
	readonly format: (groups: readonly number[]) => string;
}

const IPV4: Family = { bits: 32, width: 8, format: (groups) => groups.join(".") };
const IPV6: Family = { bits: 128, width: 16, format: formatIPv6 };

/** Four octets, or undefined. */
function parseIPv4(text: string): readonly number[] | undefined {
	const octets = text.split(".");
	if (octets.length !== 4 || !octets.every((octet) => /^(0|[1-9]\d{0,2})$/.test(octet) && Number(octet) <= 255))
		return undefined;
	return octets.map(Number);
}

/** Eight groups of 16 bits, or undefined. */
function parseIPv6(text: string): readonly number[] | undefined {
	const halves = text.split("::");
	if (halves.length > 2) return undefined;
	const head = groupsOf(halves[0] ?? "", halves.length === 1);
	const tail = halves.length === 2 ? groupsOf(halves[1] ?? "", true) : [];
	if (head === undefined || tail === undefined) return undefined;
	const missing = 8 - head.length - tail.length;
	// "::" stands for at least one group (RFC 4291); RFC 5952 forbids writing it for one, but accepts it.
	if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
	return [...head, ...new Array<number>(missing).fill(0), ...tail];
}

/** "a:b:1.2.3.4" → groups; the dotted form only at the very end of the address. */
function groupsOf(text: string, mayEndDotted: boolean): number[] | undefined {
	if (text === "") return [];
	const groups: number[] = [];
	const parts = text.split(":");
	for (const [index, part] of parts.entries()) {
		const dotted = mayEndDotted && index === parts.length - 1 ? parseIPv4(part) : undefined;
		if (dotted !== undefined) {
			const [a = 0, b = 0, c = 0, d = 0] = dotted;
			groups.push(a * 256 + b, c * 256 + d);
		} else if (/^[0-9A-Fa-f]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
		else return undefined;
	}
	return groups;
}

/** RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups as "::". */
function formatIPv6(groups: readonly number[]): string {
	let start = -1;
	let length = 1;
	for (let i = 0; i < groups.length; i++) {
		let end = i;
		while (groups[end] === 0) end++;
		if (end - i > length) {
			start = i;
			length = end - i;
		}
	}
	const hex = groups.map((group) => group.toString(16));
	if (start < 0) return hex.join(":");
	return `${hex.slice(0, start).join(":")}::${hex.slice(start + length).join(":")}`;
}

/** Could this have been meant as an address in dotted numbers: "1.2.3", "0177.0.0.1", "0x7f.1"? */
export function looksNumeric(host: string): boolean {
	return /^(0x[0-9a-f]*|\d+)(\.(0x[0-9a-f]*|\d+))*\.?$/i.test(host);
}

/** "10.0.0.0/8", "1.1.1.1", "FD00::1" → the same in canonical form. */
export function parseAddress(text: string): Parsed<string> {
	const slash = text.indexOf("/");
	const bare = slash < 0 ? text : text.slice(0, slash);
	const family = bare.includes(":") ? IPV6 : IPV4;
	const groups = family === IPV6 ? parseIPv6(bare) : parseIPv4(bare);
	if (groups === undefined) return { problem: notAnAddress(bare) };
	if (family === IPV6 && isMapped(groups)) {
		return { problem: `${show(text)} is an IPv4 address inside IPv6: write it as IPv4` };
	}
	if (slash < 0) return { value: family.format(groups) };
	const prefix = text.slice(slash + 1);
	if (!/^(0|[1-9]\d{0,2})$/.test(prefix) || Number(prefix) > family.bits) {
		return { problem: `expected a prefix length from 0 to ${family.bits} in ${show(text)}` };
	}
	return block(family, groups, Number(prefix), text);
}

function isMapped(groups: readonly number[]): boolean {
	return groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
}

/** A block whose host bits are set is a slip of the pen: refused, with the block that was probably meant. */
function block(family: Family, groups: readonly number[], prefix: number, text: string): Parsed<string> {
	const network = groups.map((group, index) => {
		const kept = Math.min(Math.max(prefix - index * family.width, 0), family.width);
		return group & ~(2 ** (family.width - kept) - 1);
	});
	const canonical = family.format(network);
	if (canonical !== family.format(groups)) {
		return {
			problem: `${show(text)} has bits beyond its prefix: write "${canonical}/${prefix}" for the block, or the address without a prefix`,
		};
	}
	return { value: prefix === family.bits ? canonical : `${canonical}/${prefix}` };
}

function notAnAddress(text: string): string {
	if (text.includes("%")) return `${show(text)} names a zone: addresses with zones are not supported`;
	if (!looksNumeric(text)) return `expected an IP address, got ${show(text)}`;
	const zeros = text.split(".").some((octet) => /^0\d|^0x/i.test(octet));
	return `${show(text)} is not an IPv4 address: ${zeros ? "its numbers must be decimal, without leading zeros" : "it needs four numbers from 0 to 255"}`;
}
