/**
 * The addresses, names and numbers of a jail's two network namespaces: S, where the jail is, and G, its gateway. The same for
 * every jail: each has its own pair of namespaces, and nothing of it is ever seen outside.
 */

import { type Block, blockOf, type Family, formatIp } from "./ip.ts";

/** The veth pair: its end in S, its end in G. */
export const JAIL_LINK = "eth0";
export const GATEWAY_LINK = "jail0";

/** Largest veth MTU: local traffic needs no small packets, and a UDP datagram of any size passes in one piece. */
export const LINK_MTU = 65535;

interface Link {
	readonly jail: string;
	readonly gateway: string;
	readonly prefix: number;
}

/** Out of the ranges that are vmjail's own inside a jail, so that no rule of a policy can mean them. */
export const link: Readonly<Record<Family, Link>> = {
	4: { jail: "198.19.255.254", gateway: "198.19.255.253", prefix: 30 },
	6: { jail: "fd76:6d6a:6169:6c00::2", gateway: "fd76:6d6a:6169:6c00::1", prefix: 126 },
};

/**
 * Everything vmjail hands out: links and synthetic addresses. 198.18.0.0/15 is RFC 2544's, fd76:6d6a:6169::/48 is a ULA.
 * As numbers, since every start comes through here and reading text takes long.
 */
export const own: Readonly<Record<Family, Block>> = {
	4: blockOf({ family: 4, value: 0xc612_0000n }, 15),
	6: blockOf({ family: 6, value: 0xfd76_6d6a_6169n << 80n }, 48),
};

/** Where synthetic addresses come from: 17 bits, counted alike in both families. */
export const synthetic: Readonly<Record<Family, Block>> = {
	4: own[4],
	6: blockOf({ family: 6, value: 0xfd76_6d6a_6169_6c01n << 64n }, 111),
};
export const SYNTHETIC_BITS = 17;

/** Ports of the sockets in G. The DNS server's is the protocol's own; the jail cannot address the other two. */
export const DNS_PORT = 53;
export const TCP_PORT = 8001;
export const UDP_PORT = 8002;

/** Firewall mark and routing table of what G takes as its own (TPROXY). */
export const TPROXY_MARK = 1;
export const TPROXY_TABLE = 100;

/** The address at `offset` (0 to 2^17 − 1) of the synthetic range. */
export function syntheticAddress(family: Family, offset: number): string {
	return formatIp({ family, value: synthetic[family].first + BigInt(offset) });
}

/** What the jail's /etc/resolv.conf must say. */
export function resolvConf(): string {
	return `nameserver ${link[4].gateway}\n`;
}
