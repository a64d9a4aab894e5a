/** Query → reply: the decision, carried out. */

import type { Answer } from "dns-packet";
import { denial } from "../denials.ts";
import type { Report } from "../events.ts";
import type { Family } from "../ip.ts";
import type { JailNames } from "../jail-names.ts";
import type { Rules } from "../rules.ts";
import { type AddressType, type Decision, decide, forwardedTypes } from "./decide.ts";
import type { Query } from "./query.ts";
import type { Reply } from "./response.ts";
import type { Addresses, Failure, Upstream } from "./upstream.ts";

export interface Answering {
	readonly rules: Rules;
	readonly names: JailNames;
	readonly upstream: Upstream;
	readonly report: Report;
	/** What the jail can use: without IPv6 there are no AAAA records. */
	readonly families: readonly Family[];
	/** Has the program that asked ended? Then nobody is to hear the answer. */
	readonly isOver?: () => boolean;
}

/** Seconds. A synthetic address never changes; the name behind it may cease to exist. */
const SYNTHETIC_TTL = 60;

/** Never rejects. */
export async function answer(context: Answering, query: Query): Promise<Reply> {
	const decision = decide(context.rules, query.name, query.type);
	const unusable = "type" in decision && decision.type === "AAAA" && !context.families.includes(6);
	const reply = unusable ? found([]) : await carryOut(context, decision, query);
	tell(context.report, decision, query, reply);
	return reply;
}

async function carryOut({ names, upstream, report }: Answering, decision: Decision, query: Query): Promise<Reply> {
	switch (decision.kind) {
		case "refuse":
			return { code: "REFUSED", answers: [] };
		case "nonexistent":
			return { code: "NXDOMAIN", answers: [], ...(decision.denied ? { prohibited: true } : {}) };
		case "empty":
			return { code: "NOERROR", answers: [] };
		case "localhost":
			return found([
				addressRecord(query.name, decision.type, decision.type === "A" ? "127.0.0.1" : "::1", SYNTHETIC_TTL),
			]);
		case "reverse":
			return reverse(query.name, names.nameAt(decision.ip));
		case "synthetic":
			return synthetic(await upstream.addresses(decision.name), names, decision, query.name, report);
		case "forward":
			return decision.type === "A" || decision.type === "AAAA"
				? forwarded(await upstream.addresses(decision.name), names, decision.name, decision.type, query.name)
				: records(await upstream.records(decision.name, decision.type), query.name);
		default:
			return decision satisfies never;
	}
}

/**
 * One made-up address of either family for every name that exists: the relay reaches the real one by whichever family it has, so that
 * a jail that prefers IPv6 and a host that lacks it get along.
 */
function synthetic(
	real: Addresses,
	names: JailNames,
	{ name, type }: { readonly name: string; readonly type: AddressType },
	owner: string,
	report: Report,
): Reply {
	if ("failure" in real) return failed(real.failure);
	const addresses = names.addressesOf(name);
	if (addresses === undefined) {
		report(
			denial({
				protocol: "dns",
				reason: "too-many",
				host: name,
				detail: "the jail has looked up more names than it may",
			}),
		);
		return failed("SERVFAIL");
	}
	return found([addressRecord(owner, type, addresses[type === "A" ? 4 : 6], SYNTHETIC_TTL)]);
}

function forwarded(real: Addresses, names: JailNames, name: string, type: AddressType, owner: string): Reply {
	if ("failure" in real) return failed(real.failure);
	const addresses = type === "A" ? real.v4 : real.v6;
	for (const address of addresses) names.noteReal(address, name);
	return found(addresses.map((address) => addressRecord(owner, type, address, real.ttl)));
}

function records(
	result: { readonly answers: readonly Answer[] } | { readonly failure: Failure },
	owner: string,
): Reply {
	if ("failure" in result) return failed(result.failure);
	return found(result.answers.map((one): Answer => ({ ...one, name: owner })));
}

function reverse(owner: string, name: string | undefined): Reply {
	if (name === undefined) return failed("NXDOMAIN");
	return found([{ name: owner, type: "PTR", ttl: SYNTHETIC_TTL, data: name }]);
}

function addressRecord(name: string, type: AddressType, address: string, ttl: number): Answer {
	return { name, type, ttl, data: address };
}

function found(answers: readonly Answer[]): Reply {
	return { code: "NOERROR", answers };
}

function failed(failure: Failure): Reply {
	return { code: failure === "NODATA" ? "NOERROR" : failure, answers: [] };
}

function tell(report: Report, decision: Decision, query: Query, reply: Reply): void {
	if (decision.kind === "nonexistent" && decision.denied) {
		report(denial({ protocol: "dns", reason: "name-not-allowed", host: decision.name }));
		return;
	}
	if (!("name" in decision)) return;
	const type = typeName(query.type);
	if (reply.code === "FORMERR") return;
	const kind = decision.kind === "synthetic" ? "synthetic" : "forwarded";
	report({ kind: "net.dns", name: decision.name, type, answer: reply.answers.length > 0 ? kind : reply.code });
}

function typeName(type: number): string {
	if (type === 1) return "A";
	if (type === 28) return "AAAA";
	return (forwardedTypes as Readonly<Record<number, string>>)[type] ?? `TYPE${type}`;
}
