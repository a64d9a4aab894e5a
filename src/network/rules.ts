/** The network policy, compiled once: what the kernel's rules are made from and what the relay and the DNS server ask. */

import { VmjailError } from "../errors.ts";
import type { AddressRule, NameRule, Policy, PortRange } from "../policy/types.ts";
import { type Block, bitsOf, contains, formatBlock, type Ip, overlaps, parseBlock, within } from "./ip.ts";
import { own } from "./layout.ts";
import { type NameClass, nameClasses } from "./name-rules.ts";
import { includesPort, unionPorts } from "./ports.ts";
import { names, specialRangeOf, specialRanges } from "./special.ts";

export type Protocol = "tcp" | "udp";
export type NetworkPolicy = Policy["security"]["network"]["policy"];

/** A rule of `tcp` or `udp`. */
export interface CompiledRule {
	/** Absent: any address ("*"), of either family. */
	readonly block?: Block;
	readonly ports: PortRange;
	readonly text: string;
	/** Opens special addresses (private, link-local, …) where its block lies among them, or is one address. */
	readonly named: boolean;
}

export interface Rules {
	readonly tcp: readonly CompiledRule[];
	readonly udp: readonly CompiledRule[];
	readonly dns: readonly NameRule[];
	/** Ports that `tcp` and `udp` rules open to every address. */
	readonly anywhere: Readonly<Record<Protocol, readonly PortRange[]>>;
	readonly classes: readonly NameClass[];
	/** Names outside `dns` resolve: a `udp` rule opens port 53 to any address. */
	readonly anyNameResolves: boolean;
}

/**
 * @throws VmjailError POLICY_INVALID where a rule means vmjail's own addresses (198.18.0.0/15, fd76:6d6a:6169::/48), or
 *   where `dns` has more than 511 different sets of ports
 */
export function compileRules(policy: NetworkPolicy): Rules {
	const tcp = policy.tcp.map((rule, index) => compile(rule, `tcp[${index}]`));
	const udp = policy.udp.map((rule, index) => compile(rule, `udp[${index}]`));
	const anywhere = { tcp: portsAnywhere(tcp), udp: portsAnywhere(udp) };
	return {
		tcp,
		udp,
		dns: policy.dns,
		anywhere,
		classes: nameClasses(policy.dns, anywhere.tcp),
		anyNameResolves: includesPort(anywhere.udp, 53),
	};
}

function compile({ host, ports, text }: AddressRule, field: string): CompiledRule {
	if (host === "*") return { ports, text, named: false };
	const block = parseBlock(host);
	if (within(block, own[block.family])) {
		throw new VmjailError(
			"POLICY_INVALID",
			`security.network.policy.${field}: ${JSON.stringify(text)} lies in ${formatBlock(own[block.family])}, whose addresses stand for names inside the jail`,
			{ remedy: 'Name the destination in "dns".' },
		);
	}
	const named = isSingle(block) || specialRanges.some((special) => names(block, special));
	// "0.0.0.0/0" is "*" for one family.
	return { block, ports, text, named };
}

function isSingle(block: Block): boolean {
	return block.prefix === bitsOf(block.family);
}

function portsAnywhere(rules: readonly CompiledRule[]): readonly PortRange[] {
	return unionPorts(rules.filter(({ block }) => block === undefined).map(({ ports }) => ports));
}

/** Does `rule` open `ip`? A special address is open only to a rule that names it. */
function opens(rule: CompiledRule, ip: Ip): boolean {
	if (rule.block !== undefined && !contains(rule.block, ip)) return false;
	const special = specialRangeOf(ip);
	if (special === undefined) return true;
	return rule.block !== undefined && (isSingle(rule.block) || names(rule.block, special));
}

/** The first rule that allows `protocol` to this real address and port. Synthetic and link addresses: never. */
export function ruleForAddress(rules: Rules, protocol: Protocol, ip: Ip, port: number): CompiledRule | undefined {
	if (contains(own[ip.family], ip)) return undefined;
	return rules[protocol].find((rule) => includesPort([rule.ports], port) && opens(rule, ip));
}

/** Rules whose block contains special ranges that they do not name. */
export function hasWideRules(rules: Rules): boolean {
	return [...rules.tcp, ...rules.udp].some(
		({ block, named }) =>
			!named && (block === undefined || specialRanges.some((special) => overlaps(block, special.block))),
	);
}

/** Does the jail need the UDP relay? DNS alone does not. */
export function needsUdp(rules: Rules): boolean {
	return rules.udp.some(({ ports }) => ports.from !== 53 || ports.to !== 53);
}
