/** `vmjail serve`: flags → settings; the server itself is loaded late. */

import { availableParallelism } from "node:os";
import { workingFolder } from "../host/working-folder.ts";
import { serve } from "../server/serve.ts";
import { type ServeFlags, settingsOf } from "../server/settings.ts";
import type { PolicyArguments } from "./arguments.ts";
import { readPolicyFile } from "./policy-file.ts";

export interface ServeArguments {
	readonly flags: ServeFlags;
	readonly policy: PolicyArguments;
	readonly version: string;
}

/** Runs until it is told to end; returns the exit status. */
export function serveCommand({ flags, policy, version }: ServeArguments): Promise<number> {
	const { config } = policy;
	const isPolicyGiven = config !== undefined || Object.keys(policy.flags).length > 0;
	const source = { cwd: workingFolder(), flags: policy.flags };
	return serve({
		settings: settingsOf(flags, availableParallelism()),
		policy:
			config === undefined
				? { ...source, ...(isPolicyGiven ? {} : { preset: "judge" as const }) }
				: { ...source, text: readPolicyFile(config).toString(), source: config },
		isPolicyGiven,
		version,
	});
}
