/** IP addresses and blocks as numbers. Text goes through net.isIP first: no octal, no short forms, no zones. */

import { isIP } from "node:net";
import ipaddr from "ipaddr.js";

export type Family = 4 | 6;

export interface Ip {
	readonly family: Family;
	/** 32 or 128 bits. */
	readonly value: bigint;
}

/** Addresses `first` to `last`, both inside; always a whole CIDR block. */
export interface Block {
	readonly family: Family;
	readonly prefix: number;
	readonly first: bigint;
	readonly last: bigint;
}

const MAPPED_PREFIX = 0xffffn << 32n;

export function bitsOf(family: Family): 32 | 128 {
	return family === 4 ? 32 : 128;
}

/** An address as inet_pton(3) reads it; undefined for anything else. IPv4 inside IPv6 (::ffff:a.b.c.d) comes out as IPv4. */
export function parseIp(text: string): Ip | undefined {
	if (text.includes("%") || isIP(text) === 0) return undefined;
	return ipOfBytes(Uint8Array.from(ipaddr.parse(text).toByteArray()));
}

/** 4 or 16 bytes in network order. A mapped IPv4 address comes out as IPv4. */
export function ipOfBytes(bytes: Uint8Array): Ip {
	const value = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
	if (bytes.length === 4) return { family: 4, value };
	return value >> 32n === MAPPED_PREFIX >> 32n ? { family: 4, value: value & 0xffff_ffffn } : { family: 6, value };
}

/** 4 or 16 bytes in network order. */
export function bytesOf(ip: Ip): Uint8Array {
	const bytes = new Uint8Array(bitsOf(ip.family) / 8);
	let rest = ip.value;
	for (let i = bytes.length - 1; i >= 0; i--) {
		bytes[i] = Number(rest & 0xffn);
		rest >>= 8n;
	}
	return bytes;
}

/** Canonical text: dotted decimal, or RFC 5952. */
export function formatIp(ip: Ip): string {
	const parsed = ipaddr.fromByteArray([...bytesOf(ip)]);
	return parsed.kind() === "ipv6" ? (parsed as ipaddr.IPv6).toRFC5952String() : parsed.toString();
}

/** "[::1]:80", "1.2.3.4:80". */
export function formatEndpoint(host: string, port: number): string {
	return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** "10.0.0.0/8", "1.1.1.1". The text comes from a parsed policy or from a table: anything else is a mistake of the caller. */
export function parseBlock(text: string): Block {
	const [address = "", prefixText] = text.split("/");
	const ip = parseIp(address);
	if (ip === undefined) throw new TypeError(`not an address block: ${JSON.stringify(text)}`);
	return blockOf(ip, prefixText === undefined ? bitsOf(ip.family) : Number(prefixText));
}

/** The block of `prefix` bits that `ip` lies in. */
export function blockOf(ip: Ip, prefix: number): Block {
	const hostBits = BigInt(bitsOf(ip.family) - prefix);
	const first = (ip.value >> hostBits) << hostBits;
	return { family: ip.family, prefix, first, last: first + (1n << hostBits) - 1n };
}

export function formatBlock(block: Block): string {
	const address = formatIp({ family: block.family, value: block.first });
	return block.prefix === bitsOf(block.family) ? address : `${address}/${block.prefix}`;
}

export function contains(block: Block, ip: Ip): boolean {
	return block.family === ip.family && block.first <= ip.value && ip.value <= block.last;
}

/** Is every address of `inner` in `outer`? */
export function within(inner: Block, outer: Block): boolean {
	return inner.family === outer.family && outer.first <= inner.first && inner.last <= outer.last;
}

export function overlaps(a: Block, b: Block): boolean {
	return a.family === b.family && a.first <= b.last && b.first <= a.last;
}
