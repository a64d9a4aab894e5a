/** What a policy may say and a runtime cannot enforce yet: refused by the runner, exported all the same. */

import type { Policy } from "../policy/types.ts";

export interface Unavailable {
	/** JSON path in the policy. */
	readonly path: string;
	/** Half a sentence: what cannot be enforced. */
	readonly what: string;
	readonly remedy: string;
}

/**
 * Everything in the policy that a runtime does not enforce in this version; empty where it can run. "auto" takes runlc
 * for what gVisor is not driven to do, and runlc does it all.
 */
export function unavailable(
	policy: Policy,
	runtime: Policy["system"]["runtime"] = policy.system.runtime,
): readonly Unavailable[] {
	if (runtime === "runlc" || runtime === "auto") return [];
	const { process } = policy.security;
	if (process.allow.length === 0 || runtime === "runsc") return [];
	const what = `the exec allow-list on ${runtime}, where the program is the first process: nobody inside could watch it`;
	const remedy = 'Set system.runtime (--runtime) to "runlc" or "runsc", which enforce it.';
	return [{ path: "security.process.allow", what, remedy }];
}
