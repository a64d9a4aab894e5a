/** What a hierarchy adds to plans. */

import type { Resources } from "../oci/types.ts";
import type { CpuUsage, SlotName, Step } from "../plan/types.ts";
import type { Limited } from "./settings.ts";

/** What one hierarchy adds to a plan. */
export interface Parts {
	/** Before the clone. */
	readonly host: readonly Step[];
	/** After the clone, while the child waits. */
	readonly parent: readonly Step[];
	/** In the child, before anything else. */
	readonly child: readonly Step[];
	/** After the jail has ended; for `readUsage`. */
	readonly account: readonly Step[];
	/** After that, each step whatever the others did. */
	readonly cleanup: readonly Step[];
	/** The open v2 folder to start the child in. */
	readonly intoCgroup?: SlotName;
	/** Where pid 1's timer reads the time used so far. The slot must be kept open for it. */
	readonly cpuUsage?: CpuUsage;
}

/** The name of the group that one program has to itself, below its jail's, and of the one that pid 1 has in v2. */
export const EXEC_GROUP = "exec";
export const INIT_GROUP = "init";

/** Where a program's CPU time is read, in a jail that is used again. */
export const EXEC_CPU: SlotName = "exec.cpu";

/** What other limits add to one program. */
export interface Narrowing {
	/** In pid 1 before its process is made. */
	readonly before: readonly Step[];
	/** In its process, before anything else. */
	readonly child: readonly Step[];
	/** In pid 1 when it has ended. */
	readonly cleanup: readonly Step[];
}

/** Limits that one program may have although its jail's policy has none. */
export const SPARE = ["cpu", "cpuset"] as const satisfies readonly Limited[];

export const NO_NARROWING: Narrowing = { before: [], child: [], cleanup: [] };

/** What one hierarchy adds to the plan of a jail that is used again, and to its programs. */
export interface ReusedParts {
	/** The jail's own group, from its start to its end. Its account is what the last program used. */
	readonly jail: Omit<Parts, "cpuUsage">;
	/** Slots that pid 1 keeps for all that follows. */
	readonly keep: readonly SlotName[];
	/** In pid 1 between programs: a new group in the place of the old one. */
	readonly renew: readonly Step[];
	/** In pid 1 while the program's process waits. */
	readonly parent: readonly Step[];
	/** In the program's process, before anything else. */
	readonly child: readonly Step[];
	/** In pid 1 when the program has ended; for `readUsage`. */
	readonly account: readonly Step[];
	/** What {@link narrow} can limit. */
	readonly limits: readonly Limited[];
	/** Other limits for one program, of those. */
	readonly narrow: (resources: Resources) => Narrowing;
	readonly intoCgroup?: SlotName;
	readonly cpuUsage?: CpuUsage;
}
