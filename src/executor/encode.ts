/** Plans as bytes for the executor (struct program in native/executor/wire.h). */

import type { Architecture } from "../host/types.ts";
import { syscallNumber } from "../plan/syscalls.ts";
import type { Arg, Bytes, CpuUsage, Kept, Patch, Plan, PseudoCall, SlotName, Step, Workload } from "../plan/types.ts";
import { errnoNumber } from "./errno.ts";
import {
	ARG_KIND,
	CPU_USAGE_FORMAT,
	MAX_ARGS,
	MAX_PROGRAM,
	MAX_SLOTS,
	MAX_TOLERATED,
	NO_REPORT,
	NO_SLOT,
	PATCH_KIND,
	PROGRAM_MAGIC,
	PSEUDO,
	SECTIONS,
	type SectionName,
	SIZE,
	STEP_RETRY_BUSY,
	WIRE_VERSION,
} from "./wire.ts";

/** Slot numbers by name; a jail's workloads see the slots that its plan keeps. */
export type Slots = ReadonlyMap<SlotName, number>;

export interface EncodedProgram {
	readonly bytes: Uint8Array;
	/** Names of the reports, by number. */
	readonly reports: readonly string[];
	/** Every slot after this program: its own and those it was given. */
	readonly slots: Slots;
}

interface Options {
	readonly arch: Architecture;
	readonly sections: Readonly<Partial<Record<SectionName, readonly Step[]>>>;
	readonly cloneFlags: bigint;
	readonly given: Slots;
	/** Slots that the executor fills before the first step, from `firstSlot` on. */
	readonly filled: readonly SlotName[];
	readonly keep: readonly SlotName[];
	readonly intoCgroup?: SlotName | undefined;
	readonly parentJail?: Plan["parentJail"] | undefined;
	readonly cpuUsage?: CpuUsage | undefined;
	readonly cpuLimitMs?: number | undefined;
	readonly wallLimitMs?: number | undefined;
	readonly unfinished?: true;
}

/** @throws RangeError for a plan that cannot be written down: too many slots, an unknown call. A mistake in the plan. */
export function encodePlan(plan: Plan, arch: Architecture): EncodedProgram {
	const { before, parent, child, account, cleanup } = plan;
	const sections = { before, parent, child, account, cleanup };
	return encode({ arch, sections, given: new Map(), filled: [], ...plan });
}

/** A jail in two halves, with the slots of the whole: its workloads are the same. */
export interface Halves {
	/** To be launched: what is left of the jail is an unfinished one, in which nothing runs. */
	readonly ahead: EncodedProgram;
	/** What finishes it. A step of its `child` is the plan's, `firstStep` further on. */
	readonly rest: EncodedProgram;
	readonly firstStep: number;
}

/** @param jail what {@link encodePlan} made of the plan. @throws RangeError as there */
export function encodeHalves(plan: Plan, jail: EncodedProgram, arch: Architecture): Halves {
	const {
		before,
		parent,
		child,
		account,
		cleanup,
		ahead: firstStep = 0,
		intoCgroup,
		cpuUsage,
		keep,
		cloneFlags,
	} = plan;
	const given = jail.slots;
	const first = { before, parent, child: child.slice(0, firstStep), account, cleanup };
	return {
		// What the other half needs of these slots it would be tedious to tell: all are held until it is done.
		ahead: encode({
			arch,
			sections: first,
			given,
			filled: [],
			keep: [...given.keys()],
			cloneFlags,
			intoCgroup,
			cpuUsage,
			unfinished: true,
		}),
		rest: encode({ arch, sections: { child: child.slice(firstStep) }, given, filled: [], keep, cloneFlags: 0n }),
		firstStep,
	};
}

/** The same for a workload of the jail whose plan was encoded to `jail`. */
export function encodeWorkload(
	workload: Workload,
	jail: EncodedProgram,
	plan: Plan,
	arch: Architecture,
): EncodedProgram {
	const { before, parent, child, exec = [], cleanup = [] } = workload;
	return encode({
		arch,
		sections: { before, parent, child, exec, cleanup },
		given: keptSlots(jail, plan),
		filled: [...STREAMS, ...(workload.descriptors ?? [])],
		keep: [],
		cpuUsage: plan.cpuUsage,
		...workload,
	});
}

/** The same for what is kept in a jail that is used again. Its slots and those of its workloads do not meet. */
export function encodeKept(kept: Kept, jail: EncodedProgram, plan: Plan, arch: Architecture): EncodedProgram {
	const { before, child, exec, account, waiting } = kept;
	const given = keptSlots(jail, plan);
	const { parent, entry, cloneFlags, intoCgroup } = waiting ?? { parent: [], entry: [], cloneFlags: 0n };
	const sections = { before, parent, child, account, exec, entry };
	return encode({ arch, sections, given, filled: STREAMS, keep: [], cloneFlags, intoCgroup });
}

const STREAMS: readonly SlotName[] = ["stdin", "stdout", "stderr"];

function keptSlots(jail: EncodedProgram, plan: Plan): Slots {
	return new Map([...jail.slots].filter(([name]) => plan.keep.includes(name)));
}

class Writer {
	readonly #slots: Map<SlotName, number>;
	readonly #blocks = new Map<Bytes, number>();
	readonly #blockList: Bytes[] = [];
	readonly reports: string[] = [];
	#blockSize = 0;

	constructor(given: Slots, filled: readonly SlotName[]) {
		this.#slots = new Map(given);
		for (const name of filled) this.slot(name);
	}

	get slots(): Slots {
		return this.#slots;
	}

	get blockSize(): number {
		return this.#blockSize;
	}

	get blocks(): readonly Bytes[] {
		return this.#blockList;
	}

	slot(name: SlotName): number {
		const known = this.#slots.get(name);
		if (known !== undefined) return known;
		const number = this.#slots.size === 0 ? 0 : Math.max(...this.#slots.values()) + 1;
		if (number >= MAX_SLOTS) throw new RangeError(`more than ${MAX_SLOTS} slots`);
		this.#slots.set(name, number);
		return number;
	}

	report(name: string): number {
		return this.reports.push(name) - 1;
	}

	/** Offset of a block from the start of the blocks; each block is laid down once, 8-aligned. */
	block(bytes: Bytes): number {
		const known = this.#blocks.get(bytes);
		if (known !== undefined) return known;
		const at = this.#blockSize;
		this.#blocks.set(bytes, at);
		this.#blockList.push(bytes);
		this.#blockSize += (bytes.bytes.length + 7) & ~7;
		for (const patch of bytes.patches ?? []) if (patch.kind === "pointer") this.block(patch.to);
		return at;
	}
}

/** All patches in the blocks that a step's arguments reach. Most steps have none. */
function patchesIn(step: Step): readonly PlacedPatch[] {
	if (!step.args.some((arg) => isBytes(arg) && arg.patches !== undefined)) return NO_PATCHES;
	return blocksOf(step).flatMap((bytes) => (bytes.patches ?? []).map((patch) => ({ bytes, patch })));
}

function blocksOf(step: Step): readonly Bytes[] {
	const found = new Set<Bytes>();
	const visit = (bytes: Bytes) => {
		if (found.has(bytes)) return;
		found.add(bytes);
		for (const patch of bytes.patches ?? []) if (patch.kind === "pointer") visit(patch.to);
	};
	for (const arg of step.args) if (isBytes(arg)) visit(arg);
	return [...found];
}

function isBytes(arg: Arg): arg is Bytes {
	return typeof arg === "object" && "bytes" in arg;
}

interface PlacedPatch {
	readonly bytes: Bytes;
	readonly patch: Patch;
}

const NO_PATCHES: readonly PlacedPatch[] = [];

const align8 = (n: number): number => (n + 7) & ~7;

function encode(options: Options): EncodedProgram {
	const writer = new Writer(options.given, options.filled);
	const firstSlot = options.given.size === 0 ? 0 : Math.max(...options.given.values()) + 1;
	const steps = SECTIONS.flatMap((name) => options.sections[name] ?? []);
	const patchesOf = steps.map(patchesIn);
	const argCount = steps.reduce((sum, step) => sum + step.args.length, 0);
	const patchCount = patchesOf.reduce((sum, patches) => sum + patches.length, 0);
	for (const step of steps) for (const arg of step.args) if (isBytes(arg)) writer.block(arg);

	const argsAt = align8(SIZE.program + steps.length * SIZE.step);
	const patchesAt = argsAt + argCount * SIZE.arg;
	const blocksAt = patchesAt + patchCount * SIZE.patch;
	const size = blocksAt + writer.blockSize;
	if (size > MAX_PROGRAM) throw new RangeError(`a program of ${size} bytes`);
	const out = new Uint8Array(size);
	const view = new DataView(out.buffer);

	let argIndex = 0;
	let patchIndex = 0;
	for (const [i, step] of steps.entries()) {
		const patches = patchesOf[i] ?? [];
		writeStep(
			view,
			SIZE.program + i * SIZE.step,
			step,
			{ argIndex, patchIndex, patchCount: patches.length },
			writer,
			options.arch,
		);
		for (const arg of step.args) writeArg(view, argsAt + argIndex++ * SIZE.arg, arg, blocksAt, writer);
		for (const { bytes, patch } of patches) {
			writePatch(view, patchesAt + patchIndex++ * SIZE.patch, blocksAt + writer.block(bytes), patch, blocksAt, writer);
		}
	}
	for (const bytes of writer.blocks) out.set(bytes.bytes, blocksAt + writer.block(bytes));
	writeHeader(view, options, { size, stepCount: steps.length, argCount, patchCount, firstSlot }, writer);
	return { bytes: out, reports: writer.reports, slots: writer.slots };
}

interface Counts {
	readonly size: number;
	readonly stepCount: number;
	readonly argCount: number;
	readonly patchCount: number;
	readonly firstSlot: number;
}

function writeHeader(view: DataView, options: Options, counts: Counts, writer: Writer): void {
	view.setUint32(0, PROGRAM_MAGIC, true);
	view.setUint32(4, WIRE_VERSION, true);
	view.setBigUint64(8, options.cloneFlags, true);
	view.setUint32(16, counts.size, true);
	view.setUint32(20, counts.stepCount, true);
	view.setUint32(24, counts.argCount, true);
	view.setUint32(28, counts.patchCount, true);
	let first = 0;
	for (const [i, name] of SECTIONS.entries()) {
		const count = options.sections[name]?.length ?? 0;
		view.setUint32(32 + i * 8, first, true);
		view.setUint32(36 + i * 8, count, true);
		first += count;
	}
	view.setUint16(88, options.intoCgroup === undefined ? NO_SLOT : writer.slot(options.intoCgroup), true);
	view.setUint16(90, options.cpuUsage === undefined ? NO_SLOT : writer.slot(options.cpuUsage.slot), true);
	view.setUint16(92, CPU_USAGE_FORMAT[options.cpuUsage?.format ?? "none"], true);
	view.setUint16(94, counts.firstSlot, true);
	view.setBigUint64(96, nanoseconds(options.wallLimitMs), true);
	view.setBigUint64(104, nanoseconds(options.cpuLimitMs), true);
	for (const name of options.keep) {
		const slot = writer.slot(name);
		view.setUint8(112 + (slot >> 3), view.getUint8(112 + (slot >> 3)) | (1 << (slot & 7)));
	}
	view.setUint32(144, options.parentJail?.id ?? 0, true);
	view.setUint16(148, options.parentJail?.slot ?? NO_SLOT, true);
	view.setUint16(150, options.unfinished ? 1 : 0, true);
}

function nanoseconds(ms: number | undefined): bigint {
	return ms === undefined ? 0n : BigInt(Math.max(1, Math.round(ms * 1e6)));
}

interface Position {
	readonly argIndex: number;
	readonly patchIndex: number;
	readonly patchCount: number;
}

function writeStep(
	view: DataView,
	at: number,
	step: Step,
	position: Position,
	writer: Writer,
	arch: Architecture,
): void {
	checkCounts(step, position.patchCount);
	view.setUint32(at, callNumber(step, arch), true);
	view.setUint32(at + 4, position.argIndex, true);
	view.setUint32(at + 8, position.patchIndex, true);
	view.setUint16(at + 12, position.patchCount, true);
	view.setUint8(at + 14, step.args.length);
	view.setUint8(at + 15, step.retryBusy ? STEP_RETRY_BUSY : 0);
	view.setUint16(at + 16, step.save === undefined ? NO_SLOT : writer.slot(step.save), true);
	view.setUint16(at + 18, step.report === undefined ? NO_REPORT : writer.report(step.report), true);
	for (const [i, name] of (step.tolerate ?? []).entries()) view.setUint16(at + 20 + i * 2, errnoNumber(name), true);
}

/** What struct step has room for. */
function checkCounts({ label, args, tolerate = [] }: Step, patches: number): void {
	if (args.length > MAX_ARGS || tolerate.length > MAX_TOLERATED || patches > 0xffff) {
		throw new RangeError(`${label}: ${args.length} arguments, ${tolerate.length} errors, ${patches} patches`);
	}
}

function callNumber(step: Step, arch: Architecture): number {
	if (step.call in PSEUDO) return PSEUDO[step.call as PseudoCall];
	const number = syscallNumber(arch, step.call);
	if (number === undefined) throw new RangeError(`${arch} has no system call ${step.call}`);
	return number;
}

function writeArg(view: DataView, at: number, arg: Arg, blocksAt: number, writer: Writer): void {
	if (typeof arg === "number" || typeof arg === "bigint") {
		view.setUint32(at + 8, ARG_KIND.number, true);
		writeNumber(view, at, arg);
	} else if ("slot" in arg) {
		view.setUint32(at + 8, ARG_KIND.slot, true);
		view.setUint32(at, writer.slot(arg.slot), true);
	} else if ("pid" in arg) {
		view.setUint32(at + 8, ARG_KIND.pid, true);
	} else {
		view.setUint32(at + 8, ARG_KIND.block, true);
		view.setUint32(at, blocksAt + writer.block(arg), true);
		view.setUint32(at + 12, arg.bytes.length, true);
	}
}

/** 64 bits in two's complement. Most arguments fit into 32 bits, for which a bigint would cost more than all else here. */
function writeNumber(view: DataView, at: number, value: number | bigint): void {
	if (typeof value === "number" && (value | 0) === value) {
		view.setInt32(at, value, true);
		view.setInt32(at + 4, value >> 31, true);
	} else {
		view.setBigUint64(at, BigInt.asUintN(64, BigInt(value)), true);
	}
}

function writePatch(view: DataView, at: number, blockAt: number, patch: Patch, blocksAt: number, writer: Writer): void {
	view.setUint32(at, blockAt + patch.at, true);
	view.setUint32(at + 4, PATCH_KIND[patch.kind], true);
	view.setUint32(at + 8, patchValue(patch, blocksAt, writer), true);
}

function patchValue(patch: Patch, blocksAt: number, writer: Writer): number {
	switch (patch.kind) {
		case "pointer":
			return blocksAt + writer.block(patch.to);
		case "slot":
			return writer.slot(patch.slot);
		case "pid":
			return patch.pad.charCodeAt(0);
		case "pid32":
			return 0;
		default:
			return patch satisfies never;
	}
}
