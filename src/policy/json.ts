/** Text of a policy → {@link Tree}: JSON with comments and trailing commas, and nothing that could be read in two ways. */

import { createScanner, type JSONScanner } from "jsonc-parser";
import { VmjailError } from "../errors.ts";
import { show } from "./shown.ts";
import type { Member, Origin, Scalar, Tree } from "./tree.ts";

const LARGEST_BYTES = 2 ** 20;
const DEEPEST = 64;

/** Kinds of token and errors of jsonc-parser's scanner (its `SyntaxKind` and `ScanError`, which are ambient constants). */
const TOKEN = {
	openBrace: 1,
	closeBrace: 2,
	openBracket: 3,
	closeBracket: 4,
	comma: 5,
	colon: 6,
	string: 10,
	number: 11,
	end: 17,
} as const;
const LITERALS: ReadonlyMap<number, Scalar> = new Map<number, Scalar>([
	[7, null],
	[8, true],
	[9, false],
]);
const SCAN_ERRORS: readonly string[] = [
	"",
	"a comment is not closed",
	"a string is not closed",
	"a number is not complete",
	"an invalid \\u escape",
	"an invalid escape in a string",
	"a control character in a string",
];

/** Keys with a meaning of their own in JavaScript. No part of a policy has such a name. */
const HOSTILE_KEYS: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);

/** Cursor over the tokens, blanks and comments left out. */
interface Cursor {
	readonly scanner: JSONScanner;
	readonly text: string;
	readonly source: string;
	token: number;
}

/**
 * Throws POLICY_SYNTAX, with line and column, for anything but one JSON value in well-formed UTF-8 of at most 1 MiB, at
 * most 64 levels deep, without duplicate keys, NUL characters, lone surrogates, or numbers beyond a double's range.
 * Whole numbers that a double cannot hold become bigints.
 */
export function parseJson(input: string | Uint8Array, source: string): Tree {
	const text = decode(input, source);
	const cursor: Cursor = { scanner: createScanner(text, false), text, source, token: TOKEN.end };
	advance(cursor);
	if (at(cursor, TOKEN.end)) {
		throw failed(
			cursor,
			0,
			"the policy is empty",
			'Write at least {}, or leave the policy out for the preset "default".',
		);
	}
	const tree = value(cursor, 0);
	if (!at(cursor, TOKEN.end)) throw unexpected(cursor, "the end of the file");
	return tree;
}

function decode(input: string | Uint8Array, source: string): string {
	if (input.length > LARGEST_BYTES) {
		throw new VmjailError("POLICY_SYNTAX", `${source}: the policy is larger than 1 MiB`, {
			remedy: "Check that this is a policy file.",
		});
	}
	const text = typeof input === "string" ? input.replace(/^\ufeff/, "") : utf8(input, source);
	const nul = text.indexOf("\0");
	if (nul >= 0) throw syntax(source, text, nul, "a NUL character: this is not a text file");
	return text;
}

function utf8(bytes: Uint8Array, source: string): string {
	try {
		// Drops a byte order mark.
		return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
	} catch (cause) {
		throw new VmjailError("POLICY_SYNTAX", `${source}: the policy is not UTF-8 text`, {
			remedy: "Save the file as UTF-8.",
			cause,
		});
	}
}

function at(cursor: Cursor, token: number): boolean {
	return cursor.token === token;
}

function advance(cursor: Cursor): void {
	cursor.token = cursor.scanner.scan();
	// Blanks and comments. The scanner can skip them itself, but then says nothing of a comment that is not closed.
	while (cursor.token >= 12 && cursor.token <= 15) {
		checkScan(cursor);
		cursor.token = cursor.scanner.scan();
	}
	checkScan(cursor);
}

function checkScan(cursor: Cursor): void {
	const error = cursor.scanner.getTokenError();
	if (error !== 0) throw failed(cursor, cursor.scanner.getTokenOffset(), SCAN_ERRORS[error] ?? "an invalid token");
}

function value(cursor: Cursor, depth: number): Tree {
	const { scanner } = cursor;
	const offset = scanner.getTokenOffset();
	if (depth > DEEPEST) throw failed(cursor, offset, `nested deeper than ${DEEPEST} levels`);
	const origin = originAt(cursor, offset);
	if (at(cursor, TOKEN.openBrace)) return object(cursor, origin, depth);
	if (at(cursor, TOKEN.openBracket)) return array(cursor, origin, depth);
	const literal = LITERALS.get(cursor.token);
	if (!at(cursor, TOKEN.string) && !at(cursor, TOKEN.number) && literal === undefined)
		throw unexpected(cursor, "a value");
	const scalar = at(cursor, TOKEN.string)
		? string(cursor)
		: at(cursor, TOKEN.number)
			? number(cursor)
			: (literal ?? null);
	advance(cursor);
	return { kind: "scalar", origin, value: scalar };
}

function object(cursor: Cursor, origin: Origin, depth: number): Tree {
	const members = new Map<string, Member>();
	advance(cursor);
	while (!at(cursor, TOKEN.closeBrace)) {
		if (!at(cursor, TOKEN.string)) throw unexpected(cursor, 'a key in double quotes or "}"');
		const offset = cursor.scanner.getTokenOffset();
		const key = string(cursor);
		if (HOSTILE_KEYS.has(key)) throw failed(cursor, offset, `the key ${show(key)} is not accepted`);
		if (members.has(key))
			throw failed(cursor, offset, `the key ${show(key)} appears twice in one object`, "Keep one of them.");
		advance(cursor);
		expect(cursor, TOKEN.colon, '":"');
		members.set(key, { keyOrigin: originAt(cursor, offset), value: value(cursor, depth + 1) });
		if (at(cursor, TOKEN.comma)) advance(cursor);
		else if (!at(cursor, TOKEN.closeBrace)) throw unexpected(cursor, '"," or "}"');
	}
	advance(cursor);
	return { kind: "object", origin, members };
}

function array(cursor: Cursor, origin: Origin, depth: number): Tree {
	const items: Tree[] = [];
	advance(cursor);
	while (!at(cursor, TOKEN.closeBracket)) {
		items.push(value(cursor, depth + 1));
		if (at(cursor, TOKEN.comma)) advance(cursor);
		else if (!at(cursor, TOKEN.closeBracket)) throw unexpected(cursor, '"," or "]"');
	}
	advance(cursor);
	return { kind: "array", origin, items };
}

function string(cursor: Cursor): string {
	const text = cursor.scanner.getTokenValue();
	const offset = cursor.scanner.getTokenOffset();
	if (text.includes("\0")) throw failed(cursor, offset, "a NUL character in a string");
	if (/\p{Surrogate}/u.test(text)) throw failed(cursor, offset, "half of a surrogate pair in a string");
	return text;
}

function number(cursor: Cursor): number | bigint {
	const text = cursor.scanner.getTokenValue();
	const double = Number(text);
	if (!Number.isFinite(double)) throw failed(cursor, cursor.scanner.getTokenOffset(), "a number is too large");
	// Up to 20 digits: 2^64 and no further, so that no time is spent on a megabyte of digits.
	return /^-?\d{1,20}$/.test(text) && !Number.isSafeInteger(double) ? BigInt(text) : double;
}

function expect(cursor: Cursor, token: number, what: string): void {
	if (cursor.token !== token) throw unexpected(cursor, what);
	advance(cursor);
}

function unexpected(cursor: Cursor, expected: string): VmjailError {
	const offset = cursor.scanner.getTokenOffset();
	if (at(cursor, TOKEN.end))
		return failed(cursor, cursor.text.length, `expected ${expected}, but the file ends here`, "Is the file complete?");
	const got = show(cursor.text.slice(offset, offset + Math.min(cursor.scanner.getTokenLength(), 40)));
	return failed(cursor, offset, `expected ${expected}, got ${got}`);
}

function failed(cursor: Cursor, offset: number, message: string, remedy?: string): VmjailError {
	return syntax(cursor.source, cursor.text, offset, message, remedy);
}

function syntax(
	source: string,
	text: string,
	offset: number,
	message: string,
	remedy = "Correct the JSON; comments and trailing commas are fine.",
): VmjailError {
	return new VmjailError("POLICY_SYNTAX", `${position(source, text, offset)}: ${message}`, { remedy });
}

function originAt(cursor: Cursor, offset: number): Origin {
	const { source, text } = cursor;
	return { where: () => position(source, text, offset), flag: false };
}

/** `policy.json:14:7`: line and column from 1, columns in UTF-16 units as editors count them. */
function position(source: string, text: string, offset: number): string {
	const before = text.slice(0, offset).split(/\r\n|\r|\n/);
	return `${source}:${before.length}:${(before.at(-1)?.length ?? 0) + 1}`;
}
