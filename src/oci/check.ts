/** Small checks on unknown values, each naming the JSON path it looked at. */

import { VmjailError } from "../errors.ts";

export type Json = Readonly<Record<string, unknown>>;

/** The error that every check throws: SPEC_INVALID, "linux.namespaces[2].type is not …". */
export function specInvalid(path: string, problem: string): VmjailError {
	return new VmjailError("SPEC_INVALID", `config.json: ${path === "" ? "the document" : path} ${problem}`, {
		remedy: "Correct the file, or export it again from its policy: vmjail oci export DIR.",
	});
}

export function object(value: unknown, path: string): Json {
	if (typeof value !== "object" || value === null || Array.isArray(value)) throw specInvalid(path, "is not an object");
	return value as Json;
}

export function list(value: unknown, path: string): readonly unknown[] {
	if (!Array.isArray(value)) throw specInvalid(path, "is not a list");
	return value;
}

/** A string without NUL bytes: it will be handed to the kernel. */
export function text(value: unknown, path: string): string {
	if (typeof value !== "string") throw specInvalid(path, "is not a string");
	if (value.includes("\0")) throw specInvalid(path, "contains a NUL byte");
	return value;
}

export function texts(value: unknown, path: string): readonly string[] {
	return list(value, path).map((item, i) => text(item, `${path}[${i}]`));
}

export function flag(value: unknown, path: string): boolean {
	if (typeof value !== "boolean") throw specInvalid(path, "is neither true nor false");
	return value;
}

/** A whole number from `min` to `max`, both included. */
export function whole(value: unknown, path: string, min = 0, max: number = Number.MAX_SAFE_INTEGER): number {
	if (typeof value !== "number" || !Number.isSafeInteger(value) || value < min || value > max) {
		throw specInvalid(path, `is not a whole number from ${min} to ${max}`);
	}
	return value;
}

export function oneOf<T extends string>(value: unknown, path: string, allowed: readonly T[]): T {
	const found = allowed.find((candidate) => candidate === value);
	if (found === undefined) throw specInvalid(path, `is not one of ${allowed.join(", ")}`);
	return found;
}

/** Runs a check on a property that may be absent. */
export function optional(
	parent: Json,
	key: string,
	path: string,
	check: (value: unknown, path: string) => unknown,
): void {
	const value = parent[key];
	if (value !== undefined) check(value, path === "" ? key : `${path}.${key}`);
}

/** Runs a check on every item of a list that may be absent. */
export function each(parent: Json, key: string, path: string, check: (value: unknown, path: string) => unknown): void {
	optional(parent, key, path, (value, at) => {
		for (const [i, item] of list(value, at).entries()) check(item, `${at}[${i}]`);
	});
}
