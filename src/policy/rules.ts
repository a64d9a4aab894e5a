/** The rules of `security.network.policy`: "host:port" to address, "name:port" to name, "8080->80" to published port. */

import { looksNumeric, parseAddress } from "./address.ts";
import { canonicalName } from "./names.ts";
import { chain, type Parsed } from "./parsed.ts";
import { show } from "./shown.ts";
import type { AddressRule, NameRule, PortRange, PublishedPort } from "./types.ts";

const ANY_PORT: PortRange = { from: 0, to: 65535 };

interface HostAndPorts {
	readonly host: string;
	readonly bracketed: boolean;
	readonly ports: PortRange;
}

/** "1.1.1.1:", "10.0.0.0/8:443", "[fd00::/8]:8000-8100", "*:53". */
export function parseAddressRule(text: string): Parsed<AddressRule> {
	return chain(splitRule(text), ({ host, bracketed, ports }) => {
		if (host === "*") return { value: { host, ports, text } };
		if (!bracketed && !looksNumeric(host.replace(/\/.*/, ""))) return { problem: nameInAddressRule(text, host) };
		return chain(parseAddress(host), (canonical) => ({ value: { host: canonical, ports, text } }));
	});
}

function nameInAddressRule(text: string, host: string): string {
	const isName = "value" in canonicalName(host.replace(/^\*\./, ""));
	return isName ? `${show(text)} names a host by name: put it in "dns"` : `expected "address:port", got ${show(text)}`;
}

/** "npm.org:443", "*.npm.org:*" (npm.org itself and every name below it). */
export function parseNameRule(text: string): Parsed<NameRule> {
	return chain(splitRule(text), ({ host, bracketed, ports }) => {
		if (bracketed) return { problem: `${show(text)} is an address, not a name: put it in "tcp" or "udp"` };
		if (host === "*")
			return { problem: `${show(text)} would allow every name: name them, or open the ports to "*" in "tcp"` };
		const subdomains = host.startsWith("*.");
		const bare = subdomains ? host.slice(2) : host;
		if (bare.includes("*"))
			return { problem: `expected "*" only as the whole first label, as in "*.npm.org:443", got ${show(text)}` };
		return chain(canonicalName(bare), (name) => ({ value: { name, subdomains, ports, text } }));
	});
}

/** Host and ports of a rule; an IPv6 host is in brackets, its prefix length inside or behind them. */
function splitRule(text: string): Parsed<HostAndPorts> {
	const bracket = /^\[([^\]]*)\](\/\d+)?(?::(.*))?$/s.exec(text);
	if (bracket !== null) {
		const [, inside = "", prefix = "", ports] = bracket;
		if (!inside.includes(":")) return { problem: `expected an IPv6 address in the brackets of ${show(text)}` };
		return finish(text, inside + prefix, true, ports);
	}
	const parts = text.split(":");
	if (parts.length > 2)
		return { problem: `${show(text)} has several colons: write an IPv6 address in brackets, as in "[fd00::1]:443"` };
	return finish(text, parts[0] ?? "", false, parts[1]);
}

function finish(text: string, host: string, bracketed: boolean, ports: string | undefined): Parsed<HostAndPorts> {
	if (host === "") return { problem: `expected a host before the colon in ${show(text)}: "*" is any` };
	if (ports === undefined)
		return { problem: `${show(text)} has no port: write "${clean(text)}:443", or "${clean(text)}:*" for every port` };
	return chain(parsePorts(ports, text), (range) => ({ value: { host, bracketed, ports: range } }));
}

/** The rule is repeated in a hint only where it can be shown as it is. */
function clean(text: string): string {
	return /^[\w.*/[\]:-]{1,60}$/.test(text) ? text : "host";
}

function parsePorts(ports: string, text: string): Parsed<PortRange> {
	if (ports === "" || ports === "*") return { value: ANY_PORT };
	const [first = "", last = first, ...more] = ports.split("-");
	const from = portNumber(first);
	const to = portNumber(last);
	if (from === undefined || to === undefined || more.length > 0) {
		return { problem: `expected a port from 1 to 65535, a range such as "8000-8100", or "*", in ${show(text)}` };
	}
	if (from > to)
		return { problem: `the range of ports in ${show(text)} is the wrong way round: write "${to}-${from}"` };
	return { value: { from, to } };
}

/** 1–65535, decimal, no sign, no leading zero; undefined for anything else. */
function portNumber(text: string): number | undefined {
	return /^[1-9]\d{0,4}$/.test(text) && Number(text) <= 65535 ? Number(text) : undefined;
}

const PUBLISHED = 'a port such as 80, "8080->80" or "0.0.0.0:8080->80"';

/** 80 and "80": the same port on 127.0.0.1; "8080->80"; "[::1]:8080->80". The host's side is left of the arrow. */
export function parsePublishedPort(input: number | string): Parsed<PublishedPort> {
	const text = String(input);
	const [outer = "", inner, ...more] = text.split("->");
	const colon = outer.lastIndexOf(":");
	const jailPort = portNumber(inner ?? outer);
	const hostPort = portNumber(outer.slice(colon + 1));
	if (inner === undefined && colon >= 0 && hostPort !== undefined) {
		return { problem: `${show(input)} does not say which port of the jail: write "${clean(text)}->${hostPort}"` };
	}
	if (jailPort === undefined || hostPort === undefined || more.length > 0)
		return { problem: `expected ${PUBLISHED}, got ${show(input)}` };
	return chain(listenAddress(outer.slice(0, Math.max(colon, 0)), colon >= 0, input), (hostAddress) => ({
		value: { hostAddress, hostPort, jailPort },
	}));
}

function listenAddress(text: string, given: boolean, input: number | string): Parsed<string> {
	if (!given) return { value: "127.0.0.1" };
	const inBrackets = /^\[([^\]]*:[^\]]*)\]$/.exec(text)?.[1];
	if (inBrackets === undefined && text.includes(":"))
		return { problem: `write the IPv6 address of ${show(input)} in brackets` };
	if (text.includes("/")) return { problem: `expected one address of this host, not a block, in ${show(input)}` };
	return parseAddress(inBrackets ?? text);
}
