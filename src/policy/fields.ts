/** Building blocks of the schema. Each says what it expected in one sentence and normalises what it got. */

import * as v from "valibot";
import type { Parsed } from "./parsed.ts";
import { parsePath } from "./paths.ts";
import { alternatives, didYouMean, show } from "./shown.ts";
import { parseDuration, parseSize } from "./units.ts";

type Described = v.BaseIssue<unknown>;

/** Message of a wrong type: `expected a size such as "64MiB", got true`. */
export function said(expected: string): (issue: Described) => string {
	return (issue) => `expected ${expected}, got ${show(issue.input)}`;
}

/** Runs `parse` on a value of the right type and reports its problem. */
export function parsedBy<I, T>(parse: (input: I) => Parsed<T>): v.RawTransformAction<I, T> {
	return v.rawTransform<I, T>(({ dataset, addIssue, NEVER }) => {
		const parsed = parse(dataset.value);
		if ("value" in parsed) return parsed.value;
		addIssue({ message: parsed.problem });
		return NEVER;
	});
}

/** One of a few names. */
export function choice<const T extends readonly string[]>(names: T, description: string) {
	const message = (issue: Described) =>
		`expected ${alternatives(names)}, got ${show(issue.input)}${didYouMean(issue.input, names)}`;
	return v.pipe(v.picklist(names, message), v.description(description));
}

export function flag(description: string) {
	return v.pipe(v.boolean(said("true or false")), v.description(description));
}

/** A whole number within bounds. */
export function integer(
	description: string,
	least: number,
	most: number,
	expected = `a whole number from ${least} to ${most}`,
) {
	const message = said(expected);
	return v.pipe(
		v.number(message),
		v.integer(message),
		v.minValue(least, message),
		v.maxValue(most, message),
		v.description(description),
		v.transform((value) => value + 0), // −0 → 0
	);
}

/** A string, normalised by `parse`. */
export function text<T>(
	description: string,
	expected: string,
	parse: (input: string) => Parsed<T>,
	examples: string[] = [],
) {
	return v.pipe(v.string(said(expected)), v.description(description), v.examples(examples), parsedBy(parse));
}

/** A string or a number, normalised by `parse`. */
export function textOrNumber<T>(
	description: string,
	expected: string,
	parse: (input: string | number) => Parsed<T>,
	examples: (string | number)[] = [],
) {
	const message = said(expected);
	return v.pipe(
		v.union([v.number(), v.string()], message),
		v.description(description),
		v.examples(examples),
		parsedBy(parse),
	);
}

/** Bytes, or "64MiB", at least `least` bytes. */
export function size(description: string, least: number, hint: string, examples: (string | number)[] = ["64MiB"]) {
	return textOrNumber(
		description,
		'a size such as "64MiB" or a number of bytes',
		(input) => {
			const parsed = parseSize(input);
			return "value" in parsed && parsed.value < least ? { problem: `${show(input)} is too small: ${hint}` } : parsed;
		},
		examples,
	);
}

export function duration(description: string, examples: string[] = ["10s"]) {
	const message = said('a duration such as "10s", "250ms", "1m" or "1h"');
	// Numbers are let in only to be refused with a hint.
	return v.pipe(
		v.union([v.string(), v.number()], message),
		v.description(description),
		v.examples(examples),
		parsedBy(parseDuration),
	);
}

export function path(
	description: string,
	parse: (input: string) => Parsed<string> = parsePath,
	examples: string[] = [],
) {
	return text(description, "an absolute path", parse, examples);
}

/** A list; one value in place of a list of one is refused. */
export function list<S extends v.GenericSchema>(item: S, description: string) {
	return v.pipe(v.array(item, said("a list in brackets")), v.description(description));
}

/** An object of which every key is known. */
export function section<E extends v.ObjectEntries>(entries: E, description: string) {
	return v.pipe(v.strictObject(entries, said("an object in braces")), v.description(description));
}
