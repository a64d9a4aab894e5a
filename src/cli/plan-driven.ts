/** What `vmjail plan` tells of a policy that another runtime carries out. */

import { newGroupId, ownGroupOwner } from "../cgroup/id.ts";
import { prepareDriven } from "../jail/driven.ts";
import type { Spec } from "../oci/types.ts";
import { instructionsOf } from "../plan/seccomp/bpf.ts";
import { disassemble } from "../plan/seccomp/disassemble.ts";
import type { Step } from "../plan/types.ts";
import type { Choice } from "../runtime/choose.ts";
import type { Driver } from "../runtime/driver.ts";
import { type PlanOptions, type Section, sectionsOf, type Told } from "./plan.ts";

/** Makes the run's folder, since its paths are told, and removes it again. */
export async function drivenPlan(options: PlanOptions, choice: Choice, driver: Driver): Promise<Told> {
	const { policy, facts, command } = options;
	const prepared = prepareDriven(driver, policy, facts, command, undefined, newGroupId(ownGroupOwner()));
	const { driven } = prepared;
	if (driven === undefined) throw new TypeError("a driver drives");
	try {
		const { argv, config, inner, first } = driven.told;
		const around = sectionsOf(prepared.plan, driven.workload(prepared, undefined), {
			jail: `the jail around ${driver.name}`,
			program: driver.name,
		});
		const inside = inner === undefined ? alone(first ?? []) : insideOf(inner.plan.child, inner.workload.child);
		const filter = options.filter ? filterOf(inner?.workload.child ?? first ?? []) : undefined;
		return {
			choice,
			command: argv,
			config: options.filter ? config : withoutRules(first === undefined ? config : withoutFilter(config)),
			sections: withInside(around, inside),
			...(filter === undefined ? {} : { filter: disassemble(instructionsOf(filter), facts.arch) }),
		};
	} finally {
		await driven.remove();
	}
}

/** Where no pid 1 of vmjail's is inside. */
function alone(steps: readonly Step[]): readonly Section[] {
	return steps.length === 0 ? [] : [{ title: "inside: in the program's process", steps }];
}

function insideOf(pid1: readonly Step[], program: readonly Step[]): readonly Section[] {
	return [
		{ title: "inside: vmjail's own pid 1", steps: pid1 },
		{ title: "inside: in the program's process", steps: program },
	];
}

/** What happens inside comes after the runtime has been executed, and before anything is measured. */
function withInside(around: readonly Section[], inside: readonly Section[]): readonly Section[] {
	const at = around.findIndex(({ steps }) => steps.some(({ call }) => call === "execve")) + 1;
	return [...around.slice(0, at), ...inside, ...around.slice(at)];
}

/** Hundreds of lines that say what the policy's profile says. */
function withoutRules(config: Spec): Spec {
	const { seccomp } = config.linux;
	if (seccomp === undefined) return config;
	const { syscalls: _, ...rest } = seccomp;
	return { ...config, linux: { ...config.linux, seccomp: rest } };
}

/** Of the arguments of vmjail-confine the filter: thousands of digits. */
function withoutFilter(config: Spec): Spec {
	const args = config.process.args.map((arg, i) => (i === FILTER ? "<filter>" : arg));
	return { ...config, process: { ...config.process, args } };
}

const FILTER = 2;

/** `struct sock_filter[]` of the step that installs one. */
function filterOf(steps: readonly Step[]): Uint8Array | undefined {
	for (const { call, args } of steps) {
		const [, , program] = args;
		if (call !== "seccomp" || typeof program !== "object" || !("patches" in program)) continue;
		for (const patch of program.patches ?? []) if (patch.kind === "pointer") return patch.to.bytes;
	}
	return undefined;
}
