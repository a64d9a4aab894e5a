import { join } from "node:path";
import { describe, expect, it } from "vitest";
import * as wire from "../../src/executor/wire.ts";
import { requireOr } from "../helpers/requirement.ts";
import { missingCompiler, runC } from "./c-program.ts";
import { AT } from "./offsets.ts";

/** wire.ts in the names of wire.h. */
const NUMBERS: Readonly<Record<string, number>> = {
	WIRE_VERSION: wire.WIRE_VERSION,
	PROGRAM_MAGIC: wire.PROGRAM_MAGIC,
	MAX_FRAME: wire.MAX_FRAME,
	MAX_PROGRAM: wire.MAX_PROGRAM,
	MAX_SLOTS: wire.MAX_SLOTS,
	MAX_ARGS: wire.MAX_ARGS,
	MAX_TOLERATED: wire.MAX_TOLERATED,
	NO_SLOT: wire.NO_SLOT,
	NO_REPORT: wire.NO_REPORT,
	TOKEN_SIZE: wire.TOKEN_SIZE,
	PID_TEXT: wire.PID_TEXT,
	FLAG_MEMFD: wire.FLAG_MEMFD,
	FLAG_LAST: wire.FLAG_LAST,
	FLAG_RESET: wire.FLAG_RESET,
	FLAG_ERRAND: wire.FLAG_ERRAND,
	FLAG_WAITING: wire.FLAG_WAITING,
	STEP_RETRY_BUSY: wire.STEP_RETRY_BUSY,
	SECTION_COUNT: wire.SECTIONS.length,
	SECTION_OF_KEPT: wire.SECTION_OF_KEPT,
	...Object.fromEntries(wire.SECTIONS.map((name, i) => [`SECTION_${name.toUpperCase()}`, i])),
	...Object.fromEntries(Object.entries(wire.FRAME).map(([name, type]) => [`FRAME_${name.toUpperCase()}`, type])),
	...Object.fromEntries(Object.entries(wire.PSEUDO).map(([name, call]) => [`PSEUDO_${name.toUpperCase()}`, call])),
	ARG_NUMBER: wire.ARG_KIND.number,
	ARG_BLOCK: wire.ARG_KIND.block,
	ARG_SLOT: wire.ARG_KIND.slot,
	ARG_PID: wire.ARG_KIND.pid,
	PATCH_POINTER: wire.PATCH_KIND.pointer,
	PATCH_SLOT: wire.PATCH_KIND.slot,
	PATCH_PID: wire.PATCH_KIND.pid32,
	PATCH_PID_TEXT: wire.PATCH_KIND.pid,
	CPU_USAGE_NONE: wire.CPU_USAGE_FORMAT.none,
	CPU_USAGE_NANOSECONDS: wire.CPU_USAGE_FORMAT.nanoseconds,
	CPU_USAGE_STAT: wire.CPU_USAGE_FORMAT["cpu.stat"],
	CPU_USAGE_SHARED: wire.CPU_USAGE_FORMAT.shared,
	CAUSE_NONE: wire.END_CAUSE.indexOf("none"),
	CAUSE_CPU: wire.END_CAUSE.indexOf("cpu-time"),
	CAUSE_WALL: wire.END_CAUSE.indexOf("wall-time"),
	CAUSE_DENIED: wire.END_CAUSE.indexOf("denied"),
	"sizeof frame_header": wire.SIZE.frameHeader,
	"sizeof program": wire.SIZE.program,
	"sizeof section": 8,
	"sizeof step": wire.SIZE.step,
	"sizeof arg": wire.SIZE.arg,
	"sizeof patch": wire.SIZE.patch,
	"sizeof hello": wire.SIZE.hello,
	"sizeof failure": wire.SIZE.failure,
	"sizeof exited": wire.SIZE.exited,
	"sizeof ended": wire.SIZE.ended,
	"sizeof denied": wire.SIZE.denied,
	"sizeof report": wire.SIZE.report,
	"sizeof signal_request": 8,
	"sizeof resize_request": 8,
	"sizeof stopped": 8,
	end: 0,
};

const OFFSETS = Object.fromEntries(
	Object.entries(AT).flatMap(([type, fields]) => Object.entries(fields).map(([name, at]) => [`${type}.${name}`, at])),
);

describe.skipIf(requireOr(missingCompiler))("wire.h and wire.ts", () => {
	it("agree on every number, size and offset", () => {
		expect({ ...NUMBERS, ...OFFSETS }).toEqual(JSON.parse(runC(join(import.meta.dirname, "wire-offsets.c"))));
	});
});
