/** Would the policy let this through, and which line of it says so? For `vmjail why --tcp evil.com:443`. Pure: asks no DNS server. */

import { VmjailError } from "../errors.ts";
import { parseAddressRule, parseNameRule } from "../policy/rules.ts";
import type { Policy } from "../policy/types.ts";
import { because } from "./denials.ts";
import type { Allowance } from "./events.ts";
import { contains, formatBlock, formatEndpoint, type Ip, parseIp } from "./ip.ts";
import { own } from "./layout.ts";
import { rulesForName } from "./name-rules.ts";
import { includesPort } from "./ports.ts";
import { compileRules, type Protocol, type Rules, ruleForAddress } from "./rules.ts";
import { specialRangeOf } from "./special.ts";

export interface Why {
	readonly allowed: boolean;
	/** In canonical form: "evil.com:443", "[2001:db8::1]:80". */
	readonly destination: string;
	/** The rule that allows it, as the policy spells it: `dns "*.npm.org:*"`. */
	readonly rule?: string;
	/** One line for a person. */
	readonly reason: string;
	readonly wouldAllow?: Allowance;
}

type Network = Policy["security"]["network"];

/** @throws VmjailError USAGE where `text` is no "host:port" with one port */
export function whyTcp(network: Network, text: string): Why {
	return why(network, "tcp", text);
}

/** @throws VmjailError USAGE where `text` is no "host:port" with one port */
export function whyUdp(network: Network, text: string): Why {
	return why(network, "udp", text);
}

function why(network: Network, protocol: Protocol, text: string): Why {
	const { host, port } = parseDestination(text);
	const destination = formatEndpoint(host, port);
	if (network.mode === "host")
		return { allowed: true, destination, reason: 'security.network.mode is "host": the jail has the host\'s network' };
	if (network.mode === "none")
		return { allowed: false, destination, reason: 'security.network.mode is "none": the jail has no network' };
	const rules = compileRules(network.policy);
	const ip = parseIp(host);
	return ip === undefined ? whyName(rules, protocol, host, port) : whyAddress(rules, protocol, ip, host, port);
}

function parseDestination(text: string): { readonly host: string; readonly port: number } {
	const asAddress = parseAddressRule(text);
	const asName = parseNameRule(text);
	const rule =
		"value" in asAddress ? asAddress.value : "value" in asName && !asName.value.subdomains ? asName.value : undefined;
	const host = rule === undefined ? undefined : "host" in rule ? rule.host : rule.name;
	const single = rule !== undefined && rule.ports.from === rule.ports.to;
	if (host === undefined || host === "*" || host.includes("/") || !single) {
		throw new VmjailError("USAGE", `${JSON.stringify(text)} is not one destination`, {
			remedy: 'Write one host and one port, as in "evil.com:443" or "[2001:db8::1]:443".',
		});
	}
	return { host, port: rule.ports.from };
}

function whyName(rules: Rules, protocol: Protocol, host: string, port: number): Why {
	const destination = formatEndpoint(host, port);
	const covering = rulesForName(rules.dns, host);
	const everywhere = rules[protocol].find((rule) => rule.block === undefined && includesPort([rule.ports], port));
	const byName = protocol === "tcp" ? covering.find(({ ports }) => includesPort([ports], port)) : undefined;
	const resolves = covering.length > 0 || rules.anyNameResolves;
	if (byName !== undefined) return allowed(destination, `dns ${JSON.stringify(byName.text)}`);
	if (everywhere !== undefined && resolves)
		return allowed(destination, `${protocol} ${JSON.stringify(everywhere.text)}`);
	if (!resolves)
		return refused(because({ protocol: "dns", reason: "name-not-allowed", host }), destination, {
			list: "dns",
			entry: destination,
		});
	const real = covering.length === 0 ? " (the name resolves, since a udp rule opens port 53 to any address)" : "";
	const entry: Pick<Allowance, "list" | "entry"> =
		protocol === "udp" ? { list: "udp", entry: `*:${port}` } : { list: "dns", entry: destination };
	return refused(because({ protocol, reason: "no-rule", host, port }), destination, entry, real);
}

function whyAddress(rules: Rules, protocol: Protocol, ip: Ip, host: string, port: number): Why {
	const destination = formatEndpoint(host, port);
	if (contains(own[ip.family], ip)) {
		const reason = `${host} lies in ${formatBlock(own[ip.family])}: inside a jail such an address stands for a name, and is allowed as that name is`;
		return { allowed: false, destination, reason };
	}
	const rule = ruleForAddress(rules, protocol, ip, port);
	if (rule !== undefined) return allowed(destination, `${protocol} ${JSON.stringify(rule.text)}`);
	const special = specialRangeOf(ip);
	const note =
		special === undefined
			? ""
			: ` (${formatBlock(special.block)} is ${special.what}: only a rule that lies inside it opens it)`;
	return refused(
		because({ protocol, reason: "no-rule", host, port }),
		destination,
		{ list: protocol, entry: destination },
		note,
	);
}

function allowed(destination: string, rule: string): Why {
	return { allowed: true, destination, rule, reason: `allowed by security.network.policy.${rule}` };
}

function refused(
	reason: string,
	destination: string,
	{ list, entry }: Pick<Allowance, "list" | "entry">,
	note = "",
): Why {
	return {
		allowed: false,
		destination,
		reason: `${reason}${note}`,
		wouldAllow: { flag: `--allow-${list} ${entry}`, list, entry },
	};
}
