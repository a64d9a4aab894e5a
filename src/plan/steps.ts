/** Blocks of memory for system calls. */

import type { Bytes, Patch, SlotName } from "./types.ts";

const encoder = new TextEncoder();

/** Bytes in the way that plans show them. */
export function block(bytes: Uint8Array, shown: string, patches: readonly Patch[] = []): Bytes {
	return patches.length === 0 ? { bytes, shown } : { bytes, shown, patches };
}

/** A NUL-terminated string. The text must not contain NUL. */
export function cstring(text: string): Bytes {
	return block(encoder.encode(`${text}\0`), JSON.stringify(text));
}

/** Text without a terminator, for write(2). */
export function text(content: string): Bytes {
	return block(encoder.encode(content), JSON.stringify(content));
}

/** A NUL-terminated path with the id of the started process in it: `/proc/<pid>/uid_map`. Slashes pad the id. */
export function pathWithPid(before: string, after: string): Bytes {
	const bytes = encoder.encode(`${before}${"/".repeat(10)}${after}\0`);
	return block(bytes, JSON.stringify(`${before}<pid>${after}`), [
		{ at: encoder.encode(before).length, kind: "pid", pad: "/" },
	]);
}

/** One field of a C structure, in order and without implied padding. */
export type Field =
	| { readonly u16: number }
	| { readonly u32: number }
	| { readonly u64: number | bigint }
	| { readonly pointer: Bytes }
	| { readonly slot: SlotName }
	| { readonly pid32: true }
	| { readonly zeros: number };

function sizeOf(field: Field): number {
	if ("u16" in field) return 2;
	if ("u64" in field || "pointer" in field) return 8;
	if ("zeros" in field) return field.zeros;
	return 4;
}

/** A C structure, little-endian. */
export function struct(shown: string, fields: readonly Field[]): Bytes {
	const bytes = new Uint8Array(fields.reduce((sum, field) => sum + sizeOf(field), 0));
	const view = new DataView(bytes.buffer);
	const patches: Patch[] = [];
	let at = 0;
	for (const field of fields) {
		if ("u16" in field) view.setUint16(at, field.u16, true);
		else if ("u32" in field) view.setUint32(at, field.u32, true);
		else if ("u64" in field) view.setBigUint64(at, BigInt.asUintN(64, BigInt(field.u64)), true);
		else if ("pointer" in field) patches.push({ at, kind: "pointer", to: field.pointer });
		else if ("slot" in field) patches.push({ at, kind: "slot", slot: field.slot });
		else if ("pid32" in field) patches.push({ at, kind: "pid32" });
		at += sizeOf(field);
	}
	return block(bytes, shown, patches);
}

/** Memory that the kernel writes to. */
export function space(size: number, shown = `<${size} bytes>`): Bytes {
	return block(new Uint8Array(size), shown);
}

/** A NULL-terminated array of pointers to strings, as execve(2) takes argv and envp. */
export function stringArray(texts: readonly string[], shown: string): Bytes {
	return struct(shown, [...texts.map((item) => ({ pointer: cstring(item) })), { u64: 0 }]);
}
