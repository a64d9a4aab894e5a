/** The gateway's sockets, opened inside G and sent to vmjail, as steps. docs/network.md says which and why. */

import { AF_INET, CLONE_NEW, O_CLOEXEC, SOCK_DGRAM } from "../../plan/constants.ts";
import { struct } from "../../plan/steps.ts";
import type { Arg, Bytes, Step, Workload } from "../../plan/types.ts";
import { bytesOf, type Family, parseIp } from "../ip.ts";
import { DNS_PORT, link, TCP_PORT, UDP_PORT } from "../layout.ts";
import { JAIL } from "./tools.ts";

const AF_INET6 = 10;
const AF_NETLINK = 16;
const NETLINK_NETFILTER = 12;
const SOCK_STREAM = 1;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const IPPROTO_RAW = 255;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SOL_IP = 0;
const IP_TRANSPARENT = 19;
const IP_RECVORIGDSTADDR = 20;
const SOL_IPV6 = 41;
const IPV6_V6ONLY = 26;
const IPV6_HDRINCL = 36;
const IPV6_RECVORIGDSTADDR = 74;
const IPV6_TRANSPARENT = 75;

const BACKLOG = 4096;

export type SocketName = "tcp4" | "tcp6" | "dnsUdp" | "dnsTcp" | "udp4" | "udp6" | "send4" | "send6" | "tracked";

type Option = readonly [level: number, name: number, value: 0 | 1];

interface SocketPlan {
	readonly name: SocketName;
	readonly family: Family;
	readonly type: number;
	readonly protocol: number;
	readonly options: readonly Option[];
	/** Bound to this port of every address, or connected to the jail. */
	readonly port?: number;
}

const REUSE: Option = [SOL_SOCKET, SO_REUSEADDR, 1];
const TRANSPARENT: Readonly<Record<Family, readonly Option[]>> = {
	4: [REUSE, [SOL_IP, IP_TRANSPARENT, 1]],
	6: [REUSE, [SOL_IPV6, IPV6_V6ONLY, 1], [SOL_IPV6, IPV6_TRANSPARENT, 1]],
};
const ORIGINAL: Readonly<Record<Family, Option>> = {
	4: [SOL_IP, IP_RECVORIGDSTADDR, 1],
	6: [SOL_IPV6, IPV6_RECVORIGDSTADDR, 1],
};

function plans(families: readonly Family[], udp: boolean): readonly SocketPlan[] {
	const six = families.includes(6);
	const both: Option = [SOL_IPV6, IPV6_V6ONLY, 0];
	const dns: Omit<SocketPlan, "name" | "type"> = {
		family: six ? 6 : 4,
		protocol: 0,
		port: DNS_PORT,
		options: six ? [REUSE, both] : [REUSE],
	};
	const tcp = families.map(
		(family): SocketPlan => ({
			name: `tcp${family}`,
			family,
			type: SOCK_STREAM,
			protocol: 0,
			options: TRANSPARENT[family],
			port: TCP_PORT,
		}),
	);
	const datagrams = families.flatMap((family): readonly SocketPlan[] => [
		{
			name: `udp${family}`,
			family,
			type: SOCK_DGRAM,
			protocol: 0,
			options: [...TRANSPARENT[family], ORIGINAL[family]],
			port: UDP_PORT,
		},
		{
			name: `send${family}`,
			family,
			type: SOCK_RAW,
			protocol: IPPROTO_RAW,
			options: family === 6 ? [[SOL_IPV6, IPV6_HDRINCL, 1]] : [], // IPPROTO_RAW implies it for IPv4
		},
	]);
	return [
		...tcp,
		{ name: "dnsUdp", type: SOCK_DGRAM, ...dns },
		{ name: "dnsTcp", type: SOCK_STREAM, ...dns },
		...(udp ? datagrams : []),
	];
}

/** struct sockaddr_in or sockaddr_in6. */
function socketAddress(family: Family, address: Uint8Array, port: number): Bytes {
	const shown = `{${family === 4 ? "AF_INET" : "AF_INET6"}, port ${port}}`;
	const bigEndian = ((port & 0xff) << 8) | (port >> 8);
	const fields =
		family === 4
			? [{ u16: AF_INET }, { u16: bigEndian }, { zeros: 12 }]
			: [{ u16: AF_INET6 }, { u16: bigEndian }, { zeros: 24 }];
	const block = struct(shown, fields);
	block.bytes.set(address, family === 4 ? 4 : 8);
	return block;
}

function stepsOf(plan: SocketPlan): readonly Step[] {
	const { name, family, port } = plan;
	const slot = { slot: name };
	const zeros = new Uint8Array(family === 4 ? 4 : 16);
	const jail = parseIp(link[family].jail);
	const address = port === undefined && jail !== undefined ? bytesOf(jail) : zeros;
	const where = socketAddress(family, address, port ?? 0);
	const place: readonly Arg[] = [slot, where, where.bytes.length];
	return [
		{
			label: `open the gateway's socket ${name}`,
			call: "socket",
			args: [family === 4 ? AF_INET : AF_INET6, plan.type | SOCK_NONBLOCK | O_CLOEXEC, plan.protocol],
			save: name,
		},
		...plan.options.map(
			([level, option, value]): Step => ({
				label: `set option ${level}:${option} of ${name}`,
				call: "setsockopt",
				args: [slot, level, option, struct(`[${value}]`, [{ u32: value }]), 4],
			}),
		),
		port === undefined
			? { label: `connect ${name} to the jail`, call: "connect", args: place }
			: { label: `bind ${name} to port ${port}`, call: "bind", args: place },
		...(plan.type === SOCK_STREAM
			? [{ label: `listen on ${name}`, call: "listen", args: [slot, BACKLOG] } as const]
			: []),
		{ label: `hand ${name} to vmjail`, call: "send_descriptor", args: [slot] },
	];
}

/** A way to G's connection tracking. Who uses it must have CAP_NET_ADMIN over G too, as whoever made G's user namespace has. */
function trackedSteps(): readonly Step[] {
	const name: SocketName = "tracked";
	return [
		{
			label: "open the gateway's connection tracking",
			call: "socket",
			args: [AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | O_CLOEXEC, NETLINK_NETFILTER],
			save: name,
		},
		{ label: "hand it to vmjail", call: "send_descriptor", args: [{ slot: name }] },
	];
}

export interface WantedSockets {
	/** See `needsUdp`. */
	readonly udp: boolean;
	/** For a gateway that serves one program after the other. */
	readonly renewed: boolean;
}

/** Steps of a process in G that open the sockets and send them, in the order of `names`. */
export function socketSteps(
	families: readonly Family[],
	{ udp, renewed }: WantedSockets,
): { readonly names: readonly SocketName[]; readonly steps: readonly Step[] } {
	const all = plans(families, udp);
	const names = all.map(({ name }) => name);
	const steps = all.flatMap(stepsOf);
	return renewed ? { names: [...names, "tracked"], steps: [...steps, ...trackedSteps()] } : { names, steps };
}

/** A workload that opens a connection to a port of the jail's own loopback, from inside, and sends it. */
export function dialWorkload(port: number): Workload {
	const jail = { slot: JAIL };
	const address = socketAddress(4, new Uint8Array([127, 0, 0, 1]), port);
	return {
		cloneFlags: 0n,
		before: [],
		parent: [],
		descriptors: [jail.slot],
		child: [
			{ label: "enter the jail's network namespace", call: "setns", args: [jail, CLONE_NEW.network] },
			{
				label: "open a socket in the jail",
				call: "socket",
				args: [AF_INET, SOCK_STREAM | O_CLOEXEC, 0],
				save: "dialled",
			},
			{
				label: `connect to port ${port} of the jail`,
				call: "connect",
				args: [{ slot: "dialled" }, address, address.bytes.length],
			},
			{ label: "hand the connection to vmjail", call: "send_descriptor", args: [{ slot: "dialled" }] },
			{ label: "be done", call: "exit_group", args: [0] },
		],
	};
}
