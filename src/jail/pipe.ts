/** Pipes between programs. */

import { loadAddon } from "../executor/addon.ts";

/** Descriptors of this process's, closed in the programs that it starts. */
export interface Pipe {
	readonly readEnd: number;
	readonly writeEnd: number;
}

/**
 * A pipe(2) to connect two programs by: give its ends away with `{ take: … }`, so that each program is told when the other
 * one is gone (end of file, SIGPIPE).
 */
export function pipe(): Pipe {
	const [readEnd, writeEnd] = loadAddon().pipe();
	return { readEnd, writeEnd };
}
