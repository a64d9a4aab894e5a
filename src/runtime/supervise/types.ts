/** A runtime's command as the executor is to start it: data only. */

import type { SlotName, Step } from "../../plan/types.ts";
import type { Stage } from "../stage/types.ts";

export interface Job {
	/** Absolute path of a program, and its arguments. */
	readonly argv: readonly string[];
	/** Made in a mount namespace of the program's own. */
	readonly stage?: Stage;
	/** Descriptors that its process has besides the standard ones, by the slots of their workload: 3, 4, … */
	readonly passes?: readonly SlotName[];
	/** Open those of them that the job is not given. */
	readonly opens?: readonly (Step & { readonly save: SlotName })[];
	/** In its process, with every capability over its namespaces, just before it is executed. */
	readonly last?: readonly Step[];
	/** In a user namespace where the caller has these ids, and every capability. Default: the caller's namespace. */
	readonly asIds?: { readonly uid: number; readonly gid: number };
}
