/** Domain names → the one form in which they are matched, logged and dialled. */

import { looksNumeric } from "./address.ts";
import type { Parsed } from "./parsed.ts";
import { show } from "./shown.ts";

/**
 * Lower case, IDNA A-labels (UTS 46, by the platform's URL parser), no trailing dot; labels of 1–63 bytes and 253 in all
 * (RFC 1035 section 2.3.4). Underscores pass: service names have them.
 */
export function canonicalName(text: string): Parsed<string> {
	if (text === "" || text === ".") return { problem: "expected a domain name before the colon" };
	// What the URL parser would read as something else than a host: user, port, path, escapes, blanks.
	const strange = /[^A-Za-z0-9._\-\u0080-\u{10ffff}]/u.exec(text);
	if (strange !== null) return { problem: `${show(strange[0])} cannot be part of a domain name, in ${show(text)}` };
	const ascii = asciiName(text);
	if (ascii === undefined) return { problem: `${show(text)} is not a valid domain name` };
	const name = ascii.endsWith(".") ? ascii.slice(0, -1) : ascii;
	// A URL parser reads "0x7f.1" as 127.0.0.1; so do some resolvers. Such a "name" is never one.
	if (looksNumeric(name) || looksNumeric(name.slice(name.lastIndexOf(".") + 1))) {
		return { problem: `${show(text)} is an address, not a name: put it in "tcp" or "udp"` };
	}
	return checkLengths(name, text);
}

function asciiName(text: string): string | undefined {
	const lower = text.toLowerCase();
	// Plain ASCII needs no mapping; "xn--" labels do need checking.
	if (/^[a-z0-9._-]+$/.test(lower) && !lower.includes("xn--")) return lower;
	try {
		const { hostname } = new URL(`http://${text}/`);
		return /^[a-z0-9._-]+$/.test(hostname) ? hostname : undefined;
	} catch {
		return undefined;
	}
}

function checkLengths(name: string, text: string): Parsed<string> {
	if (name.length > 253)
		return { problem: `the name ${show(text)} has ${name.length} characters, at most 253 are possible` };
	for (const label of name.split(".")) {
		if (label === "") return { problem: `${show(text)} has an empty label: two dots in a row, or one in front` };
		if (label.length > 63)
			return { problem: `the label ${show(label)} has ${label.length} characters, at most 63 are possible` };
		if (label.startsWith("-") || label.endsWith("-"))
			return { problem: `the label ${show(label)} in ${show(text)} begins or ends with a hyphen` };
	}
	return { value: name };
}
