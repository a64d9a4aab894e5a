/** A terminal of the jail's own: its master goes to vmjail, its slave becomes the workload's controlling terminal. */

import {
	AT_FDCWD,
	O_CLOEXEC,
	O_NOCTTY,
	O_RDWR,
	TIOCGPTPEER,
	TIOCNOTTY,
	TIOCSCTTY,
	TIOCSPGRP,
	TIOCSPTLCK,
	TIOCSWINSZ,
} from "./constants.ts";
import { cstring, struct } from "./steps.ts";
import type { Arg, Step } from "./types.ts";

export interface TerminalSize {
	readonly rows: number;
	readonly columns: number;
}

const OPEN_FLAGS = O_RDWR | O_NOCTTY | O_CLOEXEC;

export type TerminalStream = "stdin" | "stdout" | "stderr";

/** Which of the three standard streams the terminal replaces. */
export interface Terminal {
	readonly size: TerminalSize;
	readonly streams: readonly TerminalStream[];
}

/**
 * In pid 1: it leads the session, so that the workload's process group is not an orphaned one and can be stopped by
 * Ctrl-Z (a parent in the same session, in another group: POSIX, "orphaned process group").
 */
export function openTerminalSteps({ size, streams }: Terminal, uid: number): readonly Step[] {
	const unlocked = struct("[0]", [{ u32: 0 }]);
	const window = struct(`{${size.rows} rows, ${size.columns} columns}`, [
		{ u16: size.rows },
		{ u16: size.columns },
		{ zeros: 4 },
	]);
	return [
		...letGoSteps(),
		{ label: "open a terminal", call: "openat", args: [AT_FDCWD, cstring("/dev/ptmx"), OPEN_FLAGS, 0], save: "master" },
		{ label: "unlock the terminal", call: "ioctl", args: [{ slot: "master" }, TIOCSPTLCK, unlocked] },
		{ label: "open its slave", call: "ioctl", args: [{ slot: "master" }, TIOCGPTPEER, OPEN_FLAGS], save: "slave" },
		{ label: "give the terminal to the user", call: "fchown", args: [{ slot: "slave" }, uid, -1] },
		{ label: "set the window size", call: "ioctl", args: [{ slot: "master" }, TIOCSWINSZ, window] },
		{ label: "make it the controlling terminal", call: "ioctl", args: [{ slot: "slave" }, TIOCSCTTY, 0] },
		{ label: "hand the terminal to vmjail", call: "send_descriptor", args: [{ slot: "master" }] },
		...streams.map(
			(name): Step => ({ label: `use the terminal as ${name}`, call: "dup", args: [{ slot: "slave" }], save: name }),
		),
	];
}

/** Of an earlier program's terminal: a session has one at a time (ioctl_tty(2), TIOCSCTTY). */
function letGoSteps(): readonly Step[] {
	return [
		{
			label: "find the terminal of an earlier program",
			call: "openat",
			args: [AT_FDCWD, cstring("/dev/tty"), OPEN_FLAGS, 0],
			save: "slave",
			tolerate: ["ENXIO", "ENOENT", "EIO"],
		},
		{ label: "let go of it", call: "ioctl", args: [{ slot: "slave" }, TIOCNOTTY, 0], tolerate: ["EBADF", "ENOTTY"] },
	];
}

/** In the workload: a process group of its own, in the terminal's foreground. `terminal`: its descriptor. */
export function foregroundSteps(terminal: Arg = { slot: "slave" }): readonly Step[] {
	return [
		{ label: "make a process group", call: "setpgid", args: [0, 0] },
		{
			label: "put it into the terminal's foreground",
			call: "ioctl",
			args: [terminal, TIOCSPGRP, struct("[<pid>]", [{ pid32: true }])],
		},
	];
}
