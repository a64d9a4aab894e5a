/** `vmjail check`: is the policy sound, and can it be enforced on this host? */

import { newGroupId, ownGroupOwner } from "../cgroup/id.ts";
import { VmjailError } from "../errors.ts";
import type { HostFacts, Missing } from "../host/types.ts";
import { prepare } from "../jail/prepare.ts";
import type { Policy } from "../policy/types.ts";
import { FAILED, say, sayMissing } from "./report.ts";

export interface CheckResult {
	/** Does a run with this policy start here? */
	readonly ok: boolean;
	readonly missing: readonly Missing[];
	readonly error?: { readonly code: string; readonly message: string; readonly remedy?: string };
}

/** What a run would be refused for, without starting one. */
function checkPolicy(policy: Policy, facts: HostFacts, command: readonly string[]): CheckResult {
	try {
		const { missing } = prepare(policy, facts, command, false, newGroupId(ownGroupOwner()));
		return { ok: true, missing };
	} catch (error) {
		if (!(error instanceof VmjailError)) throw error;
		const { code, message, remedy } = error;
		return { ok: false, missing: [], error: { code, message, ...(remedy === undefined ? {} : { remedy }) } };
	}
}

/** Prints the result; 0 where a run would start. */
export function reportCheck(options: {
	readonly policy: Policy;
	readonly facts: HostFacts;
	readonly command: readonly string[];
	readonly json: boolean;
}): number {
	const result = checkPolicy(options.policy, options.facts, options.command);
	if (options.json) {
		process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
	} else if (result.error !== undefined) {
		say(`${result.error.message}${result.error.remedy === undefined ? "" : `\n${result.error.remedy}`}`);
	} else {
		sayMissing(result.missing);
		process.stdout.write("The policy is sound, and this host can enforce it");
		process.stdout.write(result.missing.length === 0 ? ".\n" : ", but for the controls that it lets go.\n");
	}
	return result.ok ? 0 : FAILED;
}
