/** A UDP datagram as a whole IP packet, for a raw socket with IP_HDRINCL (raw(7)): the only way to answer from the jail's destination. Pure. */

import { bytesOf, type Ip } from "../ip.ts";

export interface Endpoint {
	readonly ip: Ip;
	readonly port: number;
}

const UDP = 17;
const UDP_HEADER = 8;
/** What IP and UDP headers leave of 65,535 bytes. */
const MOST_PAYLOAD: Readonly<Record<4 | 6, number>> = { 4: 65_507, 6: 65_487 };

/** The packet; undefined where the payload is too large for one. Both ends are of one family. */
export function udpPacket(payload: Uint8Array, from: Endpoint, to: Endpoint): Uint8Array | undefined {
	const { family } = from.ip;
	if (payload.length > MOST_PAYLOAD[family]) return undefined;
	const source = bytesOf(from.ip);
	const destination = bytesOf(to.ip);
	const datagram = Buffer.alloc(UDP_HEADER + payload.length);
	datagram.writeUInt16BE(from.port, 0);
	datagram.writeUInt16BE(to.port, 2);
	datagram.writeUInt16BE(datagram.length, 4);
	datagram.set(payload, UDP_HEADER);
	const pseudo = Buffer.alloc(4);
	pseudo.writeUInt16BE(UDP, 0);
	pseudo.writeUInt16BE(datagram.length, 2);
	// RFC 768: a checksum of zero means none; zero is sent as its equal, all ones.
	datagram.writeUInt16BE(checksum([source, destination, pseudo, datagram]) || 0xffff, 6);
	return Buffer.concat([
		family === 4 ? ipv4Header(source, destination, datagram.length) : ipv6Header(source, destination, datagram.length),
		datagram,
	]);
}

/** The kernel fills in identification and checksum (raw(7)). */
function ipv4Header(source: Uint8Array, destination: Uint8Array, length: number): Uint8Array {
	const header = Buffer.alloc(20);
	header[0] = 0x45;
	header.writeUInt16BE(20 + length, 2);
	header[8] = 64;
	header[9] = UDP;
	header.set(source, 12);
	header.set(destination, 16);
	return header;
}

function ipv6Header(source: Uint8Array, destination: Uint8Array, length: number): Uint8Array {
	const header = Buffer.alloc(40);
	header[0] = 0x60;
	header.writeUInt16BE(length, 4);
	header[6] = UDP;
	header[7] = 64;
	header.set(source, 8);
	header.set(destination, 24);
	return header;
}

/** RFC 1071. Every part but the last has an even length. */
function checksum(parts: readonly Uint8Array[]): number {
	let sum = 0;
	for (const part of parts) {
		for (let i = 0; i < part.length; i += 2) sum += ((part[i] ?? 0) << 8) | (part[i + 1] ?? 0);
	}
	while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
	return ~sum & 0xffff;
}
