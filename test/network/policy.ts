/** Rules as a policy file spells them → the parsed part of a policy. */

import type { NetworkPolicy } from "../../src/network/rules.ts";
import type { Parsed } from "../../src/policy/parsed.ts";
import { parseAddressRule, parseNameRule, parsePublishedPort } from "../../src/policy/rules.ts";

export interface RuleTexts {
	readonly listen?: readonly (number | string)[];
	readonly tcp?: readonly string[];
	readonly udp?: readonly string[];
	readonly dns?: readonly string[];
}

export function policyOf({ listen = [], tcp = [], udp = [], dns = [] }: RuleTexts): NetworkPolicy {
	return {
		listen: listen.map((text) => parsedValue(parsePublishedPort(text))),
		tcp: tcp.map((text) => parsedValue(parseAddressRule(text))),
		udp: udp.map((text) => parsedValue(parseAddressRule(text))),
		dns: dns.map((text) => parsedValue(parseNameRule(text))),
	};
}

function parsedValue<T>(parsed: Parsed<T>): T {
	if ("problem" in parsed) throw new Error(parsed.problem);
	return parsed.value;
}
