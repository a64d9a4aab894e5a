/** `vmjail check`: is the policy sound, and can it be enforced on this host? */

import { existsSync, realpathSync } from "node:fs";
import { newGroupId, ownGroupOwner } from "../cgroup/id.ts";
import { VmjailError } from "../errors.ts";
import type { HostFacts, Missing } from "../host/types.ts";
import { prepare, refuseUnavailable } from "../jail/prepare.ts";
import { candidates } from "../plan/workload.ts";
import type { Policy } from "../policy/types.ts";
import { print } from "./print.ts";
import { type LookUp, programNotes } from "./program-notes.ts";
import { FAILED, say, sayMissing } from "./report.ts";

export interface CheckResult {
	/** Does a run with this policy start here? */
	readonly ok: boolean;
	readonly missing: readonly Missing[];
	/** What the list of programs means beyond its entries, a sentence each. */
	readonly notes: readonly string[];
	readonly error?: { readonly code: string; readonly message: string; readonly remedy?: string };
}

/** Finds programs as a shell in the jail would, links resolved. */
function lookUpIn(root: string, env: readonly string[]): LookUp {
	return (name) => {
		const below = root === "/" ? "" : root;
		const file = candidates(name, env).find((candidate) => existsSync(below + candidate));
		return file === undefined ? undefined : realpathSync(below + file).slice(below.length);
	};
}

/** What a run would be refused for, without starting one. */
function checkPolicy(policy: Policy, facts: HostFacts, command: readonly string[]): CheckResult {
	const { runtime, rollback } = policy.system;
	try {
		if (runtime !== "auto" && rollback === "") refuseUnavailable(policy, runtime);
		const prepared = prepare(policy, facts, command, false, newGroupId(ownGroupOwner()));
		const { missing, spec } = prepared;
		const notes = programNotes(prepared.facts.programs ?? [], lookUpIn(policy.system.root.path, spec.process.env));
		return { ok: true, missing, notes };
	} catch (error) {
		if (!(error instanceof VmjailError)) throw error;
		const { code, message, remedy } = error;
		return { ok: false, missing: [], notes: [], error: { code, message, ...(remedy === undefined ? {} : { remedy }) } };
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
		print(`${JSON.stringify(result, undefined, 2)}\n`);
	} else if (result.error !== undefined) {
		say(`${result.error.message}${result.error.remedy === undefined ? "" : `\n${result.error.remedy}`}`);
	} else {
		sayMissing(result.missing);
		for (const note of result.notes) print(`Note: ${note}.\n`);
		print("The policy is sound, and this host can enforce it");
		print(result.missing.length === 0 ? ".\n" : ", but for the controls that it lets go.\n");
	}
	return result.ok ? 0 : FAILED;
}
