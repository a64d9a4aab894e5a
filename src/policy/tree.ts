/** A JSON document that knows, for every value, where it came from; and how layers of them are laid over each other. */

import { parsePath } from "./paths.ts";

/** Where a value was written: `policy.json:14:7`, `--mem` or `preset agent`. */
export interface Origin {
	readonly where: () => string;
	/** A flag names its key by itself: messages leave the JSON path out. */
	readonly flag: boolean;
}

export interface Member {
	readonly keyOrigin: Origin;
	readonly value: Tree;
}

export type Tree =
	| { readonly kind: "object"; readonly origin: Origin; readonly members: ReadonlyMap<string, Member> }
	| { readonly kind: "array"; readonly origin: Origin; readonly items: readonly Tree[] }
	| { readonly kind: "scalar"; readonly origin: Origin; readonly value: Scalar };

export type Scalar = string | number | bigint | boolean | null;
export type JsonPath = readonly (string | number)[];
export type Json = Scalar | readonly Json[] | { readonly [key: string]: Json };

/** Objects have no prototype, so that no key finds anything that was not written. */
export function plain(tree: Tree): unknown {
	if (tree.kind === "scalar") return tree.value;
	if (tree.kind === "array") return tree.items.map(plain);
	const object: Record<string, unknown> = Object.create(null);
	for (const [key, member] of tree.members) object[key] = plain(member.value);
	return object;
}

/** The same origin for every value of `json`. */
export function treeOf(json: Json, origin: Origin): Tree {
	if (typeof json !== "object" || json === null) return { kind: "scalar", origin, value: json };
	if (isList(json)) return { kind: "array", origin, items: json.map((item) => treeOf(item, origin)) };
	const members = Object.entries(json).map(
		([key, value]) => [key, { keyOrigin: origin, value: treeOf(value, origin) }] as const,
	);
	return { kind: "object", origin, members: new Map(members) };
}

function isList(json: Json): json is readonly Json[] {
	return Array.isArray(json);
}

/** `json` at `path` of an otherwise empty document. */
export function treeAt(path: JsonPath, json: Json, origin: Origin): Tree {
	return treeOf(
		path.reduceRight<Json>((inner, key) => ({ [key]: inner }), json),
		origin,
	);
}

/** The value at `path`, or undefined. */
export function find(tree: Tree, path: JsonPath): Tree | undefined {
	let at: Tree | undefined = tree;
	for (const key of path) {
		if (at?.kind === "object") at = at.members.get(String(key))?.value;
		else if (at?.kind === "array") at = at.items[Number(key)];
		else return undefined;
	}
	return at;
}

/** Origin of the value at `path`, else of the nearest one around it. */
export function originOf(tree: Tree, path: JsonPath): Origin {
	for (let length = path.length; length > 0; length--) {
		const found = find(tree, path.slice(0, length));
		if (found !== undefined) return found.origin;
	}
	return tree.origin;
}

/**
 * `over` laid over `base`: objects merge, lists append, anything else is replaced. Two exceptions: a seccomp object is
 * replaced as a whole (half of two filters is neither), and a path of `security.file` is placed by the last layer only.
 */
export function merge(base: Tree, over: Tree): Tree {
	return overlay(base, over, "", true);
}

/** Two parts of one layer: as {@link merge}, but a path placed by both stays in both, for the contradiction to be seen. */
export function join(a: Tree, b: Tree): Tree {
	return overlay(a, b, "", false);
}

function overlay(base: Tree, over: Tree, path: string, replaces: boolean): Tree {
	if (base.kind === "array" && over.kind === "array") return { ...over, items: [...base.items, ...over.items] };
	if (base.kind !== "object" || over.kind !== "object" || path === "security.syscalls") return over;
	const members = new Map(
		replaces && path === "security.file" ? withoutPaths(base.members, pathsPlaced(over.members)) : base.members,
	);
	for (const [key, member] of over.members) {
		const below = members.get(key);
		const value =
			below === undefined
				? member.value
				: overlay(below.value, member.value, path === "" ? key : `${path}.${key}`, replaces);
		members.set(key, { keyOrigin: member.keyOrigin, value });
	}
	return { kind: "object", origin: over.origin, members };
}

/** The path that an entry of `writablePaths`, …, `tmpfs` places, normalised. */
function pathPlaced(entry: Tree): string | undefined {
	const text = entry.kind === "object" ? find(entry, ["path"]) : entry;
	if (text?.kind !== "scalar" || typeof text.value !== "string") return undefined;
	const parsed = parsePath(text.value);
	return "value" in parsed ? parsed.value : undefined;
}

function pathsPlaced(lists: ReadonlyMap<string, Member>): ReadonlySet<string> {
	const entries = [...lists.values()].flatMap(({ value }) => (value.kind === "array" ? value.items : []));
	return new Set(entries.map(pathPlaced).filter((path) => path !== undefined));
}

function withoutPaths(
	lists: ReadonlyMap<string, Member>,
	gone: ReadonlySet<string>,
): readonly (readonly [string, Member])[] {
	return [...lists].map(([key, { keyOrigin, value }]) => {
		if (value.kind !== "array") return [key, { keyOrigin, value }];
		const items = value.items.filter((entry) => !gone.has(pathPlaced(entry) ?? ""));
		return [key, { keyOrigin, value: { ...value, items } }];
	});
}
