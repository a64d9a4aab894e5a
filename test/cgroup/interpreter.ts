/** Carries out the steps of control groups with Node's own calls: what the executor does, without the executor. */

import { closeSync, mkdirSync, openSync, readSync, rmdirSync, writeSync } from "node:fs";
import type { Arg, Bytes, Step } from "../../src/plan/types.ts";

export interface Machine {
	readonly slots: Map<string, number>;
	readonly reports: Record<string, Uint8Array>;
	/** Of the process to attach. */
	readonly pid: number;
}

const AT_FDCWD = -100;

function isBytes(arg: Arg | undefined): arg is Bytes {
	return typeof arg === "object" && "bytes" in arg;
}

function bytesOf(arg: Arg | undefined, pid: number): Uint8Array {
	if (!isBytes(arg)) throw new Error("not a block of bytes");
	const bytes = Uint8Array.from(arg.bytes);
	for (const patch of arg.patches ?? []) {
		if (patch.kind !== "pid") throw new Error(`no patch ${patch.kind} here`);
		bytes.set(new TextEncoder().encode(`${pid}`.padEnd(10, patch.pad)), patch.at);
	}
	return bytes;
}

function stringOf(arg: Arg | undefined): string {
	const bytes = bytesOf(arg, 0);
	if (bytes.at(-1) !== 0) throw new Error("the string does not end in NUL");
	return new TextDecoder().decode(bytes.subarray(0, -1));
}

function numberOf(arg: Arg | undefined, machine: Machine): number {
	if (typeof arg === "number") return arg;
	if (typeof arg === "object" && "slot" in arg) return machine.slots.get(arg.slot) ?? -1;
	throw new Error("not a number");
}

/** A path below an open folder; an empty slot is a bad descriptor. */
function pathAt(arg: Arg | undefined, path: string, machine: Machine): string {
	const fd = numberOf(arg, machine);
	if (fd === AT_FDCWD) return path;
	if (fd < 0) throw Object.assign(new Error("bad descriptor"), { code: "EBADF" });
	return `/proc/self/fd/${fd}/${path}`;
}

function call(step: Step, machine: Machine): number {
	const [a, b, c, d] = step.args;
	switch (step.call) {
		case "mkdirat":
			mkdirSync(pathAt(a, stringOf(b), machine), numberOf(c, machine));
			return 0;
		case "openat":
			return openSync(pathAt(a, stringOf(b), machine), numberOf(c, machine), numberOf(d, machine));
		case "unlinkat":
			rmdirSync(pathAt(a, stringOf(b), machine));
			return 0;
		case "write":
			return writeSync(fdOf(a, machine), bytesOf(b, machine.pid), 0, numberOf(c, machine));
		case "read": {
			const buffer = bytesOf(b, 0);
			const length = readSync(fdOf(a, machine), buffer, 0, numberOf(c, machine), null);
			if (step.report !== undefined) machine.reports[step.report] = buffer.subarray(0, length);
			return length;
		}
		default:
			throw new Error(`no such call here: ${step.call}`);
	}
}

const codeOf = (error: unknown): string => (error instanceof Error && "code" in error ? String(error.code) : "");

/** As the executor does: EBUSY for at most two seconds where the step asks for it. */
function patiently(step: Step, machine: Machine): number {
	for (let tries = 0; ; tries++) {
		try {
			return call(step, machine);
		} catch (error) {
			if (step.retryBusy !== true || codeOf(error) !== "EBUSY" || tries === 200) throw error;
			Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
		}
	}
}

function fdOf(arg: Arg | undefined, machine: Machine): number {
	const fd = numberOf(arg, machine);
	if (fd < 0) throw Object.assign(new Error("bad descriptor"), { code: "EBADF" });
	return fd;
}

function save(machine: Machine, slot: string | undefined, value: number): void {
	if (slot === undefined) return;
	const before = machine.slots.get(slot) ?? -1;
	if (before >= 0) closeSync(before);
	machine.slots.set(slot, value);
}

/** Runs a section. @throws with the step's label in front of the error */
export function run(steps: readonly Step[], machine: Machine): void {
	for (const step of steps) {
		try {
			save(machine, step.save, patiently(step, machine));
		} catch (error) {
			const code = codeOf(error);
			if (!step.tolerate?.includes(code)) throw new Error(`${step.label}: ${code || error}`, { cause: error });
			save(machine, step.save, -1);
		}
	}
}

export function closeAll(machine: Machine): void {
	for (const slot of machine.slots.keys()) save(machine, slot, -1);
}
