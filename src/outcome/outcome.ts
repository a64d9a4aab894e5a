/** Raw facts of an end → {@link Outcome}. */

import type { Denial, End, LimitName } from "./types.ts";

/** signal(7), by number; the same on x86_64 and aarch64. */
const SIGNALS: readonly string[] = [
	"",
	"SIGHUP",
	"SIGINT",
	"SIGQUIT",
	"SIGILL",
	"SIGTRAP",
	"SIGABRT",
	"SIGBUS",
	"SIGFPE",
	"SIGKILL",
	"SIGUSR1",
	"SIGSEGV",
	"SIGUSR2",
	"SIGPIPE",
	"SIGALRM",
	"SIGTERM",
	"SIGSTKFLT",
	"SIGCHLD",
	"SIGCONT",
	"SIGSTOP",
	"SIGTSTP",
	"SIGTTIN",
	"SIGTTOU",
	"SIGURG",
	"SIGXCPU",
	"SIGXFSZ",
	"SIGVTALRM",
	"SIGPROF",
	"SIGWINCH",
	"SIGIO",
	"SIGPWR",
	"SIGSYS",
];

const SIGKILL = 9;
const SIGXCPU = 24;
const SIGXFSZ = 25;

/** The first real-time signal that the C library leaves to programs (signal(7)). */
const SIGRTMIN = 34;

/** "SIGTERM"; real-time signals as "SIGRTMIN+2", and "SIG32" for those that the C library keeps for itself. */
export function signalName(number: number): string {
	return SIGNALS[number] ?? (number < SIGRTMIN ? `SIG${number}` : `SIGRTMIN+${number - SIGRTMIN}`);
}

/** 0 for a name that is none. */
export function signalNumber(name: string): number {
	return Math.max(0, SIGNALS.indexOf(name.startsWith("SIG") ? name : `SIG${name}`));
}

export interface RawEnd {
	/** As wait(2) gives it; absent where pid 1 was killed with the program. */
	readonly status?: number;
	/** What the executor's timers or vmjail ended the program for. */
	readonly cause: "none" | "cpu-time" | "wall-time" | "output" | "denied" | "cancelled";
	/** Processes that the kernel killed for want of memory. */
	readonly oomKills: number;
	/** Forks that the pids limit refused. */
	readonly pidsRefused: number;
	/** A file that the program wrote ends exactly at the limit of file size. */
	readonly fileAtLimit?: boolean;
}

/**
 * Why the program ended. A limit that ended it comes before the signal that did the work: an out-of-memory kill is
 * `memory`, not SIGKILL. `pids` is reported where forks were refused and the program then failed; `file-size` also where
 * the program ignored the signal, got EFBIG, and failed.
 */
export function endOf(raw: RawEnd, denial?: Denial): End {
	if (raw.cause === "cancelled") return { kind: "cancelled" };
	if (raw.cause === "denied")
		return { kind: "denied", control: denial?.control ?? "exec", detail: denial?.detail ?? "a program" };
	if (raw.cause !== "none") return limit(raw.cause);
	const signal = raw.status === undefined ? SIGKILL : raw.status & 0x7f;
	const exitCode = ((raw.status ?? 0) >> 8) & 0xff;
	const failed = signal !== 0 || exitCode !== 0;
	if (raw.oomKills > 0 && failed) return limit("memory");
	if (raw.pidsRefused > 0 && failed) return limit("pids");
	if (signal === SIGXCPU) return limit("cpu-time");
	if (signal === SIGXFSZ || (raw.fileAtLimit && failed)) return limit("file-size");
	return signal === 0 ? { kind: "exited", exitCode } : { kind: "signaled", signal: signalName(signal) };
}

function limit(name: LimitName): End {
	return { kind: "limit", limit: name };
}

const TIMED_OUT = 124;
const REFUSED = 126;

/** The exit status of `vmjail` for an outcome: the program's own, 124 for a time limit, 128 + n for signal n. */
export function exitStatus(end: End): number {
	switch (end.kind) {
		case "exited":
			return end.exitCode;
		case "signaled":
			return 128 + realTimeOr(end.signal);
		case "limit":
			return limitStatus(end.limit);
		case "denied":
			return REFUSED;
		case "cancelled":
			return 128 + SIGKILL;
		default:
			return end satisfies never;
	}
}

function realTimeOr(name: string): number {
	const [, base, number] = /^SIG(RTMIN\+)?(\d+)$/.exec(name) ?? [];
	return number === undefined ? signalNumber(name) : Number(number) + (base === undefined ? 0 : SIGRTMIN);
}

function limitStatus(name: LimitName): number {
	switch (name) {
		case "cpu-time":
		case "wall-time":
			return TIMED_OUT;
		case "memory":
		case "pids":
			return 128 + SIGKILL;
		case "output":
		case "file-size":
			return 128 + SIGXFSZ;
		default:
			return name satisfies never;
	}
}
