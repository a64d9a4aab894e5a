/** The mirror of native/executor/wire.h: numbers, sizes and offsets. A test compares the two. */

export const WIRE_VERSION = 3;
export const PROGRAM_MAGIC = 0x4c4a4d56;
export const MAX_FRAME = 128 * 1024;
export const MAX_PROGRAM = 16 * 1024 * 1024;
export const MAX_SLOTS = 256;
export const MAX_ARGS = 6;
export const MAX_TOLERATED = 4;
export const NO_SLOT = 0xffff;
export const NO_REPORT = 0xffff;
export const TOKEN_SIZE = 16;
export const PID_TEXT = 10;
export const NO_STEP = 0xffff_ffff;

export const FRAME = {
	launch: 1,
	exec: 2,
	signal: 3,
	resize: 4,
	keep: 5,
	reset: 6,
	setup: 7,
	finish: 8,
	hello: 16,
	ended: 17,
	failed: 18,
	exited: 19,
	stopped: 20,
	descriptor: 21,
	denied: 22,
	ready: 23,
} as const;

export const FLAG_MEMFD = 1;
export const FLAG_LAST = 2;
export const FLAG_RESET = 4;
export const FLAG_ERRAND = 8;
export const FLAG_WAITING = 16;

export const SECTIONS = ["before", "parent", "child", "account", "cleanup", "exec", "entry"] as const;
export type SectionName = (typeof SECTIONS)[number];
/** Added to the number of a section where a step of the kept program failed. */
export const SECTION_OF_KEPT = 0x10;

export const SIZE = {
	frameHeader: 32,
	program: 152,
	step: 28,
	arg: 16,
	patch: 16,
	hello: 16,
	failure: 16,
	exited: 48,
	ended: 24,
	denied: 264,
	report: 8,
} as const;

export const STEP_RETRY_BUSY = 1;
export const PSEUDO = {
	expect_equal: 0x10000,
	send_descriptor: 0x10001,
	allow_program: 0x10002,
	expect_ack: 0x10003,
	watch_exec: 0x10004,
} as const;
export const ARG_KIND = { number: 0, block: 1, slot: 2, pid: 3 } as const;
export const PATCH_KIND = { pointer: 0, slot: 1, pid32: 2, pid: 3 } as const;
export const CPU_USAGE_FORMAT = { none: 0, nanoseconds: 1, "cpu.stat": 2, shared: 3 } as const;
/** Why pid 1 ended a workload. */
export const END_CAUSE = ["none", "cpu-time", "wall-time", "denied"] as const;
export type EndCause = (typeof END_CAUSE)[number];
