/** Which rules of `dns` cover a name, and which synthetic addresses such a name may get. */

import { VmjailError } from "../errors.ts";
import type { NameRule, PortRange } from "../policy/types.ts";
import { type Block, blockOf, type Family, parseIp } from "./ip.ts";
import { SYNTHETIC_BITS, synthetic, syntheticAddress } from "./layout.ts";
import { unionPorts } from "./ports.ts";

/**
 * All names that may be reached at the same ports. They share one block of synthetic addresses, so that the kernel can tell
 * by address and port alone, before the handshake and before any name is known, what is allowed.
 */
export interface NameClass {
	readonly ports: readonly PortRange[];
	/** Offsets into the synthetic range: from `first`, `count` of them. */
	readonly first: number;
	readonly count: number;
	readonly blocks: Readonly<Record<Family, Block>>;
}

/** Does `rule` cover `name` (canonical)? "*.npm.org" covers npm.org too. */
export function covers(rule: NameRule, name: string): boolean {
	return name === rule.name || (rule.subdomains && name.endsWith(`.${rule.name}`));
}

/** The rules that cover `name`, at any port. Empty: the name is not allowed. */
export function rulesForName(rules: readonly NameRule[], name: string): readonly NameRule[] {
	return rules.filter((rule) => covers(rule, name));
}

/** Ports of a set of rules, joined with those that are open to every address. */
function portsOf(rules: readonly NameRule[], anywhere: readonly PortRange[]): readonly PortRange[] {
	return unionPorts([...rules.map((rule) => rule.ports), ...anywhere]);
}

function keyOf(ports: readonly PortRange[]): string {
	return ports.map(({ from, to }) => `${from}-${to}`).join(",");
}

/** Longest usable prefix is /24 for a class: 2^9 blocks, the last of which holds the links. */
const MOST_CLASSES = 2 ** (SYNTHETIC_BITS - 8) - 1;

/**
 * The classes of a policy. A name is covered by the rules for itself and for its parents, so that the names of the rules
 * and one made-up child of each show every set of rules that can apply: at most two classes per rule.
 *
 * @param anywhere ports that `tcp` rules open to every address
 * @throws VmjailError POLICY_INVALID where the rules have more than 511 different sets of ports
 */
export function nameClasses(rules: readonly NameRule[], anywhere: readonly PortRange[]): readonly NameClass[] {
	const sets = new Map<string, readonly PortRange[]>();
	for (const { name } of rules) {
		for (const sample of [name, `*.${name}`]) {
			const covering = rulesForName(rules, sample);
			if (covering.length === 0) continue;
			const ports = portsOf(covering, anywhere);
			sets.set(keyOf(ports), ports);
		}
	}
	if (sets.size > MOST_CLASSES) {
		throw new VmjailError(
			"POLICY_INVALID",
			`security.network.policy.dns: ${sets.size} different sets of ports, at most ${MOST_CLASSES} are possible`,
			{
				remedy: "Give names that are used alike the same ports.",
			},
		);
	}
	const blockBits = SYNTHETIC_BITS - Math.ceil(Math.log2(sets.size + 1));
	return [...sets.values()].map((ports, index) => nameClass(ports, index, blockBits));
}

function nameClass(ports: readonly PortRange[], index: number, blockBits: number): NameClass {
	const start = index * 2 ** blockBits;
	const blocks = { 4: blockAt(4, start, blockBits), 6: blockAt(6, start, blockBits) };
	// Offset 0 would be 198.18.0.0 and the IPv6 anycast address of the subnet: some programs balk at them.
	const skipped = index === 0 ? 1 : 0;
	return { ports, first: start + skipped, count: 2 ** blockBits - skipped, blocks };
}

function blockAt(family: Family, offset: number, blockBits: number): Block {
	const ip = parseIp(syntheticAddress(family, offset));
	if (ip === undefined) throw new TypeError(`offset ${offset} is outside the synthetic range`);
	return blockOf(ip, synthetic[family].prefix + SYNTHETIC_BITS - blockBits);
}

/** The class of a name, or undefined where no rule covers it. */
export function classOfName(
	classes: readonly NameClass[],
	rules: readonly NameRule[],
	anywhere: readonly PortRange[],
	name: string,
): NameClass | undefined {
	const covering = rulesForName(rules, name);
	if (covering.length === 0) return undefined;
	const key = keyOf(portsOf(covering, anywhere));
	return classes.find(({ ports }) => keyOf(ports) === key);
}
