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
	const remedy = 'Set system.runtime (--runtime) to "runlc", which enforces it, or system.rollback to "runlc".';
	if (process.allow.length === 0) return [];
	return [{ path: "security.process.allow", what: `the exec allow-list on ${runtime}`, remedy }];
}
