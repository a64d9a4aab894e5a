/** What a policy may say and this version cannot enforce yet: refused by the runner, exported all the same. */

import type { Policy } from "../policy/types.ts";

export interface Unavailable {
	/** JSON path in the policy. */
	readonly path: string;
	/** Half a sentence: what cannot be enforced. */
	readonly what: string;
	readonly remedy: string;
}

/** Everything in the policy that no driver of this version enforces; empty where it can run. */
export function unavailable(policy: Policy): readonly Unavailable[] {
	const { runtime, rollback } = policy.system;
	return [
		...(runtime === "runlc" || runtime === "auto" ? [] : [driver("system.runtime", runtime)]),
		...(rollback === "" || rollback === "runlc" ? [] : [driver("system.rollback", rollback)]),
	];
}

function driver(path: string, name: string): Unavailable {
	return {
		path,
		what: `the runtime ${name} is not driven by this version`,
		remedy: `Set ${path} to "runlc"; to run the policy under ${name}, export a bundle: vmjail oci export DIR.`,
	};
}
