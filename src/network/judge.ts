/** What the kernel will say to a destination, by the same list as its routes: for the notifier, which explains refusals. */

import { contains, type Family, type Ip, ipOfBytes, parseBlock, parseIp } from "./ip.ts";
import { DNS_PORT, link } from "./layout.ts";
import { includesPort } from "./ports.ts";
import { destinations } from "./routes.ts";
import type { Protocol, Rules } from "./rules.ts";

const LOOPBACK = [parseBlock("127.0.0.0/8"), parseBlock("::1/128")];

const AF_INET = 2;
const AF_INET6 = 10;

export interface SocketAddress {
	readonly ip: Ip;
	readonly port: number;
}

/** struct sockaddr_in or sockaddr_in6; undefined for other families and for what is too short. */
export function socketAddressOf(bytes: Uint8Array): SocketAddress | undefined {
	if (bytes.length < 2) return undefined;
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
	const family = view.getUint16(0, true);
	if (family === AF_INET && bytes.length >= 8) return { ip: ipOfBytes(bytes.subarray(4, 8)), port: view.getUint16(2) };
	if (family === AF_INET6 && bytes.length >= 24)
		return { ip: unmapped(bytes.subarray(8, 24)), port: view.getUint16(2) };
	return undefined;
}

/** ::ffff:1.2.3.4 on an IPv6 socket goes out as IPv4 (RFC 4291, 2.5.5.2). */
function unmapped(address: Uint8Array): Ip {
	const isMapped = address.subarray(0, 10).every((byte) => byte === 0) && address[10] === 0xff && address[11] === 0xff;
	return ipOfBytes(isMapped ? address.subarray(12) : address);
}

/** Addresses that never leave the jail. Connecting to the unspecified one means this machine: ip(7), RFC 4291, 2.5.2. */
function staysInside(ip: Ip): boolean {
	const own = parseIp(link[ip.family].jail);
	return ip.value === 0n || LOOPBACK.some((block) => contains(block, ip)) || own?.value === ip.value;
}

/** Will a connection or datagram to this place get through the jail's routes, by any protocol? */
export function judge(rules: Rules, families: readonly Family[]): (to: SocketAddress) => boolean {
	const list = destinations(rules, families).map((one) => ({
		...one,
		block:
			one.to === undefined
				? undefined
				: parseBlock(one.to.includes("/") ? one.to : `${one.to}/${one.family === 4 ? 32 : 128}`),
	}));
	const allows = (protocol: Protocol, { ip, port }: SocketAddress) =>
		list.find(
			(one) =>
				one.family === ip.family &&
				(one.protocol === undefined || one.protocol === protocol) &&
				(one.block === undefined || contains(one.block, ip)) &&
				(one.ports === undefined || includesPort([one.ports], port)),
		)?.allowed ?? false;
	// Port 0 is no destination: resolvers connect there to learn which of their own addresses would be used.
	return (to) => to.port === 0 || to.port === DNS_PORT || staysInside(to.ip) || allows("tcp", to) || allows("udp", to);
}
