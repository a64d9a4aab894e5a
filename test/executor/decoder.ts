/** A reader of programs for the executor, written from wire.h and not from the encoder. */

import { AT } from "./offsets.ts";

export interface DecodedArg {
	readonly value: bigint;
	readonly kind: number;
	readonly length: number;
}

export interface DecodedPatch {
	readonly at: number;
	readonly kind: number;
	readonly value: number;
}

export interface DecodedStep {
	readonly call: number;
	readonly args: readonly DecodedArg[];
	readonly patches: readonly DecodedPatch[];
	readonly flags: number;
	readonly save: number;
	readonly report: number;
	readonly tolerated: readonly number[];
}

export interface DecodedProgram {
	readonly magic: number;
	readonly version: number;
	readonly cloneFlags: bigint;
	readonly size: number;
	readonly sections: readonly (readonly DecodedStep[])[];
	readonly cgroupSlot: number;
	readonly cpuUsage: { readonly slot: number; readonly format: number };
	readonly firstSlot: number;
	readonly wallLimitNs: bigint;
	readonly cpuLimitNs: bigint;
	readonly keep: readonly number[];
	readonly parent: { readonly jail: number; readonly slot: number };
	/** Where the blocks begin. */
	readonly blocks: number;
}

const [HEADER, SECTION, STEP, ARG, PATCH] = [152, 8, 28, 16, 16];

class Reader {
	readonly #bytes: Uint8Array;
	readonly #view: DataView;

	constructor(bytes: Uint8Array) {
		this.#bytes = bytes;
		this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
	}

	u8 = (at: number): number => this.#view.getUint8(at);
	u16 = (at: number): number => this.#view.getUint16(at, true);
	u32 = (at: number): number => this.#view.getUint32(at, true);
	u64 = (at: number): bigint => this.#view.getBigUint64(at, true);

	list<T>(from: number, count: number, size: number, read: (at: number) => T): readonly T[] {
		return Array.from({ length: count }, (_, i) => read(from + i * size));
	}

	/** The numbers of the bits that are set, from the lowest bit of the first byte on. */
	bits(from: number, to: number): readonly number[] {
		const numbers = Array.from({ length: (to - from) * 8 }, (_, i) => i);
		return numbers.filter((i) => ((this.#bytes[from + (i >> 3)] ?? 0) & (1 << (i & 7))) !== 0);
	}
}

export function decodeProgram(bytes: Uint8Array): DecodedProgram {
	const read = new Reader(bytes);
	const { u8, u16, u32, u64 } = read;
	const { program, section, step, arg, patch } = AT;
	const argsAt = Math.ceil((HEADER + u32(program.step_count) * STEP) / 8) * 8;
	const patchesAt = argsAt + u32(program.arg_count) * ARG;
	const decodeArg = (at: number): DecodedArg => ({
		value: u64(at + arg.value),
		kind: u32(at + arg.kind),
		length: u32(at + arg.length),
	});
	const decodePatch = (at: number): DecodedPatch => ({
		at: u32(at + patch.at),
		kind: u32(at + patch.kind),
		value: u32(at + patch.value),
	});
	const decodeStep = (at: number): DecodedStep => ({
		call: u32(at + step.call),
		args: read.list(argsAt + u32(at + step.first_arg) * ARG, u8(at + step.arg_count), ARG, decodeArg),
		patches: read.list(patchesAt + u32(at + step.first_patch) * PATCH, u16(at + step.patch_count), PATCH, decodePatch),
		flags: u8(at + step.flags),
		save: u16(at + step.save),
		report: u16(at + step.report),
		tolerated: read.list(at + step.tolerated, 4, 2, u16).filter((error) => error !== 0),
	});
	return {
		magic: u32(program.magic),
		version: u32(program.version),
		cloneFlags: u64(program.clone_flags),
		size: u32(program.size),
		sections: read.list(program.sections, 5, SECTION, (at) =>
			read.list(HEADER + u32(at + section.first) * STEP, u32(at + section.count), STEP, decodeStep),
		),
		cgroupSlot: u16(program.cgroup_slot),
		cpuUsage: { slot: u16(program.cpu_usage_slot), format: u16(program.cpu_usage_format) },
		firstSlot: u16(program.first_slot),
		wallLimitNs: u64(program.wall_limit_ns),
		cpuLimitNs: u64(program.cpu_limit_ns),
		keep: read.bits(program.keep, program.parent_jail),
		parent: { jail: u32(program.parent_jail), slot: u16(program.parent_slot) },
		blocks: patchesAt + u32(program.patch_count) * PATCH,
	};
}
