/** `vmjail plan`: the system calls that a run would make, in order, and what it would tell another runtime. */

import { newGroupId, ownGroupOwner } from "../cgroup/id.ts";
import type { HostFacts } from "../host/types.ts";
import { choose, type RuntimeOptions } from "../jail/choose.ts";
import { prepare } from "../jail/prepare.ts";
import { exactJson, specToJson } from "../oci/json.ts";
import type { Spec } from "../oci/types.ts";
import { compileSeccomp } from "../plan/seccomp/compile.ts";
import { disassemble } from "../plan/seccomp/disassemble.ts";
import type { Arg, Plan, Step, Workload } from "../plan/types.ts";
import { workloadOf } from "../plan/workload.ts";
import type { Policy } from "../policy/types.ts";
import type { Choice } from "../runtime/choose.ts";
import { drivenPlan } from "./plan-driven.ts";

export interface PlanOptions {
	readonly policy: Policy;
	readonly facts: HostFacts;
	readonly command: readonly string[];
	readonly json: boolean;
	/** Show the seccomp filter's instructions, or another runtime's rules, too. */
	readonly filter: boolean;
	readonly runtime: RuntimeOptions;
}

export interface Section {
	readonly title: string;
	readonly steps: readonly Step[];
}

/** Everything there is to tell; `sections` in the order in which they happen. */
export interface Told {
	readonly choice: Choice;
	/** Of another runtime: its command line and its config.json. */
	readonly command?: readonly string[];
	readonly config?: Spec;
	readonly sections: readonly Section[];
	readonly filter?: string;
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

/** @param names of what is made around the program, and of what runs in it */
export function sectionsOf(
	plan: Plan,
	workload: Workload,
	names: { readonly jail: string; readonly program: string },
): readonly Section[] {
	const { jail, program } = names;
	const clone = ({ cloneFlags }: Plan | Workload) => `clone3(flags=0x${cloneFlags.toString(16)})`;
	return [
		{ title: `on the host, before ${jail}`, steps: plan.before },
		{ title: `${clone(plan)}; on the host, while ${jail} waits`, steps: plan.parent },
		{ title: `in ${jail}: its pid 1`, steps: plan.child },
		{ title: `in pid 1, before ${program}'s process`, steps: workload.before },
		{ title: `${clone(workload)}; in pid 1, while the process waits`, steps: workload.parent },
		{ title: `in ${program}'s process`, steps: workload.child },
		{ title: `on the host, when ${jail} has ended: measure`, steps: plan.account },
		{ title: "on the host, last: clean up", steps: plan.cleanup },
	].filter(({ steps, title }) => steps.length > 0 || title.startsWith("clone3"));
}

function ownPlan({ policy, facts, command, filter }: PlanOptions, choice: Choice): Told {
	const prepared = prepare(policy, facts, command, false, newGroupId(ownGroupOwner()));
	const workload = workloadOf(prepared.spec, prepared.facts, prepared);
	const { seccomp } = prepared.spec.linux;
	return {
		choice,
		sections: sectionsOf(prepared.plan, workload, { jail: "the jail", program: "the program" }),
		...(filter && seccomp !== undefined
			? { filter: disassemble(compileSeccomp(seccomp, facts.arch).instructions, facts.arch) }
			: {}),
	};
}

/**
 * The plan as text, or as JSON with the same content. Nothing is started, but that gVisor is tried out where a run would
 * do so.
 *
 * @throws VmjailError as a run does that cannot be had
 */
export async function renderPlan(options: PlanOptions): Promise<string> {
	const { choice, driver } = await choose(options.policy, options.facts, options.runtime);
	const told = driver === undefined ? ownPlan(options, choice) : await drivenPlan(options, choice, driver);
	return options.json ? asJson(told) : asText(told);
}

function asJson({ choice, sections, ...rest }: Told): string {
	const shown = sections.map(({ title, steps }) => ({
		title,
		steps: steps.map((step) => ({
			label: step.label,
			call: step.call,
			args: step.args.map(shownArg),
			...(step.save === undefined ? {} : { save: step.save }),
			...(step.tolerate === undefined ? {} : { tolerate: step.tolerate }),
		})),
	}));
	return exactJson({ ...choice, ...rest, sections: shown }, "  ");
}

function asText({ choice, command, config, sections, filter }: Told): string {
	const parts = [
		...(choice.why === undefined ? [] : [`${choice.runtime}, because ${choice.why}`]),
		...sections.map(({ title, steps }) => `${title}\n${steps.map(shownStep).join("\n")}`),
		...(command === undefined ? [] : [`${choice.runtime}'s command\n${command.map((word) => `  ${word}`).join("\n")}`]),
		...(config === undefined ? [] : [`${choice.runtime}'s config.json\n${specToJson(config).trimEnd()}`]),
		...(filter === undefined ? [] : [`seccomp filter\n${filter}`]),
	];
	return `${parts.join("\n\n")}\n`;
}
