/** What node:dns answers for a type → records for dns-packet. Malformed and unmentionable ones are left out. */

import type { Answer } from "dns-packet";
import * as v from "valibot";
import { canonicalName } from "../../policy/names.ts";
import type { ForwardedType } from "./decide.ts";

/** Seconds: node:dns tells no TTL for these types. */
const TTL = 60;
const MOST_RECORDS = 64;

const port = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65535));
const serial = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(0xffff_ffff));
/** Names that come back are data for the jail: anything the wire cannot carry plainly is dropped. */
const domain = v.pipe(
	v.string(),
	v.transform((name) => canonicalName(name)),
	v.check((parsed) => "value" in parsed),
	v.transform((parsed) => ("value" in parsed ? parsed.value : "")),
);
const shortText = v.pipe(v.string(), v.maxLength(255), v.regex(/^[\u0020-\u00ff]*$/));

const mx = v.object({ exchange: domain, priority: port });
const srv = v.object({ name: domain, port, priority: port, weight: port });
const soa = v.object({
	nsname: domain,
	hostmaster: domain,
	serial,
	refresh: serial,
	retry: serial,
	expire: serial,
	minttl: serial,
});
const naptr = v.object({
	flags: shortText,
	service: shortText,
	regexp: shortText,
	replacement: v.union([domain, v.literal("")]),
	order: port,
	preference: port,
});
const txt = v.array(v.pipe(v.string(), v.maxLength(255)));

/** @param found what promises.Resolver.resolve(name, type) gave */
export function recordsOf(name: string, type: ForwardedType, found: unknown): readonly Answer[] {
	const list = Array.isArray(found) ? found.slice(0, MOST_RECORDS) : [found];
	return list.flatMap((one) => recordOf({ name, ttl: TTL }, type, one));
}

interface Base {
	readonly name: string;
	readonly ttl: number;
}

function recordOf(base: Base, type: ForwardedType, one: unknown): Answer[] {
	switch (type) {
		case "NS":
		case "PTR":
			return read(domain, one, (data) => ({ ...base, type, data }));
		case "TXT":
			return read(txt, one, (parts) => ({ ...base, type, data: parts.map((part) => Buffer.from(part, "latin1")) }));
		case "MX":
			return read(mx, one, ({ exchange, priority }) => ({ ...base, type, data: { exchange, preference: priority } }));
		case "SRV":
			return read(srv, one, ({ name: target, ...rest }) => ({ ...base, type, data: { target, ...rest } }));
		case "SOA":
			return read(soa, one, ({ nsname, hostmaster, minttl, ...rest }) => ({
				...base,
				type,
				data: { mname: nsname, rname: hostmaster, minimum: minttl, ...rest },
			}));
		case "NAPTR":
			return read(naptr, one, ({ service, ...rest }) => ({ ...base, type, data: { services: service, ...rest } }));
		case "CAA":
			return caa(base, one);
		default:
			return type satisfies never;
	}
}

const critical = v.object({ critical: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(255)) });

/** node:dns names the one property of a CAA record after its tag: { critical: 0, issue: "ca.example" }. */
function caa(base: Base, one: unknown): Answer[] {
	return read(critical, one, (data) => data).flatMap(({ critical: flags }) =>
		Object.entries(one as object).flatMap(([tag, value]): Answer[] => {
			const known = tag === "issue" || tag === "issuewild" || tag === "iodef";
			return known && v.is(shortText, value) ? [{ ...base, type: "CAA", data: { flags, tag, value } }] : [];
		}),
	);
}

function read<T, R>(schema: v.GenericSchema<unknown, T>, one: unknown, make: (value: T) => R): R[] {
	const parsed = v.safeParse(schema, one);
	return parsed.success ? [make(parsed.output)] : [];
}
