/** isatty(3), without loading Node's tty module, which takes milliseconds, for what cannot be one. */

import { fstatSync } from "node:fs";
import { isatty } from "node:tty";

/** The kernel's memory devices: /dev/null, /dev/zero, /dev/full. */
const MEMORY_DEVICES = 1;

export function isTerminal(descriptor: number): boolean {
	try {
		const stat = fstatSync(descriptor);
		return stat.isCharacterDevice() && ((stat.rdev >>> 8) & 0xfff) !== MEMORY_DEVICES && isatty(descriptor);
	} catch {
		return false; // not open
	}
}
