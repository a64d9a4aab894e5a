import type { HostFacts, PathFact, ProgramFact } from "../../src/host/types.ts";
import { withRealPaths } from "../../src/oci/host-path.ts";
import { specOf } from "../../src/oci/spec.ts";
import type { Spec } from "../../src/oci/types.ts";
import { planOf } from "../../src/plan/plan.ts";
import type { Plan, Workload } from "../../src/plan/types.ts";
import { type WorkloadOptions, workloadOf } from "../../src/plan/workload.ts";
import type { Policy } from "../../src/policy/types.ts";
import { factsFor, file, folder, type HostParts } from "../oci/fixtures.ts";

/** Of what every jail masks and write-protects, what this host has. */
const KERNEL_PATHS: readonly PathFact[] = [file("/proc/kcore"), folder("/sys/firmware"), folder("/proc/sys")];

export interface Planned {
	readonly spec: Spec;
	readonly facts: HostFacts;
	readonly plan: Plan;
	readonly workload: Workload;
}

export interface PlannedParts extends HostParts {
	readonly landlockAbi?: number;
	readonly kernel?: HostFacts["kernel"];
	readonly programs?: readonly ProgramFact[];
	readonly command?: readonly string[];
	readonly workload?: WorkloadOptions;
}

/** A policy as the plans of a jail and of one program in it, on a fixed host. */
export function planned(policy: Policy, parts: PlannedParts = {}): Planned {
	const host = factsFor(policy, { ...parts, paths: [...KERNEL_PATHS, ...(parts.paths ?? [])] });
	const { programs, landlockAbi = 2, kernel = host.kernel } = parts;
	const facts = { ...host, kernel, landlockAbi, ...(programs === undefined ? {} : { programs }) };
	const spec = specOf({ policy, facts, command: parts.command ?? ["/bin/true"] });
	const plan = planOf(spec, withRealPaths(facts));
	return { spec, facts, plan, workload: workloadOf(spec, facts, parts.workload) };
}
