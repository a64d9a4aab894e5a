/** Limits that a cgroup keeps. */

import { VmjailError } from "../errors.ts";
import type { HostFacts } from "../host/types.ts";
import type { Policy } from "../policy/types.ts";
import { factOf } from "./host-path.ts";
import type { DeviceRule, Resources, ThrottleDevice } from "./types.ts";

/** The period that container runtimes use, in microseconds. */
export const PERIOD_US = 100_000;

/** The kernel takes no smaller quota (sched/core.c, min_cfs_quota_period). */
const MIN_QUOTA_US = 1_000;

/**
 * Limits in OCI's terms: `memory.swap` is memory and swap together, as OCI counts it.
 *
 * @returns undefined where the policy limits nothing.
 * @throws VmjailError HOST_UNSUPPORTED where an io limit finds no block device and may not be missing.
 */
export function resourcesOf(policy: Policy, facts: HostFacts): Resources | undefined {
	const { memory, cpu, pids } = policy.system;
	const resources: Resources = {
		...devices(policy, facts),
		...(memory.maxBytes === undefined
			? {}
			: { memory: { limit: memory.maxBytes, swap: memory.maxBytes + memory.swapBytes } }),
		...(cpu.cores === undefined && cpu.pin === undefined
			? {}
			: {
					cpu: {
						...(cpu.cores === undefined ? {} : { quota: quotaOf(cpu.cores), period: PERIOD_US }),
						...(cpu.pin === undefined ? {} : { cpus: cpu.pin }),
					},
				}),
		...(pids.max === undefined ? {} : { pids: { limit: pids.max } }),
		...blockIo(policy, facts),
	};
	return Object.keys(resources).length === 0 ? undefined : resources;
}

/** Of so many processors, for {@link PERIOD_US}. */
export function quotaOf(cores: number): number {
	return Math.max(MIN_QUOTA_US, Math.round(cores * PERIOD_US));
}

/** Device nodes beyond the default ones must also be let through the devices cgroup; runtimes add the default ones. */
function devices(policy: Policy, facts: HostFacts): Pick<Resources, "devices"> {
	if (policy.system.devices.length === 0) return {};
	const allowed = policy.system.devices.flatMap((path, i): readonly DeviceRule[] => {
		const { kind, device } = factOf(facts, path, `system.devices[${i}]`);
		if (device === undefined) return [];
		return [{ allow: true, type: kind === "block" ? "b" : "c", ...device, access: "rw" }];
	});
	return { devices: [{ allow: false, access: "rwm" }, ...allowed] };
}

function blockIo(policy: Policy, facts: HostFacts): Pick<Resources, "blockIO"> {
	const { readBytesPerSecond: read, writeBytesPerSecond: write } = policy.system.io;
	if (read === undefined && write === undefined) return {};
	if (facts.cgroup.blockDevices.length === 0) {
		if (policy.system.optional.includes("io")) return {};
		throw new VmjailError(
			"HOST_UNSUPPORTED",
			"system.io: this host shows no block device that a limit could apply to",
			{
				remedy: 'Take system.io out of the policy, or add "io" to system.optional.',
			},
		);
	}
	const rates = (rate: number): readonly ThrottleDevice[] =>
		facts.cgroup.blockDevices.map(({ major, minor }) => ({ major, minor, rate }));
	return {
		blockIO: {
			...(read === undefined ? {} : { throttleReadBpsDevice: rates(read) }),
			...(write === undefined ? {} : { throttleWriteBpsDevice: rates(write) }),
		},
	};
}
