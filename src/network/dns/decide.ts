/** What to do with a question, from the rules alone. Pure. */

import { canonicalName } from "../../policy/names.ts";
import { type Ip, ipOfBytes, parseIp } from "../ip.ts";
import { rulesForName } from "../name-rules.ts";
import type { Rules } from "../rules.ts";
import { specialRangeOf } from "../special.ts";

/** Types that are passed on by name; of the others the answer is "no such record". */
export const forwardedTypes = {
	2: "NS",
	6: "SOA",
	12: "PTR",
	15: "MX",
	16: "TXT",
	33: "SRV",
	35: "NAPTR",
	257: "CAA",
} as const;
export type ForwardedType = (typeof forwardedTypes)[keyof typeof forwardedTypes];
export type AddressType = "A" | "AAAA";

export type Decision =
	/** Answer with the name's synthetic address, if the name exists. */
	| { readonly kind: "synthetic"; readonly name: string; readonly type: AddressType }
	/** Answer with what the host's resolver says. */
	| { readonly kind: "forward"; readonly name: string; readonly type: AddressType | ForwardedType }
	/** The name of a synthetic address. */
	| { readonly kind: "reverse"; readonly ip: Ip }
	| { readonly kind: "localhost"; readonly name: string; readonly type: AddressType }
	/** The name exists for all anybody knows; no record of this type. */
	| { readonly kind: "empty"; readonly name: string }
	/** "No such name", without asking anybody. `denied`: because of the policy. */
	| { readonly kind: "nonexistent"; readonly name: string; readonly denied: boolean }
	| { readonly kind: "refuse" };

/** Firefox asks for it before it turns to DNS over HTTPS, and stays away if it does not exist. */
const DOH_CANARY = "use-application-dns.net";

const TRANSFER_TYPES: ReadonlySet<number> = new Set([251, 252]); // IXFR, AXFR

/** @param name as the client wrote it  @param type the number of the record type */
export function decide(rules: Rules, name: string, type: number): Decision {
	if (TRANSFER_TYPES.has(type)) return { kind: "refuse" };
	const reverse = reverseAddress(name);
	if (reverse !== undefined) return decideReverse(rules, reverse, name, type);
	const canonical = canonicalName(name);
	if ("problem" in canonical) return { kind: "nonexistent", name, denied: false };
	return decideName(rules, canonical.value, type);
}

function decideName(rules: Rules, name: string, type: number): Decision {
	const addressType = type === 1 ? "A" : type === 28 ? "AAAA" : undefined;
	// RFC 6761 section 6.3
	if (name === "localhost" || name.endsWith(".localhost")) {
		return addressType === undefined ? { kind: "empty", name } : { kind: "localhost", name, type: addressType };
	}
	if (name === DOH_CANARY) return { kind: "nonexistent", name, denied: false };
	const covered = rulesForName(rules.dns, name).length > 0;
	if (!covered && !rules.anyNameResolves) return { kind: "nonexistent", name, denied: true };
	if (addressType !== undefined) return { kind: covered ? "synthetic" : "forward", name, type: addressType };
	// HTTPS and SVCB records carry addresses and keys for encrypted server names: never passed on.
	const forwarded = (forwardedTypes as Readonly<Record<number, ForwardedType>>)[type];
	return forwarded === undefined || forwarded === "PTR"
		? { kind: "empty", name }
		: { kind: "forward", name, type: forwarded };
}

function decideReverse(rules: Rules, ip: Ip, name: string, type: number): Decision {
	const lower = name.toLowerCase();
	if (type !== 12) return { kind: "empty", name: lower };
	// What addresses of the host's own networks are called is none of the jail's business.
	if (specialRangeOf(ip) !== undefined) return { kind: "reverse", ip };
	return rules.anyNameResolves
		? { kind: "forward", name: lower, type: "PTR" }
		: { kind: "nonexistent", name: lower, denied: false };
}

/** "4.3.2.1.in-addr.arpa" → 1.2.3.4; 32 nibbles below ip6.arpa → IPv6. Undefined for every other name. */
export function reverseAddress(name: string): Ip | undefined {
	const [, labels = "", zone] = /^([0-9a-f.]+)\.(in-addr|ip6)\.arpa$/i.exec(name) ?? [];
	const parts = labels.split(".").reverse();
	if (zone?.toLowerCase() === "in-addr") return parseIp(parts.join("."));
	if (zone === undefined || parts.length !== 32 || !parts.every((part) => part.length === 1)) return undefined;
	return ipOfBytes(
		Uint8Array.from({ length: 16 }, (_, i) => Number.parseInt(`${parts[2 * i]}${parts[2 * i + 1]}`, 16)),
	);
}
