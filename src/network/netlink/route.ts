/** Settings of a network namespace as messages of rtnetlink(7). */

import type { SlotName } from "../../plan/types.ts";
import { bytesOf, type Family, parseBlock, parseIp } from "../ip.ts";
import { isAnyPort } from "../ports.ts";
import { MAIN_TABLE, type Setting, settingLine } from "../settings.ts";
import { type Attribute, bytes32, type Message } from "./message.ts";

const RTM_NEWLINK = 16;
const RTM_NEWADDR = 20;
const RTM_NEWROUTE = 24;
const RTM_NEWRULE = 32;
const CREATE = 0x400 | 0x200; // NLM_F_CREATE, NLM_F_EXCL

const AF: Readonly<Record<Family, number>> = { 4: 2, 6: 10 };
const IFLA = { name: 3, mtu: 4, linkInfo: 18, netnsFd: 28 } as const;
const IFLA_INFO = { kind: 1, data: 2 } as const;
const VETH_INFO_PEER = 1;
const IFA = { address: 1, local: 2 } as const;
const IFA_F_NODAD = 2;
const RTA = { oif: 4, gateway: 5 } as const;
const FRA = { destination: 1, priority: 6, mark: 10, table: 15, protocol: 22, destinationPorts: 24 } as const;
const FR_ACT = { table: 1, prohibit: 8 } as const;
const RTN = { unicast: 1, local: 2 } as const;
const RT_SCOPE = { universe: 0, host: 254 } as const;
const RTPROT_BOOT = 3;
const IFF_UP = 1;
const PROTOCOL = { tcp: 6, udp: 17 } as const;

/** Numbers of links: "lo" always has this one; the pair gets one that no other link of a new namespace has. */
const LOOPBACK_INDEX = 1;
const PAIR_INDEX = 1000;

/** @param peer the open network namespace for the other end of a veth pair */
export function messageOf(setting: Setting, peer: SlotName): Message {
	const shown = settingLine(setting, "<the jail's namespace>");
	switch (setting.kind) {
		case "veth":
			return {
				type: RTM_NEWLINK,
				flags: CREATE,
				head: linkHead(PAIR_INDEX),
				attributes: vethAttributes(setting, peer),
				shown,
			};
		case "up":
			return { type: RTM_NEWLINK, flags: 0, head: linkHead(indexOf(setting.dev), IFF_UP), attributes: [], shown };
		case "address":
			return addressMessage(setting, shown);
		case "route":
			return routeMessage(setting, shown);
		case "rule":
			return ruleMessage(setting, shown);
		default:
			return setting satisfies never;
	}
}

function indexOf(dev: string): number {
	return dev === "lo" ? LOOPBACK_INDEX : PAIR_INDEX;
}

/** struct ifinfomsg. `up`: IFF_UP, to be set. */
function linkHead(index: number, up = 0): Uint8Array {
	return Uint8Array.of(0, 0, 0, 0, ...bytes32(index), ...bytes32(up), ...bytes32(up));
}

function vethAttributes(
	{ dev, peer, mtu }: Extract<Setting, { kind: "veth" }>,
	namespace: SlotName,
): readonly Attribute[] {
	const name = (text: string): Attribute => ({ type: IFLA.name, text });
	const other: readonly Attribute[] = [
		name(peer),
		{ type: IFLA.mtu, u32: mtu },
		{ type: IFLA.netnsFd, slot: namespace },
	];
	return [
		name(dev),
		{ type: IFLA.mtu, u32: mtu },
		{
			type: IFLA.linkInfo,
			nested: [
				{ type: IFLA_INFO.kind, bytes: new TextEncoder().encode("veth") },
				{
					type: IFLA_INFO.data,
					nested: [{ type: VETH_INFO_PEER, head: linkHead(PAIR_INDEX), nested: other }],
				},
			],
		},
	];
}

/** struct ifaddrmsg. No duplicate address detection: the pair has two ends, and an address must be usable at once. */
function addressMessage(
	{ family, dev, address, prefix }: Extract<Setting, { kind: "address" }>,
	shown: string,
): Message {
	const bytes = addressBytes(address);
	const head = Uint8Array.of(AF[family], prefix, family === 6 ? IFA_F_NODAD : 0, 0, ...bytes32(indexOf(dev)));
	const attributes = [
		{ type: IFA.local, bytes },
		{ type: IFA.address, bytes },
	];
	return { type: RTM_NEWADDR, flags: CREATE, head, attributes, shown };
}

/** struct rtmsg, to every destination. */
function routeMessage(route: Extract<Setting, { kind: "route" }>, shown: string): Message {
	const { family, type, dev, via, table = MAIN_TABLE } = route;
	const scope = type === "local" ? RT_SCOPE.host : RT_SCOPE.universe;
	const head = Uint8Array.of(AF[family], 0, 0, 0, table, RTPROT_BOOT, scope, RTN[type], ...bytes32(0));
	const attributes: readonly Attribute[] = [
		...(via === undefined ? [] : [{ type: RTA.gateway, bytes: addressBytes(via) }]),
		{ type: RTA.oif, u32: indexOf(dev) },
	];
	return { type: RTM_NEWROUTE, flags: CREATE, head, attributes, shown };
}

/** struct fib_rule_hdr. */
function ruleMessage(rule: Extract<Setting, { kind: "rule" }>, shown: string): Message {
	const { family, priority, to, protocol, ports, mark, action } = rule;
	const block = to === undefined ? undefined : parseBlock(to);
	const table = action === "prohibit" ? 0 : action.table;
	const kind = action === "prohibit" ? FR_ACT.prohibit : FR_ACT.table;
	const head = Uint8Array.of(AF[family], block?.prefix ?? 0, 0, 0, table, 0, 0, kind, ...bytes32(0));
	const attributes: readonly Attribute[] = [
		{ type: FRA.priority, u32: priority },
		...(block === undefined ? [] : [{ type: FRA.destination, bytes: bytesOf({ family, value: block.first }) }]),
		...(mark === undefined ? [] : [{ type: FRA.mark, u32: mark }]),
		...(protocol === undefined ? [] : [{ type: FRA.protocol, u8: PROTOCOL[protocol] }]),
		...(ports === undefined || isAnyPort(ports)
			? []
			: [{ type: FRA.destinationPorts, bytes: bytes32(ports.from | (ports.to << 16)) }]),
		...(action === "prohibit" ? [] : [{ type: FRA.table, u32: action.table }]),
	];
	return { type: RTM_NEWRULE, flags: CREATE, head, attributes, shown };
}

function addressBytes(text: string): Uint8Array {
	const ip = parseIp(text);
	if (ip === undefined) throw new TypeError(`not an address: ${text}`);
	return bytesOf(ip);
}
