/** Messages of netlink(7), byte by byte: a header, a fixed structure, attributes, all in the order of the machine (little-endian). */

import { block } from "../../plan/steps.ts";
import type { Bytes, Patch, SlotName } from "../../plan/types.ts";

const NLM_F_REQUEST = 1;
export const NLM_F_ACK = 4;
const HEADER = 16;

export type Attribute = { readonly type: number } & (
	| { readonly bytes: Uint8Array }
	| { readonly u8: number }
	| { readonly u32: number }
	| { readonly text: string }
	/** A descriptor, as 32 bits. */
	| { readonly slot: SlotName }
	/** Other attributes, after `head`. */
	| { readonly nested: readonly Attribute[]; readonly head?: Uint8Array }
);

export interface Message {
	readonly type: number;
	readonly flags: number;
	readonly head: Uint8Array;
	readonly attributes: readonly Attribute[];
	/** How a plan shows it. */
	readonly shown: string;
}

interface Part {
	readonly bytes: Uint8Array;
	readonly patches: readonly Patch[];
}

/** One buffer of several messages, numbered from 1. The kernel answers to the last, and to each that fails. */
export function batchOf(messages: readonly Message[]): Bytes {
	const parts = messages.map((message, index) => encode(message, index + 1, index === messages.length - 1));
	const { bytes, patches } = join(parts);
	return block(bytes, messages.map(({ shown }) => shown).join("; "), patches);
}

function encode({ type, flags, head, attributes }: Message, sequence: number, last: boolean): Part {
	const header = new Uint8Array(HEADER);
	const view = new DataView(header.buffer);
	const { bytes, patches } = join([{ bytes: header, patches: [] }, plain(head), ...attributes.map(encodeAttribute)]);
	view.setUint16(4, type, true);
	view.setUint16(6, flags | NLM_F_REQUEST | (last ? NLM_F_ACK : 0), true);
	view.setUint32(8, sequence, true);
	view.setUint32(0, bytes.length, true);
	bytes.set(header);
	return { bytes, patches };
}

function encodeAttribute(attribute: Attribute): Part {
	const header = new Uint8Array(4);
	const { bytes, patches } = join([plain(header), contentOf(attribute)], false);
	const view = new DataView(header.buffer);
	view.setUint16(0, bytes.length, true);
	view.setUint16(2, attribute.type, true);
	bytes.set(header);
	return { bytes, patches };
}

function contentOf(attribute: Attribute): Part {
	if ("bytes" in attribute) return plain(attribute.bytes);
	if ("u8" in attribute) return plain(Uint8Array.of(attribute.u8));
	if ("u32" in attribute) return plain(bytes32(attribute.u32));
	if ("text" in attribute) return plain(new TextEncoder().encode(`${attribute.text}\0`));
	if ("slot" in attribute)
		return { bytes: new Uint8Array(4), patches: [{ at: 0, kind: "slot", slot: attribute.slot }] };
	return join([plain(attribute.head ?? new Uint8Array()), ...attribute.nested.map(encodeAttribute)]);
}

export function bytes32(value: number): Uint8Array {
	const bytes = new Uint8Array(4);
	new DataView(bytes.buffer).setUint32(0, value, true);
	return bytes;
}

function plain(bytes: Uint8Array): Part {
	return { bytes, patches: [] };
}

/** One after the other, each at a multiple of four. `padded`: the end too. */
function join(parts: readonly Part[], padded = true): Part {
	const starts: number[] = [];
	let size = 0;
	for (const { bytes } of parts) {
		size = aligned(size);
		starts.push(size);
		size += bytes.length;
	}
	const bytes = new Uint8Array(padded ? aligned(size) : size);
	for (const [i, part] of parts.entries()) bytes.set(part.bytes, starts[i] ?? 0);
	const patches = parts.flatMap((part, i) =>
		part.patches.map((patch) => ({ ...patch, at: patch.at + (starts[i] ?? 0) })),
	);
	return { bytes, patches };
}

function aligned(size: number): number {
	return (size + 3) & ~3;
}
