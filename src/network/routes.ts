/** (Rules) → the settings of both namespaces. */

import type { PortRange } from "../policy/types.ts";
import { type Family, formatBlock, within } from "./ip.ts";
import {
	DNS_PORT,
	GATEWAY_LINK,
	JAIL_LINK,
	LINK_MTU,
	link,
	own,
	synthetic,
	TPROXY_MARK,
	TPROXY_TABLE,
} from "./layout.ts";
import { type CompiledRule, hasWideRules, type Protocol, type Rules } from "./rules.ts";
import { MAIN_TABLE, type Setting, type Sysctl } from "./settings.ts";
import { specialRanges } from "./special.ts";

/** A destination in the order in which the kernel is to ask: the first that matches decides. */
export interface Destination {
	readonly family: Family;
	readonly protocol?: Protocol;
	/** Absent: any address. */
	readonly to?: string;
	readonly ports?: PortRange;
	readonly allowed: boolean;
}

const protocols: readonly Protocol[] = ["tcp", "udp"];

/**
 * What the jail may reach, as one list for routes in S and for nft in G: names first, then vmjail's own addresses (refused), rules
 * that name special addresses, special addresses (refused), all other rules. What matches nothing is refused.
 */
export function destinations(rules: Rules, families: readonly Family[]): readonly Destination[] {
	const list = families.flatMap((family): readonly Destination[] => [
		...nameDestinations(rules, family),
		{ family, to: formatBlock(own[family]), allowed: false },
		...ruleDestinations(rules, family, true),
		...(hasWideRules(rules) ? specialDestinations(family) : []),
		...ruleDestinations(rules, family, false),
	]);
	return list.filter(({ ports }) => ports === undefined || !isDnsOnly(ports));
}

/** Port 53 is the DNS server's, whatever the rules say: see `jailSettings` and nft's chain "dns". */
function isDnsOnly({ from, to }: PortRange): boolean {
	return from === DNS_PORT && to === DNS_PORT;
}

function nameDestinations(rules: Rules, family: Family): readonly Destination[] {
	const tcp = rules.classes.flatMap(({ blocks, ports }) =>
		ports.map(
			(range): Destination => ({
				family,
				protocol: "tcp",
				to: formatBlock(blocks[family]),
				ports: range,
				allowed: true,
			}),
		),
	);
	// UDP to a name: `dns` rules are about TCP, so only a `udp` rule for every address opens it.
	const to = formatBlock(synthetic[family]);
	const udp = rules.dns.length === 0 ? [] : rules.anywhere.udp;
	return [...tcp, ...udp.map((ports): Destination => ({ family, protocol: "udp", to, ports, allowed: true }))];
}

function ruleDestinations(rules: Rules, family: Family, named: boolean): readonly Destination[] {
	const wanted = (rule: CompiledRule) =>
		rule.named === named && (rule.block === undefined || rule.block.family === family);
	return protocols.flatMap((protocol) =>
		rules[protocol].filter(wanted).map(({ block, ports }): Destination => {
			const any = block === undefined || block.prefix === 0;
			return { family, protocol, ...(any ? {} : { to: formatBlock(block) }), ports, allowed: true };
		}),
	);
}

function specialDestinations(family: Family): readonly Destination[] {
	return specialRanges
		.filter(({ block }) => block.family === family && !within(block, own[family]))
		.map(({ block }) => ({ family, to: formatBlock(block), allowed: false }));
}

/** The first routing rule of S: after the one for the namespace's own addresses (0), before the kernel's last two (32766, 32767). */
const FIRST_PRIORITY = 100;
const LAST_PRIORITY = 32765;

/** Settings of S, to be applied after those of G. What no rule covers answers EACCES to connect(2) and sendto(2). */
export function jailSettings(rules: Rules, families: readonly Family[]): readonly Setting[] {
	const dns = families.flatMap((family) =>
		protocols.map(
			(protocol): Destination => ({ family, protocol, ports: { from: DNS_PORT, to: DNS_PORT }, allowed: true }),
		),
	);
	const allowed = [...dns, ...destinations(rules, families)];
	return [
		...bringUp(JAIL_LINK, "jail", families),
		...families.map(
			(family): Setting => ({ kind: "route", family, type: "unicast", dev: JAIL_LINK, via: link[family].gateway }),
		),
		...allowed.map(
			({ allowed, ...match }, index): Setting => ({
				kind: "rule",
				...match,
				priority: FIRST_PRIORITY + index,
				action: allowed ? { table: MAIN_TABLE } : "prohibit",
			}),
		),
		...families.map((family): Setting => ({ kind: "rule", family, priority: LAST_PRIORITY, action: "prohibit" })),
	];
}

/** Settings of G: first of all, since they make both ends of the pair. */
export function gatewaySettings(families: readonly Family[]): readonly Setting[] {
	return [
		{ kind: "veth", dev: GATEWAY_LINK, peer: JAIL_LINK, mtu: LINK_MTU },
		...bringUp(GATEWAY_LINK, "gateway", families),
		...families.flatMap((family): readonly Setting[] => [
			{ kind: "rule", family, priority: FIRST_PRIORITY, mark: TPROXY_MARK, action: { table: TPROXY_TABLE } },
			{ kind: "route", family, type: "local", dev: "lo", table: TPROXY_TABLE },
		]),
	];
}

function bringUp(dev: string, side: "jail" | "gateway", families: readonly Family[]): readonly Setting[] {
	return [
		{ kind: "up", dev: "lo" },
		...families.map(
			(family): Setting => ({ kind: "address", family, dev, address: link[family][side], prefix: link[family].prefix }),
		),
		{ kind: "up", dev },
	];
}

/** First, in both: a host that has IPv6 switched off, and has new namespaces inherit that, still has it between S and G. */
export function familySysctls(families: readonly Family[]): readonly Sysctl[] {
	if (!families.includes(6)) return [];
	return ["all", "default"].map((which) => ({ path: `ipv6/conf/${which}/disable_ipv6`, value: "0" }));
}

/** In S: answers come from addresses for which S has no ordinary route, which a strict reverse path filter would drop. */
export const jailSysctls: readonly Sysctl[] = [
	{ path: "ipv4/conf/all/rp_filter", value: "0" },
	{ path: `ipv4/conf/${JAIL_LINK}/rp_filter`, value: "0" },
	// Which ports are published is the gateway's business; inside, a program without capabilities may use any.
	{ path: "ipv4/ip_unprivileged_port_start", value: "0" },
];

/** In the S of a jail that is used again: nothing of a closed connection stays for the next program to meet, or to ask for. */
export const renewedSysctls: readonly Sysctl[] = [
	{ path: "ipv4/tcp_max_tw_buckets", value: "0" },
	{ path: "ipv4/tcp_no_metrics_save", value: "1" },
];

/**
 * In G: nothing is ever forwarded; and refusals are not rationed, or a program that is refused often would wait for time-outs
 * instead. Files that do not exist (a kernel without IPv6) are passed over.
 */
export const gatewaySysctls: readonly Sysctl[] = [
	{ path: "ipv4/ip_forward", value: "0" },
	{ path: "ipv6/conf/all/forwarding", value: "0" },
	{ path: "ipv4/conf/all/route_localnet", value: "0" },
	{ path: `ipv4/conf/${GATEWAY_LINK}/route_localnet`, value: "0" },
	{ path: "ipv4/icmp_ratelimit", value: "0" },
	{ path: "ipv6/icmp/ratelimit", value: "0" },
];
