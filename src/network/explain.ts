/** A network policy in words: for `vmjail explain`. Pure. */

import type { AddressRule, NameRule, Policy, PublishedPort } from "../policy/types.ts";
import { formatEndpoint } from "./ip.ts";
import { formatPorts, isAnyPort } from "./ports.ts";
import { compileRules } from "./rules.ts";

/**
 * One sentence per line.
 *
 * @throws VmjailError POLICY_INVALID as `compileRules` does
 */
export function explainNetwork(network: Policy["security"]["network"]): readonly string[] {
	const { mode, policy } = network;
	if (mode === "host") return ["The jail has the host's network, without restriction."];
	if (mode === "none") {
		const rules = policy.tcp.length + policy.udp.length + policy.dns.length + policy.listen.length;
		return [
			"The jail has no network at all.",
			...(rules > 0 ? ['Its network rules are without effect until mode is "hostwithpolicy".'] : []),
		];
	}
	const rules = compileRules(policy);
	return [
		...policy.dns.map(explainName),
		...policy.tcp.map((rule) => explainAddress("TCP", rule)),
		...policy.udp.filter(({ ports }) => !isDns(ports)).map((rule) => explainAddress("UDP", rule)),
		rules.anyNameResolves
			? "Every name resolves; to names that no rule covers there is still no connection."
			: "No other name resolves, and no question about one leaves the machine.",
		...policy.listen.map(explainPublished),
		...(policy.bytesPerSecond === undefined ? [] : [explainRate(policy.bytesPerSecond)]),
		"Everything else is refused at once. Private, link-local and loopback addresses need a rule of their own.",
	];
}

function explainRate(bytes: number): string {
	return `All of it together moves at most ${bytes.toLocaleString("en")} bytes a second, both directions added up.`;
}

function isDns({ from, to }: AddressRule["ports"]): boolean {
	return from === 53 && to === 53;
}

function explainName({ name, subdomains, ports }: NameRule): string {
	return `${name}${subdomains ? " and every name below it" : ""} may be reached by TCP${atPorts(ports)}.`;
}

function explainAddress(protocol: "TCP" | "UDP", { host, ports }: AddressRule): string {
	return `${host === "*" ? "Every public address" : host} may be reached by ${protocol}${atPorts(ports)}.`;
}

function atPorts(ports: AddressRule["ports"]): string {
	if (isAnyPort(ports)) return " at any port";
	return ports.from === ports.to ? ` at port ${formatPorts(ports)}` : ` at ports ${formatPorts(ports)}`;
}

function explainPublished({ hostAddress, hostPort, jailPort }: PublishedPort): string {
	return `Port ${jailPort} of the jail is published at ${formatEndpoint(hostAddress, hostPort)}.`;
}
