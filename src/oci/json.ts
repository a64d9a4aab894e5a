/**
 * config.json to and from text. JSON has numbers that JavaScript's own JSON would round: RLIM_INFINITY
 * (18446744073709551615) and seccomp masks beyond 2^53.
 */

import { specInvalid } from "./check.ts";
import type { Spec } from "./types.ts";

const RLIM_INFINITY = 18446744073709551615n;

/** Marks a whole number on its way through JSON as a string; no string of a valid spec contains NUL. */
const MARK = "\0whole:";

/** The spec as JSON text, indented by tabs, with a newline at its end. Infinity becomes RLIM_INFINITY. */
export function specToJson(spec: Spec): string {
	return exactJson(spec, "\t");
}

/** Other data that holds such numbers. */
export function exactJson(data: unknown, indent: string): string {
	const marked = JSON.stringify(
		data,
		(_key, value: unknown) => {
			if (typeof value === "bigint") return `${MARK}${value}`;
			return value === Number.POSITIVE_INFINITY ? `${MARK}${RLIM_INFINITY}` : value;
		},
		indent,
	);
	return `${marked.replaceAll(/"\\u0000whole:(\d+)"/g, "$1")}\n`;
}

/**
 * JSON text to plain data, whole numbers that a double would round as bigint. Not yet a Spec: see validateSpec.
 *
 * @throws VmjailError SPEC_INVALID where the text is not JSON.
 */
export function parseSpecJson(json: string): unknown {
	// A raw NUL is no JSON, so after this check the mark cannot have come from the text, except as an escape.
	if (json.includes("\\u0000") || json.includes("\0")) throw specInvalid("", "contains a NUL byte");
	const marked = json.replaceAll(/"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g, (token) =>
		isRounded(token) ? JSON.stringify(MARK + token) : token,
	);
	try {
		return JSON.parse(marked, (_key, value: unknown) =>
			typeof value === "string" && value.startsWith(MARK) ? BigInt(value.slice(MARK.length)) : value,
		);
	} catch (cause) {
		throw specInvalid("", `is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`);
	}
}

function isRounded(token: string): boolean {
	return /^-?[1-9]\d{15,}$/.test(token) && !Number.isSafeInteger(Number(token));
}
