/** `vmjail plan`: the system calls that a run would make, in order. */

import { newGroupId, ownGroupOwner } from "../cgroup/id.ts";
import type { HostFacts } from "../host/types.ts";
import { prepare } from "../jail/prepare.ts";
import { compileSeccomp } from "../plan/seccomp/compile.ts";
import { disassemble } from "../plan/seccomp/disassemble.ts";
import type { Arg, Launch, Step } from "../plan/types.ts";
import { workloadOf } from "../plan/workload.ts";
import type { Policy } from "../policy/types.ts";

interface PlanOptions {
	readonly policy: Policy;
	readonly facts: HostFacts;
	readonly command: readonly string[];
	readonly json: boolean;
	/** Show the seccomp filter's instructions too. */
	readonly filter: boolean;
}

function shownArg(arg: Arg): string {
	if (typeof arg === "bigint") return `0x${arg.toString(16)}`;
	if (typeof arg === "number") return arg < 10 ? String(arg) : `0x${arg.toString(16)}`;
	if ("slot" in arg) return `<${arg.slot}>`;
	return "pid" in arg ? "<pid>" : arg.shown;
}

function shownStep(step: Step): string {
	const call = `${step.call}(${step.args.map(shownArg).join(", ")})`;
	const saved = step.save === undefined ? "" : ` = <${step.save}>`;
	const tolerated = step.tolerate === undefined ? "" : ` or ${step.tolerate.join(", ")}`;
	return `  ${call}${saved}${tolerated}\n      # ${step.label}`;
}

interface Section {
	readonly title: string;
	readonly steps: readonly Step[];
}

function sections(plan: ReturnType<typeof prepare>["plan"], workload: Launch): readonly Section[] {
	return [
		{ title: "on the host, before the jail", steps: plan.before },
		{ title: `clone3(flags=0x${plan.cloneFlags.toString(16)}); on the host, while the jail waits`, steps: plan.parent },
		{ title: "in the jail: its pid 1", steps: plan.child },
		{ title: "in pid 1, before the program's process", steps: workload.before },
		{
			title: `clone3(flags=0x${workload.cloneFlags.toString(16)}); in pid 1, while the process waits`,
			steps: workload.parent,
		},
		{ title: "in the program's process", steps: workload.child },
		{ title: "on the host, when the jail has ended: measure", steps: plan.account },
		{ title: "on the host, last: clean up", steps: plan.cleanup },
	].filter(({ steps, title }) => steps.length > 0 || title.startsWith("clone3"));
}

/** The plan as text, or as JSON with the same content. Nothing is started. */
export function renderPlan({ policy, facts, command, json, filter }: PlanOptions): string {
	const prepared = prepare(policy, facts, command, false, newGroupId(ownGroupOwner()));
	const workload = workloadOf(prepared.spec, prepared.facts, prepared);
	const all = sections(prepared.plan, workload);
	const profile = prepared.spec.linux.seccomp;
	const listing =
		filter && profile !== undefined
			? disassemble(compileSeccomp(profile, facts.arch).instructions, facts.arch)
			: undefined;
	if (json) {
		const shown = all.map(({ title, steps }) => ({
			title,
			steps: steps.map((step) => ({
				label: step.label,
				call: step.call,
				args: step.args.map(shownArg),
				...(step.save === undefined ? {} : { save: step.save }),
				...(step.tolerate === undefined ? {} : { tolerate: step.tolerate }),
			})),
		}));
		return `${JSON.stringify({ sections: shown, ...(listing === undefined ? {} : { filter: listing }) }, undefined, 2)}\n`;
	}
	const text = all.map(({ title, steps }) => `${title}\n${steps.map(shownStep).join("\n")}`).join("\n\n");
	return `${text}\n${listing === undefined ? "" : `\nseccomp filter\n${listing}\n`}`;
}
