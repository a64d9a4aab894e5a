/** Room for descriptors in runsc's processes. Pure. */

import type { Step } from "../../plan/types.ts";

/** Beyond the numbers that gVisor gives its standard streams: 253 to 255 in current builds, 256 to 258 in those of 2024. */
const HIGH = 320;

/**
 * In the runtime's process, last: something inert with a high number, which runsc keeps to itself. A table of descriptors that grows
 * in a process with threads waits until no processor can be looking at the old one (synchronize_rcu in expand_files(), fs/file.c), 10 ms
 * on an idle machine, and the Sentry's grows beyond 64 at its start. A process is born with a table that its parent's highest
 * descriptor fits in.
 */
export function roomyTableSteps(): readonly Step[] {
	return [
		{ label: "make an event counter that nobody uses", call: "eventfd2", args: [0, 0], save: "inert" },
		// A limit of open files may be lower.
		{
			label: "give it a high number",
			call: "dup3",
			args: [{ slot: "inert" }, HIGH, 0],
			tolerate: ["EBADF"],
		},
		{ label: "close the low one", call: "close", args: [{ slot: "inert" }] },
	];
}
