/** Names of error numbers on this machine. */

import { constants } from "node:os";

/** "ENOENT". From the table of Node, not libuv's, which lacks ENOEXEC and ESTALE. */
export function errnoName(error: number): string {
	return Object.entries(constants.errno).find(([, number]) => number === error)?.[0] ?? `error ${error}`;
}
