/** What a program did → go-judge's words for it. Pure. */

import type { VmjailError } from "../errors.ts";
import { signalNumber } from "../outcome/outcome.ts";
import type { LimitName, Outcome } from "../outcome/types.ts";

export type Status =
	| "Accepted"
	| "Memory Limit Exceeded"
	| "Time Limit Exceeded"
	| "Output Limit Exceeded"
	| "File Error"
	| "Nonzero Exit Status"
	| "Signalled"
	| "Dangerous Syscall"
	| "Internal Error";

/** go-judge's names of what can go wrong with a file. */
export type FileErrorType =
	| "CopyInOpenFile"
	| "CopyInCreateDir"
	| "CopyInCreateFile"
	| "CopyInCopyContent"
	| "CopyOutOpen"
	| "CopyOutNotRegularFile"
	| "CopyOutSizeExceeded"
	| "CopyOutCreateFile"
	| "CopyOutCopyContent"
	| "CollectSizeExceeded"
	| "Symlink";

export interface FileError {
	readonly name: string;
	readonly type: FileErrorType;
	readonly message: string;
}

/** One command's part of the answer. Times in nanoseconds, sizes in bytes. */
export interface Result {
	readonly status: Status;
	/** Of a program that was signalled: the signal's number. */
	readonly exitStatus: number;
	readonly error?: string;
	readonly time: number;
	readonly memory: number;
	readonly runTime: number;
	readonly procPeak?: number;
	readonly files?: Readonly<Record<string, string>>;
	readonly fileIds?: Readonly<Record<string, string>>;
	readonly fileError?: readonly FileError[];
}

interface Verdict {
	readonly status: Status;
	readonly exitStatus: number;
	readonly error?: string;
}

const NS_PER_MS = 1e6;

/** Shells count so, and go-judge's signal numbers do not reach it: for ends that have no status of their own. */
const NO_STATUS = 0;

function ofLimit(limit: LimitName): Verdict {
	switch (limit) {
		case "memory":
			return { status: "Memory Limit Exceeded", exitStatus: NO_STATUS };
		case "cpu-time":
		case "wall-time":
			return { status: "Time Limit Exceeded", exitStatus: NO_STATUS, error: `the limit of ${limit} was reached` };
		case "output":
		case "file-size":
			return { status: "Output Limit Exceeded", exitStatus: NO_STATUS, error: `the limit of ${limit} was reached` };
		case "pids":
			// go-judge has no word for it: there the program's fork fails, and what it makes of that is its status.
			return { status: "Nonzero Exit Status", exitStatus: 1, error: "the limit of processes was reached" };
		default:
			return limit satisfies never;
	}
}

/** Real-time signals have names that say their number. */
function numberOf(signal: string): number {
	const [, base, number] = /^SIG(RTMIN\+)?(\d+)$/.exec(signal) ?? [];
	return number === undefined ? signalNumber(signal) : Number(number) + (base === undefined ? 0 : 34);
}

function verdictOf(outcome: Outcome): Verdict {
	switch (outcome.kind) {
		case "exited":
			return outcome.exitCode === 0
				? { status: "Accepted", exitStatus: 0 }
				: { status: "Nonzero Exit Status", exitStatus: outcome.exitCode };
		case "signaled":
			return { status: "Signalled", exitStatus: numberOf(outcome.signal), error: outcome.signal };
		case "limit":
			return ofLimit(outcome.limit);
		case "denied":
			return { status: "Dangerous Syscall", exitStatus: NO_STATUS, error: `${outcome.control}: ${outcome.detail}` };
		case "cancelled":
			return { status: "Internal Error", exitStatus: NO_STATUS, error: "cancelled" };
		default:
			return outcome satisfies never;
	}
}

/** A file that did not come out turns success into "File Error"; of a program that failed it is no wonder. */
function withFileErrors(verdict: Verdict, errors: readonly FileError[]): Verdict {
	const [first] = errors;
	if (first === undefined) return verdict;
	if (errors.some(({ type }) => type === "CollectSizeExceeded")) return { ...verdict, status: "Output Limit Exceeded" };
	if (verdict.status !== "Accepted") return verdict;
	return { ...verdict, status: "File Error", error: `${first.name}: ${first.message}` };
}

/** @param errors of the command's files */
export function resultOf(outcome: Outcome, errors: readonly FileError[] = []): Result {
	const { cpuUserMs, cpuSystemMs, wallMs, memoryPeakBytes, pidsPeak } = outcome;
	return {
		...withFileErrors(verdictOf(outcome), errors),
		time: Math.round((cpuUserMs + cpuSystemMs) * NS_PER_MS),
		memory: memoryPeakBytes,
		runTime: Math.round(wallMs * NS_PER_MS),
		...(pidsPeak === undefined ? {} : { procPeak: pidsPeak }),
		...(errors.length === 0 ? {} : { fileError: errors }),
	};
}

/** A program that never ran. */
export function failureOf({ code, message, remedy }: Pick<VmjailError, "code" | "message" | "remedy">): Result {
	const error = `${code}: ${message}${remedy === undefined ? "" : `\n${remedy}`}`;
	return { status: "Internal Error", exitStatus: 0, error, time: 0, memory: 0, runTime: 0 };
}

/** A command whose files could not be brought in: it never ran. */
export function fileFailureOf(error: FileError): Result {
	return {
		status: "File Error",
		exitStatus: 0,
		error: `${error.name}: ${error.message}`,
		time: 0,
		memory: 0,
		runTime: 0,
		fileError: [error],
	};
}
