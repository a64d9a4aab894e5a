/** Keys that the schema does not know, and objects where it has none: found by walking document and schema together. */

import type * as v from "valibot";
import { type Problem, pathText } from "./problems.ts";
import { nearest, show } from "./shown.ts";
import { type JsonPath, plain, type Tree } from "./tree.ts";

/** The parts of valibot's schemas that a walk needs. A schema with a pipe has its first schema's own fields. */
interface Walked {
	readonly type: string;
	readonly entries?: Readonly<Record<string, unknown>>;
	readonly item?: unknown;
	readonly value?: unknown;
	readonly wrapped?: unknown;
	readonly getter?: (input: unknown) => unknown;
}

/**
 * Valibot names only the first unknown key of an object, takes a list for an object, and has no hints: so this is done
 * here. What has the wrong type altogether is left to valibot.
 */
export function keyProblems(tree: Tree, schema: v.GenericSchema): readonly Problem[] {
	/** Made for the first unknown key only: most policies have none, and start-up counts. */
	let everywhere: readonly (readonly string[])[] | undefined;
	const problems: Problem[] = [];
	walk(tree, schema, []);
	return problems;

	function walk(at: Tree, untyped: unknown, path: JsonPath): void {
		const here = resolve(untyped, at);
		if ((here.entries !== undefined || here.type === "record") && at.kind === "array") {
			problems.push({ path, message: `expected an object in braces, got ${show(plain(at))}` });
		} else if (here.type === "array" && at.kind === "array") {
			at.items.forEach((item, index) => void walk(item, here.item, [...path, index]));
		} else if (here.type === "record" && at.kind === "object") {
			for (const [key, member] of at.members) walk(member.value, here.value, [...path, key]);
		} else if (here.entries !== undefined && at.kind === "object") {
			for (const [key, { keyOrigin, value }] of at.members) {
				if (Object.hasOwn(here.entries, key)) walk(value, here.entries[key], [...path, key]);
				else
					problems.push({
						path: [...path, key],
						origin: keyOrigin,
						message: unknownKey(key, path, Object.keys(here.entries)),
					});
			}
		}
	}

	function unknownKey(key: string, path: JsonPath, known: readonly string[]): string {
		const near = nearest(key, known);
		if (near !== undefined) return `unknown key ${show(key)} (did you mean ${show(near)}?)`;
		everywhere ??= keyPaths(schema, []);
		const elsewhere = closest(
			path,
			everywhere.filter((other) => other.at(-1) === key),
		);
		const similar = nearest(
			key,
			everywhere.map((other) => other.at(-1) ?? ""),
		);
		const there =
			elsewhere ??
			closest(
				path,
				everywhere.filter((other) => other.at(-1) === similar),
			);
		if (there !== undefined) return `unknown key ${show(key)} (did you mean ${pathText(there)}?)`;
		return `unknown key ${show(key)}; the keys here are ${known.join(", ")}`;
	}
}

/** Follows what has no keys of its own: optional values, and schemas chosen by their input. */
function resolve(untyped: unknown, at: Tree | undefined): Walked {
	let schema = untyped as Walked;
	while (schema.wrapped !== undefined || schema.getter !== undefined) {
		schema = (schema.wrapped ?? schema.getter?.(at === undefined ? undefined : plain(at))) as Walked;
	}
	return schema;
}

/** Every key of the schema by its path, those of a seccomp object left out: their names are common words. */
function keyPaths(untyped: unknown, path: readonly string[]): readonly (readonly string[])[] {
	const schema = resolve(untyped, undefined);
	if (schema.item !== undefined) return keyPaths(schema.item, path);
	return Object.entries(schema.entries ?? {}).flatMap(([key, entry]) => [
		[...path, key],
		...keyPaths(entry, [...path, key]),
	]);
}

/** Of several places, the one that shares most of the way. */
function closest(path: JsonPath, places: readonly (readonly string[])[]): readonly string[] | undefined {
	const shared = (place: readonly string[]) => place.findIndex((key, index) => key !== path[index]);
	return [...places].sort((a, b) => shared(b) - shared(a))[0];
}
