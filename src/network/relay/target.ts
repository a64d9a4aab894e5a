/** Where a connection that G let through is going, and under which rule: asked again here, whatever the kernel's rules say. */

import type { NameRule } from "../../policy/types.ts";
import type { Refusal } from "../denials.ts";
import { contains, formatIp, type Ip, parseIp } from "../ip.ts";
import type { JailNames } from "../jail-names.ts";
import { own } from "../layout.ts";
import { rulesForName } from "../name-rules.ts";
import { includesPort } from "../ports.ts";
import { type Protocol, type Rules, ruleForAddress } from "../rules.ts";

export type Target =
	/** `inspect`: the rules whose names the connection may be for; absent where the port is open to every address. */
	| { readonly kind: "name"; readonly name: string; readonly rule: string; readonly inspect?: readonly NameRule[] }
	| { readonly kind: "address"; readonly ip: Ip; readonly rule: string };

/** @param address the original destination, as the socket tells it */
export function targetOf(
	rules: Rules,
	names: JailNames,
	protocol: Protocol,
	address: string,
	port: number,
): Target | Refusal {
	const ip = parseIp(address);
	if (ip === undefined) return { protocol, reason: "no-rule", host: address, port };
	if (contains(own[ip.family], ip)) return nameTarget(rules, names, protocol, ip, port);
	const rule = ruleForAddress(rules, protocol, ip, port);
	return rule === undefined
		? { protocol, reason: "no-rule", host: formatIp(ip), port }
		: { kind: "address", ip, rule: `${protocol} ${rule.text}` };
}

function nameTarget(rules: Rules, names: JailNames, protocol: Protocol, ip: Ip, port: number): Target | Refusal {
	const name = names.nameAt(ip);
	if (name === undefined) return { protocol, reason: "unknown-address", host: formatIp(ip), port };
	const everywhere = rules[protocol].find((rule) => rule.block === undefined && includesPort([rule.ports], port));
	if (everywhere !== undefined) return { kind: "name", name, rule: `${protocol} ${everywhere.text}` };
	const covering =
		protocol === "tcp" ? rulesForName(rules.dns, name).filter(({ ports }) => includesPort([ports], port)) : [];
	const [first] = covering;
	if (first === undefined) return { protocol, reason: "no-rule", host: name, port };
	return { kind: "name", name, rule: `dns ${first.text}`, inspect: covering };
}
