/** Frames to and from the executor as bytes (struct frame_header and payloads in native/executor/wire.h). */

import {
	END_CAUSE,
	type EndCause,
	FLAG_ERRAND,
	FLAG_LAST,
	FLAG_MEMFD,
	FLAG_RESET,
	FLAG_WAITING,
	NO_STEP,
	SECTION_OF_KEPT,
	SECTIONS,
	type SectionName,
	SIZE,
	WIRE_VERSION,
} from "./wire.ts";

/** Numbers of errors are below this (linux/err.h). */
const MAX_ERRNO = 4095;

export interface FrameHeader {
	readonly type: number;
	readonly sequence: number;
	readonly jail: number;
	readonly token: Uint8Array;
	readonly descriptors: number;
	readonly memfd?: boolean | undefined;
	readonly last?: boolean | undefined;
	readonly reset?: boolean | undefined;
	readonly errand?: boolean | undefined;
	readonly waiting?: boolean | undefined;
}

/** One step that failed; `step` is absent where the clone itself did. */
export interface StepFailure {
	readonly section: SectionName;
	/** Is it a section of the program that the jail keeps for all its workloads? */
	readonly kept?: true;
	readonly step?: number;
	/** errno */
	readonly error: number;
	/** An earlier EACCES or EPERM that the plan tolerated, or 0. */
	readonly denied: number;
}

export interface ExitReport {
	/** As wait(2) gives it. */
	readonly status: number;
	readonly cause: EndCause;
	readonly userMs: number;
	readonly systemMs: number;
	readonly maxRssBytes: number;
	readonly wallMs: number;
	/** Of the cgroup; absent without one. */
	readonly cgroupCpuMs?: number;
	/** Of a jail that is used again: by number of the report. */
	readonly reports: ReadonlyMap<number, Uint8Array>;
}

export interface EndReport {
	/** Wait status of pid 1. */
	readonly status: number;
	readonly cleanupFailures: number;
	readonly cleanup?: StepFailure;
	/** By number of the report. */
	readonly reports: ReadonlyMap<number, Uint8Array>;
}

function flagsOf({ memfd, last, reset, errand, waiting }: FrameHeader): number {
	return (
		(memfd ? FLAG_MEMFD : 0) |
		(last ? FLAG_LAST : 0) |
		(reset ? FLAG_RESET : 0) |
		(errand ? FLAG_ERRAND : 0) |
		(waiting ? FLAG_WAITING : 0)
	);
}

export function encodeFrame(header: FrameHeader, payload: Uint8Array): Uint8Array {
	const out = new Uint8Array(SIZE.frameHeader + payload.length);
	const view = new DataView(out.buffer);
	view.setUint32(0, out.length, true);
	view.setUint16(4, header.type, true);
	view.setUint8(6, flagsOf(header));
	view.setUint8(7, header.descriptors);
	view.setUint32(8, header.sequence, true);
	view.setUint32(12, header.jail, true);
	out.set(header.token, 16);
	out.set(payload, SIZE.frameHeader);
	return out;
}

/** What of a received frame's header is of interest: it came by a socket that only the executor writes to. */
export type ReceivedHeader = Pick<FrameHeader, "type" | "descriptors" | "sequence" | "jail">;

/** What every program's end goes through is read without a DataView: making one costs more than all that it would read. */
function uint16(bytes: Uint8Array, at: number): number {
	return (bytes[at] as number) + (bytes[at + 1] as number) * 0x100;
}

function uint32(bytes: Uint8Array, at: number): number {
	return uint16(bytes, at) + uint16(bytes, at + 2) * 0x1_0000;
}

function uint64(bytes: Uint8Array, at: number): number {
	return uint32(bytes, at) + uint32(bytes, at + 4) * 2 ** 32;
}

/** As subarray(), which for a Buffer is Node's own and slow. */
function part(bytes: Uint8Array, from: number, to: number): Uint8Array {
	return new Uint8Array(bytes.buffer, bytes.byteOffset + from, to - from);
}

/** Undefined for what is no frame: too short, or of another length than it says. */
export function decodeFrame(
	message: Uint8Array,
): { readonly header: ReceivedHeader; readonly payload: Uint8Array } | undefined {
	if (message.length < SIZE.frameHeader || uint32(message, 0) !== message.length) return undefined;
	return {
		header: {
			type: uint16(message, 4),
			descriptors: message[7] as number,
			sequence: uint32(message, 8),
			jail: uint32(message, 12),
		},
		payload: part(message, SIZE.frameHeader, message.length),
	};
}

function viewOf(bytes: Uint8Array): DataView {
	return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

export interface Hello {
	readonly version: number;
	readonly landlockAbi: number;
}

/** Undefined for an executor of another version too: it would not understand our programs. */
export function decodeHello(payload: Uint8Array): Hello | undefined {
	if (payload.length !== SIZE.hello) return undefined;
	const view = viewOf(payload);
	const version = view.getUint32(0, true);
	return version === WIRE_VERSION ? { version, landlockAbi: view.getUint32(8, true) } : undefined;
}

export function decodeFailure(payload: Uint8Array): StepFailure | undefined {
	if (payload.length < SIZE.failure) return undefined;
	const view = viewOf(payload);
	const number = view.getUint32(0, true);
	const section = SECTIONS[number & ~SECTION_OF_KEPT];
	const kept = (number & SECTION_OF_KEPT) === 0 ? {} : { kept: true as const };
	const error = view.getUint32(8, true);
	if (section === undefined || error === 0 || error > MAX_ERRNO) return undefined;
	const step = view.getUint32(4, true);
	return { section, error, denied: view.getUint32(12, true), ...kept, ...(step === NO_STEP ? {} : { step }) };
}

export function decodeExit(payload: Uint8Array): ExitReport | undefined {
	if (payload.length < SIZE.exited) return undefined;
	const cause = END_CAUSE[uint32(payload, 4)];
	if (cause === undefined) return undefined;
	const cgroupCpuNs = uint64(payload, 40);
	const exit = {
		status: uint32(payload, 0),
		cause,
		userMs: uint64(payload, 8) / 1e3,
		systemMs: uint64(payload, 16) / 1e3,
		maxRssBytes: uint64(payload, 24),
		wallMs: uint64(payload, 32) / 1e6,
		reports: decodeReports(payload, SIZE.exited),
	};
	return cgroupCpuNs === 0 ? exit : { ...exit, cgroupCpuMs: cgroupCpuNs / 1e6 };
}

function decodeReports(payload: Uint8Array, from: number): ReadonlyMap<number, Uint8Array> {
	const reports = new Map<number, Uint8Array>();
	for (let at = from; at + SIZE.report <= payload.length; ) {
		const length = uint16(payload, at + 2);
		const begin = at + SIZE.report;
		reports.set(uint16(payload, at), part(payload, begin, Math.min(begin + length, payload.length)));
		at += SIZE.report + ((length + 7) & ~7);
	}
	return reports;
}

export function decodeEnd(payload: Uint8Array): EndReport | undefined {
	if (payload.length < SIZE.ended) return undefined;
	const view = viewOf(payload);
	const cleanupFailures = view.getUint32(4, true);
	const cleanup = cleanupFailures > 0 ? decodeFailure(payload.subarray(8)) : undefined;
	const reports = decodeReports(payload, SIZE.ended);
	return { status: view.getUint32(0, true), cleanupFailures, reports, ...(cleanup === undefined ? {} : { cleanup }) };
}

/** A program that the exec guard refused. */
export interface ExecDenial {
	/** As the jail sees it. */
	readonly pid: number;
	/** At its first instruction; else the call answered EACCES. */
	readonly killed: boolean;
	/** It is the workload itself, which has not become any program yet: the launch fails, or tries the next name. */
	readonly launching: boolean;
	/** As the caller named it, or of the file that was loaded; cut at 255 bytes, and fit to be shown to a person. */
	readonly path: string;
}

/** A program chooses such names: it must not write to a terminal, or lines of its own into a log, by way of our messages. */
function printable(text: string): string {
	return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => {
		const code = character.codePointAt(0) ?? 0;
		return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
	});
}

export function decodeDenial(payload: Uint8Array): ExecDenial | undefined {
	if (payload.length !== SIZE.denied) return undefined;
	const view = viewOf(payload);
	const path = payload.subarray(8);
	const end = path.indexOf(0);
	return {
		pid: view.getUint32(0, true),
		killed: view.getUint16(4, true) !== 0,
		launching: view.getUint16(6, true) !== 0,
		path: printable(new TextDecoder().decode(end < 0 ? path : path.subarray(0, end))),
	};
}

export function encodeSignal(signal: number, everyone: boolean): Uint8Array {
	const out = new DataView(new ArrayBuffer(8));
	out.setUint32(0, signal, true);
	out.setUint32(4, everyone ? 1 : 0, true);
	return new Uint8Array(out.buffer);
}

export function encodeResize(rows: number, columns: number): Uint8Array {
	const out = new DataView(new ArrayBuffer(8));
	out.setUint16(0, rows, true);
	out.setUint16(2, columns, true);
	return new Uint8Array(out.buffer);
}
