/** Which of a name's real addresses may be reached (DNS rebinding). */

import { isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import type { DenialReason } from "../events.ts";
import { bitsOf, contains, formatIp, type Ip, parseIp } from "../ip.ts";
import { includesPort } from "../ports.ts";
import { type Protocol, type Rules, ruleForAddress } from "../rules.ts";
import { specialRangeOf } from "../special.ts";

export interface Checked {
	readonly allowed: readonly string[];
	/** Why the first of the others is not. */
	readonly refused?: { readonly reason: DenialReason; readonly address: string };
}

/** @param isOwn is this an address of the host? */
export function checkAddresses(
	rules: Rules,
	protocol: Protocol,
	addresses: readonly string[],
	port: number,
	isOwn: (ip: Ip) => boolean,
): Checked {
	const allowed: string[] = [];
	let refused: Checked["refused"];
	for (const address of addresses) {
		const ip = parseIp(address);
		if (ip === undefined) continue;
		const reason = refusalOf(rules, protocol, ip, port, isOwn);
		if (reason === undefined) allowed.push(formatIp(ip));
		else refused ??= { reason, address: formatIp(ip) };
	}
	return { allowed, ...(refused === undefined ? {} : { refused }) };
}

/** Why an address may not be reached although its name may; undefined: it may. */
function refusalOf(
	rules: Rules,
	protocol: Protocol,
	ip: Ip,
	port: number,
	isOwn: (ip: Ip) => boolean,
): DenialReason | undefined {
	if (specialRangeOf(ip) !== undefined && ruleForAddress(rules, protocol, ip, port) === undefined)
		return "special-address";
	return isOwn(ip) && !namesExactly(rules, protocol, ip, port) ? "own-address" : undefined;
}

/** An address of the host itself is open only to a rule for that one address. */
function namesExactly(rules: Rules, protocol: Protocol, ip: Ip, port: number): boolean {
	return rules[protocol].some(
		({ block, ports }) =>
			block !== undefined &&
			block.prefix === bitsOf(block.family) &&
			contains(block, ip) &&
			includesPort([ports], port),
	);
}

const KEPT_MS = 2000;

/**
 * Asks the system for the host's addresses, at most every two seconds. Where it does not tell (a process without a free
 * descriptor is not told), any address may be the host's, and counts as one until it does.
 */
export function ownAddresses(
	list: typeof networkInterfaces = networkInterfaces,
	now: () => number = () => performance.now(),
): (ip: Ip) => boolean {
	let known: ReadonlySet<string> = new Set();
	let until = Number.NEGATIVE_INFINITY;
	return (ip) => {
		if (now() >= until) {
			const told = addressesOf(list);
			if (told === undefined) return true;
			known = told;
			until = now() + KEPT_MS;
		}
		return known.has(formatIp(ip));
	};
}

function addressesOf(list: typeof networkInterfaces): ReadonlySet<string> | undefined {
	try {
		const addresses = Object.values(list()).flatMap((infos) => (infos ?? []).map(({ address }) => parseIp(address)));
		return new Set(addresses.flatMap((each) => (each === undefined ? [] : formatIp(each))));
	} catch {
		return undefined;
	}
}

/** IPv6 and IPv4 in turns, IPv6 first (RFC 8305). */
export function interleave(addresses: readonly string[]): readonly string[] {
	const six = addresses.filter((address) => isIPv6(address));
	const four = addresses.filter((address) => !isIPv6(address));
	return Array.from({ length: Math.max(six.length, four.length) }, (_, i) => [six[i], four[i]])
		.flat()
		.filter((address) => address !== undefined);
}
