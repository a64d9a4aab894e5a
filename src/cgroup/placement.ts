/** Which hierarchy holds which controller on this host, and what to say where none can be used. Pure. */

import { VmjailError } from "../errors.ts";
import type { CgroupFacts, CgroupV1Controller, CgroupV2, Missing } from "../host/types.ts";
import type { Control } from "../policy/types.ts";
import type { Limited } from "./settings.ts";

/** Where a control is limited: one of v1's hierarchies, v2, or nowhere. */
export type Place =
	| { readonly hierarchy: "v1"; readonly controller: CgroupV1Controller }
	| { readonly hierarchy: "v2"; readonly group: CgroupV2 }
	| { readonly hierarchy: "none"; readonly reason: string };

const V1_NAME: Readonly<Record<Limited | "cpuacct", string>> = {
	memory: "memory",
	cpu: "cpu",
	cpuset: "cpuset",
	pids: "pids",
	io: "blkio",
	cpuacct: "cpuacct",
};

/** The key of the policy that asks for a control. */
const POLICY_KEY: Readonly<Record<Limited | "swap", string>> = {
	memory: "system.memory.max",
	swap: "system.memory.swap",
	cpu: "system.cpu.number",
	cpuset: "system.cpu.pin",
	pids: "system.pids.max",
	io: "system.io",
};

const OWN_SCOPE = "systemd-run --user --scope -p Delegate=yes vmjail …";

/** The kernel gives every controller to exactly one hierarchy: v1 where it is mounted as such, else v2. */
export function placeOf(name: Limited | "cpuacct", facts: CgroupFacts): Place {
	const controller = facts.v1.find((one) => one.name === V1_NAME[name]);
	if (controller?.writable) return { hierarchy: "v1", controller };
	if (controller !== undefined) return { hierarchy: "none", reason: controller.reason ?? "its group is not writable" };
	const { v2 } = facts;
	if (v2 === undefined) return { hierarchy: "none", reason: "no cgroup hierarchy with this controller is mounted" };
	if (!v2.writable) return { hierarchy: "none", reason: v2.reason ?? `${v2.path} is not writable` };
	if (v2.controllers.includes(name)) return { hierarchy: "v2", group: v2 };
	return { hierarchy: "none", reason: `cgroup.controllers of ${v2.path} does not list "${name}"` };
}

/** What a person can do so that this host gives the control. */
export function adviceFor(control: Limited | "swap", facts: CgroupFacts, privileged: boolean): string {
	if (control === "swap") return 'Turn swap off ("sudo swapoff -a"), or start the kernel with swapaccount=1';
	const inV1 = facts.v1.some(({ name }) => name === V1_NAME[control]);
	if (!privileged && inV1)
		return "Run it as root (cgroup v1 cannot be delegated to users), or start the machine with cgroup v2";
	if (!privileged) return `Run it in a scope of its own, "${OWN_SCOPE}", or as root`;
	if (facts.v2?.reason?.includes("also holds process")) {
		return 'Start vmjail alone in a group, "systemd-run --scope -p Delegate=yes vmjail …"';
	}
	return 'Give this container a cgroup of its own ("docker run --privileged --cgroupns=private …"), or run on the host';
}

/**
 * A control that this host cannot give.
 *
 * @returns the note for the outcome, where the policy lets the control go
 * @throws VmjailError HOST_UNSUPPORTED where it does not
 */
export function missing(
	control: Limited | "swap",
	reason: string,
	context: { readonly facts: CgroupFacts; readonly optional: readonly Control[]; readonly privileged: boolean },
): Missing {
	const { facts, optional, privileged } = context;
	const advice = adviceFor(control, facts, privileged);
	const remedy = `${advice}, or let it go: "system": { "optional": ["${control}"] }.`;
	if (optional.includes(control)) return { control, reason, remedy };
	throw new VmjailError("HOST_UNSUPPORTED", `${POLICY_KEY[control]}: cannot be enforced here: ${reason}`, { remedy });
}
