/** What vmjail itself says on standard error, and the exit status that goes with it. */

import { writeSync } from "node:fs";
import { VmjailError } from "../errors.ts";
import type { Missing } from "../host/types.ts";
import type { Running } from "../jail/types.ts";
import type { Denial, Outcome } from "../outcome/types.ts";
import { isTerminal } from "./is-terminal.ts";

export const FAILED = 125;
const NOT_EXECUTABLE = 126;
const NOT_FOUND = 127;

/** Select Graphic Rendition (ECMA-48) where standard error is a terminal; by isatty(3), as {@link say} tells why. */
const isColored = () => isTerminal(2) && process.env["NO_COLOR"] === undefined;
const colors = {
	bold: (text: string) => (isColored() ? `\x1b[1m${text}\x1b[22m` : text),
	dim: (text: string) => (isColored() ? `\x1b[2m${text}\x1b[22m` : text),
};

/**
 * Writes one message; lines after the first are indented. Not by process.stderr: that makes the open file behind it
 * non-blocking, and the program in the jail, which has the same one, is not prepared for EAGAIN.
 */
export function say(message: string): void {
	const [first = "", ...rest] = message.split("\n");
	const text = `${[`${colors.bold("vmjail:")} ${first}`, ...rest.map((line) => `  ${line}`)].join("\n")}\n`;
	try {
		writeSync(2, text);
	} catch {
		process.stderr.write(text); // somebody else made it non-blocking, or nobody reads it
	}
}

/** The error in words. Anything but a VmjailError is a fault of vmjail's own and shows its stack. */
export function describe(error: unknown): string {
	if (!(error instanceof VmjailError)) {
		return `internal error, please report it: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
	}
	return error.remedy === undefined
		? error.message
		: `${error.message}\n${colors.dim(error.remedy.replaceAll("\n", "\n  "))}`;
}

export function statusOf(error: unknown): number {
	if (!(error instanceof VmjailError)) return FAILED;
	if (error.code === "COMMAND_NOT_FOUND") return NOT_FOUND;
	return error.code === "COMMAND_NOT_EXECUTABLE" ? NOT_EXECUTABLE : FAILED;
}

/** One line for controls that go unenforced, grouped by reason. */
export function sayMissing(missing: readonly Missing[]): void {
	const reasons = [...new Set(missing.map(({ reason }) => reason))];
	for (const reason of reasons) {
		const same = missing.filter((one) => one.reason === reason);
		say(
			`not enforced here: ${same.map(({ control }) => control).join(", ")}: ${reason}\n${colors.dim(same[0]?.remedy ?? "")}`,
		);
	}
}

/** One line where another runtime stands in for the policy's first: never silent, not even with --quiet. */
export function sayRuntime({ runtime, rolledBackFrom, why }: Running["choice"]): void {
	if (rolledBackFrom === undefined) return;
	say(`${runtime} runs it in the place of ${rolledBackFrom}: ${why ?? "it does not work here"}`);
}

const LIMITS = {
	"cpu-time": "CPU time",
	"wall-time": "time",
	memory: "memory",
	pids: "processes",
	output: "output",
	"file-size": "file size",
} as const;

/** One line for one refusal. */
export function sayDenial({ detail, allowedBy }: Denial): void {
	say(
		`refused: ${detail}${allowedBy === undefined || detail.includes(allowedBy) ? "" : colors.dim(` (allow it: ${allowedBy})`)}`,
	);
}

/** Says why the program was ended, where it did not end by itself. What was refused has been said by {@link sayDenial}. */
export function sayEnd(outcome: Outcome): void {
	if (outcome.kind === "limit") say(`ended: the program reached its limit of ${LIMITS[outcome.limit]}`);
	if (outcome.kind === "cancelled") say("ended: cancelled");
}
