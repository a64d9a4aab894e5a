/** What all programs of one jail share. */

import type { EncodedProgram } from "../executor/encode.ts";
import type { JailProcess } from "../executor/jail-process.ts";
import type { Kept, Launch } from "../plan/types.ts";
import type { Policy } from "../policy/types.ts";
import type { Choice } from "../runtime/choose.ts";
import type { JailFiles } from "./files.ts";
import type { Reusable } from "./reusable.ts";

export interface Inside {
	readonly policy: Policy;
	readonly reusable: Reusable;
	readonly process: JailProcess;
	readonly plan: EncodedProgram;
	readonly kept: Kept;
	readonly keptProgram: EncodedProgram;
	readonly files: JailFiles;
	readonly choice: Choice;
}

/** Kept steps in the shape in which failures name steps. */
export function asLaunch({ before, child }: Kept): Launch {
	return { cloneFlags: 0n, before, parent: [], child };
}
