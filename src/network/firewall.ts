/** (Rules) → nft's JSON (libnftables-json(5)) for the gateway's namespace G, for `nft -j -f -`. */

import type { PortRange } from "../policy/types.ts";
import type { Family } from "./ip.ts";
import { DNS_PORT, GATEWAY_LINK, link, TCP_PORT, TPROXY_MARK, UDP_PORT } from "./layout.ts";
import { isAnyPort } from "./ports.ts";
import { type Destination, destinations } from "./routes.ts";
import type { Protocol, Rules } from "./rules.ts";

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };
type Statement = { readonly [key: string]: Json };

export interface NftCommands {
	readonly nftables: readonly Statement[];
}

const family = "inet";
const table = "vmjail";

/** DNS exchanges that the kernel tracks at a time; all other traffic of the jail is untracked. */
const MAX_TRACKED = 4096;

/** The jail's rules in G. `families` as in `gatewaySettings`. */
export function gatewayFirewall(rules: Rules, families: readonly Family[]): NftCommands {
	const allowed = destinations(rules, families);
	return {
		nftables: [
			add("table", { family, name: table }),
			chain("raw", "filter", "prerouting", -300),
			chain("raw_out", "filter", "output", -300),
			chain("jail", "filter", "prerouting", -150),
			chain("dns", "nat", "prerouting", -100),
			chain("forward", "filter", "forward", 0, "drop"),
			...(["tcp", "udp"] as const).map((protocol) => add("chain", { family, table, name: `to_${protocol}` })),
			...untracked(),
			...prelude(families),
			...allowed.map((destination) => rule("jail", destinationMatch(destination), verdictOf(destination))),
			rule("jail", [], refuse()),
			...(["tcp", "udp"] as const).flatMap((protocol) =>
				families.map((each) => rule(`to_${protocol}`, [nfproto(each)], toSocket(each, protocol))),
			),
			...families.map((each) =>
				rule(
					"dns",
					[fromJail(), nfproto(each), l4proto(), port("dport")],
					[{ dnat: { family: ipName(each), addr: link[each].gateway, port: DNS_PORT } }],
				),
			),
		],
	};
}

/** Of one call: in a user namespace the kernel takes no more than net.core.wmem_max at once (208 KiB), of some 700 bytes for each. */
const MOST_COMMANDS = 200;

/** The same in as many calls as are needed, in order. */
export function firewallBatches({ nftables }: NftCommands): readonly NftCommands[] {
	return Array.from({ length: Math.ceil(nftables.length / MOST_COMMANDS) }, (_, i) => ({
		nftables: nftables.slice(i * MOST_COMMANDS, (i + 1) * MOST_COMMANDS),
	}));
}

/** Connection tracking is there for the DNS redirection alone: the rest needs no state, and a flood of it makes none. */
function untracked(): readonly Statement[] {
	const other = (side: "dport" | "sport") => match({ payload: { protocol: "th", field: side } }, DNS_PORT, "!=");
	return [
		rule("raw", [fromJail(), l4proto(), other("dport")], [{ notrack: null }]),
		rule(
			"raw_out",
			[match({ meta: { key: "oifname" } }, GATEWAY_LINK), l4proto(), other("sport")],
			[{ notrack: null }],
		),
	];
}

/** What comes before the policy: no forged senders, neighbour discovery, DNS, connections that were let through already. */
function prelude(families: readonly Family[]): readonly Statement[] {
	const absent = ([4, 6] as const).filter((each) => !families.includes(each));
	const discovery = ["nd-neighbor-solicit", "nd-neighbor-advert"];
	const isDiscovery = match({ payload: { protocol: "icmpv6", field: "type" } }, { set: discovery });
	// Past the SYN only: a SYN to the listener's own port must not find the listener.
	const begun = match({ "&": [{ payload: { protocol: "tcp", field: "flags" } }, ["syn", "ack"]] }, "syn", "!=");
	return [
		rule("jail", [match({ meta: { key: "iifname" } }, GATEWAY_LINK, "!=")], [{ accept: null }]),
		...(families.includes(6) ? [rule("jail", [isDiscovery], [{ accept: null }])] : []),
		...families.map((each) => rule("jail", [match(address(each, "saddr"), link[each].jail, "!=")], [{ drop: null }])),
		...absent.map((each) => rule("jail", [nfproto(each)], [{ drop: null }])),
		rule("jail", [l4proto(), port("dport"), { "ct count": { val: MAX_TRACKED, inv: true } }], [{ drop: null }]),
		rule("jail", [l4proto(), port("dport")], [{ accept: null }]),
		rule("jail", [begun, match({ socket: { key: "transparent" } }, 1)], [setMark(), { accept: null }]),
	];
}

function verdictOf(destination: Destination): readonly Statement[] {
	return destination.allowed ? [{ goto: { target: `to_${destination.protocol}` } }] : refuse();
}

function destinationMatch({ family: each, protocol, to, ports }: Destination): readonly Statement[] {
	const host = to === undefined ? nfproto(each) : match(address(each, "daddr"), prefixOf(to));
	if (protocol === undefined) return [host];
	if (ports === undefined || isAnyPort(ports)) return [host, match({ meta: { key: "l4proto" } }, protocol)];
	return [host, match({ payload: { protocol, field: "dport" } }, rangeOf(ports))];
}

/** Hands the packet to the relay's transparent socket; the address stays what the jail wrote. */
function toSocket(each: Family, protocol: Protocol): readonly Statement[] {
	const tproxy = { family: ipName(each), port: protocol === "tcp" ? TCP_PORT : UDP_PORT };
	return [match({ meta: { key: "l4proto" } }, protocol), { tproxy }, setMark(), { accept: null }];
}

/** "Communication administratively prohibited": connect(2) fails at once, with EHOSTUNREACH by IPv4 and EACCES by IPv6. */
function refuse(): readonly Statement[] {
	return [{ counter: null }, { reject: { type: "icmpx", expr: "admin-prohibited" } }];
}

function setMark(): Statement {
	return { mangle: { key: { meta: { key: "mark" } }, value: TPROXY_MARK } };
}

function fromJail(): Statement {
	return match({ meta: { key: "iifname" } }, GATEWAY_LINK);
}

function nfproto(each: Family): Statement {
	return match({ meta: { key: "nfproto" } }, each === 4 ? "ipv4" : "ipv6");
}

function l4proto(): Statement {
	return match({ meta: { key: "l4proto" } }, { set: ["tcp", "udp"] });
}

function port(field: "dport" | "sport"): Statement {
	return match({ payload: { protocol: "th", field } }, DNS_PORT);
}

function address(each: Family, field: "saddr" | "daddr"): Json {
	return { payload: { protocol: ipName(each), field } };
}

function ipName(each: Family): "ip" | "ip6" {
	return each === 4 ? "ip" : "ip6";
}

function prefixOf(block: string): Json {
	const [addr = "", len] = block.split("/");
	return len === undefined ? addr : { prefix: { addr, len: Number(len) } };
}

function rangeOf({ from, to }: PortRange): Json {
	return from === to ? from : { range: [from, to] };
}

function match(left: Json, right: Json, op: "==" | "!=" = "=="): Statement {
	return { match: { op, left, right } };
}

function chain(
	name: string,
	type: "filter" | "nat",
	hook: string,
	prio: number,
	policy: "accept" | "drop" = "accept",
): Statement {
	return add("chain", { family, table, name, type, hook, prio, policy });
}

function rule(name: string, matches: readonly Statement[], verdict: readonly Statement[]): Statement {
	return add("rule", { family, table, chain: name, expr: [...matches, ...verdict] });
}

function add(kind: "table" | "chain" | "rule", object: Json): Statement {
	return { add: { [kind]: object } };
}
