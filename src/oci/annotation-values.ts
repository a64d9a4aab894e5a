/** Parsers for the values of annotations: text that anybody may have written, to policy data. */

import { parseAddress } from "../policy/address.ts";
import { canonicalName } from "../policy/names.ts";
import type { Parsed } from "../policy/parsed.ts";
import type { AddressRule, Control, NameRule, Policy, PortRange, PublishedPort } from "../policy/types.ts";
import { type Json, list, object, oneOf, specInvalid, text, texts, whole } from "./check.ts";
import { isClean } from "./paths.ts";

/** One annotation may not make vmjail build rule sets of any size. */
const MAX_LENGTH = 1 << 20;

const CONTROLS = Object.keys({
	memory: 0,
	swap: 0,
	cpu: 0,
	cpuset: 0,
	pids: 0,
	io: 0,
	landlock: 0,
	seccomp: 0,
	devices: 0,
	apparmor: 0,
	selinux: 0,
} satisfies Record<Control, 0>) as readonly Control[];

export function parseNetwork(value: string, path: string): Policy["security"]["network"] {
	const network = only(json(value, path), path, ["mode", "policy"]);
	const policy = only(network["policy"], `${path}.policy`, ["listen", "tcp", "udp", "dns", "bytesPerSecond"]);
	const rules = <T>(key: string, rule: (item: unknown, at: string) => T): readonly T[] =>
		list(policy[key], `${path}.policy.${key}`).map((item, i) => rule(item, `${path}.policy.${key}[${i}]`));
	return {
		mode: oneOf(network["mode"], `${path}.mode`, ["none", "host", "hostwithpolicy"]),
		policy: {
			listen: rules("listen", published),
			tcp: rules("tcp", address),
			udp: rules("udp", address),
			dns: rules("dns", name),
			...(policy["bytesPerSecond"] === undefined
				? {}
				: { bytesPerSecond: whole(policy["bytesPerSecond"], `${path}.policy.bytesPerSecond`, 1) }),
		},
	};
}

/** Absent: no restriction. An empty list would mean the same by accident, so it is refused. */
export function parsePrograms(value: string | undefined, path: string): readonly string[] {
	if (value === undefined) return [];
	const programs = texts(json(value, path), path);
	if (programs.length === 0) throw specInvalid(path, "is an empty list");
	for (const program of programs) if (!isClean(program)) throw specInvalid(path, `names ${JSON.stringify(program)}`);
	return programs;
}

export function parseControls(value: string | undefined, path: string): readonly Control[] {
	if (value === undefined) return [];
	return list(json(value, path), path).map((item, i) => oneOf(item, `${path}[${i}]`, CONTROLS));
}

/** A limit: a whole number above 0, in decimal. */
export function parseWhole(value: string, path: string): number {
	if (!/^[1-9]\d{0,15}$/.test(value)) throw specInvalid(path, "is not a whole number above 0");
	return whole(Number(value), path, 1);
}

function json(value: string, path: string): unknown {
	if (value.length > MAX_LENGTH) throw specInvalid(path, `is longer than ${MAX_LENGTH} characters`);
	try {
		return JSON.parse(value);
	} catch {
		throw specInvalid(path, "is not JSON");
	}
}

/** An object with no other keys: an unknown key may be a rule that would go unenforced. */
function only(value: unknown, path: string, keys: readonly string[]): Json {
	const found = object(value, path);
	for (const key of Object.keys(found)) if (!keys.includes(key)) throw specInvalid(`${path}.${key}`, "is not known");
	return found;
}

/** One spelling only: what is matched, logged and dialled must be the same text. */
function isCanonical(parsed: Parsed<string>, spelled: string): boolean {
	return "value" in parsed && parsed.value === spelled;
}

function ports(value: unknown, path: string): PortRange {
	const range = only(value, path, ["from", "to"]);
	const from = whole(range["from"], `${path}.from`, 0, 65535);
	return { from, to: whole(range["to"], `${path}.to`, from, 65535) };
}

function address(value: unknown, path: string): AddressRule {
	const rule = only(value, path, ["host", "ports", "text"]);
	const host = text(rule["host"], `${path}.host`);
	if (host !== "*" && !isCanonical(parseAddress(host), host)) throw specInvalid(`${path}.host`, "is not an address");
	return { host, ports: ports(rule["ports"], `${path}.ports`), text: text(rule["text"], `${path}.text`) };
}

function name(value: unknown, path: string): NameRule {
	const rule = only(value, path, ["name", "subdomains", "ports", "text"]);
	const found = text(rule["name"], `${path}.name`);
	if (!isCanonical(canonicalName(found), found)) throw specInvalid(`${path}.name`, "is not a canonical host name");
	if (typeof rule["subdomains"] !== "boolean") throw specInvalid(`${path}.subdomains`, "is neither true nor false");
	return {
		name: found,
		subdomains: rule["subdomains"],
		ports: ports(rule["ports"], `${path}.ports`),
		text: text(rule["text"], `${path}.text`),
	};
}

function published(value: unknown, path: string): PublishedPort {
	const rule = only(value, path, ["hostAddress", "hostPort", "jailPort"]);
	const hostAddress = text(rule["hostAddress"], `${path}.hostAddress`);
	if (hostAddress.includes("/") || !isCanonical(parseAddress(hostAddress), hostAddress)) {
		throw specInvalid(`${path}.hostAddress`, "is not an address");
	}
	return {
		hostAddress,
		hostPort: whole(rule["hostPort"], `${path}.hostPort`, 0, 65535),
		jailPort: whole(rule["jailPort"], `${path}.jailPort`, 1, 65535),
	};
}
