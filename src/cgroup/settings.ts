/** OCI resources as the files of a control group, per hierarchy. Pure. */

import type { Resources, ThrottleDevice } from "../oci/types.ts";

/** One write. `optionalFile`: nothing is lost where the kernel has no such file. */
export interface Setting {
	readonly file: string;
	readonly value: string;
	readonly optionalFile?: true;
}

/** What a hierarchy can limit; the names of the v2 controllers, also for v1. */
export type Limited = "memory" | "cpu" | "cpuset" | "pids" | "io";

/** What the host's swap means for a memory limit. */
export interface SwapFacts {
	/** Do groups have a limit for swap? */
	readonly limit: boolean;
	/** Does the host swap at all? */
	readonly on: boolean;
}

/** The kernel's own period; a new group has it. Microseconds. */
const DEFAULT_PERIOD_US = 100_000;

/** Which controllers the resources need. */
export function limitedBy(resources: Resources): readonly Limited[] {
	const { memory, cpu, pids, blockIO } = resources;
	const io = [...(blockIO?.throttleReadBpsDevice ?? []), ...(blockIO?.throttleWriteBpsDevice ?? [])];
	const needs: Readonly<Record<Limited, boolean>> = {
		memory: memory?.limit !== undefined && memory.limit >= 0,
		cpu: cpu?.quota !== undefined && cpu.quota > 0,
		cpuset: cpu?.cpus !== undefined && cpu.cpus !== "",
		pids: pids !== undefined && pids.limit > 0,
		io: io.length > 0,
	};
	return (Object.keys(needs) as Limited[]).filter((name) => needs[name]);
}

/** What a group can limit that is there for these limits and accounts. */
export function limitsOf(limited: readonly Limited[], accounts: readonly string[]): readonly Limited[] {
	const counted = (["memory", "pids"] as const).filter((name) => accounts.includes(name));
	return [...new Set([...limited, ...counted])];
}

const quotaOf = ({ cpu }: Resources): number => cpu?.quota ?? 0;
const periodOf = ({ cpu }: Resources): number => cpu?.period ?? DEFAULT_PERIOD_US;
const memoryOf = ({ memory }: Resources): number => memory?.limit ?? 0;

/** OCI counts memory and swap together; absent: no swap, -1: any amount. */
function memoryAndSwapOf({ memory }: Resources): number {
	return memory?.swap ?? memory?.limit ?? 0;
}

function v1Memory(resources: Resources, swap: SwapFacts): readonly Setting[] {
	const limit: Setting = { file: "memory.limit_in_bytes", value: `${memoryOf(resources)}` };
	if (swap.limit) return [limit, { file: "memory.memsw.limit_in_bytes", value: `${memoryAndSwapOf(resources)}` }];
	// The group's pages are then swapped out only when the whole host is short of memory.
	return [limit, { file: "memory.swappiness", value: "0" }];
}

function v1Throttle(file: string, devices: readonly ThrottleDevice[] = []): readonly Setting[] {
	return devices.map(({ major, minor, rate }) => ({ file, value: `${major}:${minor} ${rate}` }));
}

/**
 * The writes for a cgroup v1 hierarchy, in the order in which the kernel takes them: the memory limit before the one
 * that may not be below it, the nodes of a cpuset before a process.
 *
 * @param mems memory nodes of the parent's cpuset
 */
export function v1Settings(
	controller: Limited,
	resources: Resources,
	host: { readonly swap: SwapFacts; readonly mems: string },
): readonly Setting[] {
	switch (controller) {
		case "memory":
			return v1Memory(resources, host.swap);
		case "cpu": {
			const period = periodOf(resources);
			return [
				...(period === DEFAULT_PERIOD_US ? [] : [{ file: "cpu.cfs_period_us", value: `${period}` }]),
				{ file: "cpu.cfs_quota_us", value: `${quotaOf(resources)}` },
			];
		}
		case "cpuset":
			return [
				{ file: "cpuset.mems", value: host.mems },
				{ file: "cpuset.cpus", value: resources.cpu?.cpus ?? "" },
			];
		case "pids":
			return [{ file: "pids.max", value: `${resources.pids?.limit}` }];
		case "io":
			return [
				...v1Throttle("blkio.throttle.read_bps_device", resources.blockIO?.throttleReadBpsDevice),
				...v1Throttle("blkio.throttle.write_bps_device", resources.blockIO?.throttleWriteBpsDevice),
			];
		default:
			return controller satisfies never;
	}
}

function v2Memory(resources: Resources, swap: SwapFacts): readonly Setting[] {
	const both = memoryAndSwapOf(resources);
	const value = both < 0 ? "max" : `${Math.max(0, both - memoryOf(resources))}`;
	return [
		{ file: "memory.max", value: `${memoryOf(resources)}` },
		// Without swap on the host, a kernel without the file loses nothing.
		{ file: "memory.swap.max", value, ...(swap.on && swap.limit ? {} : { optionalFile: true }) },
		{ file: "memory.oom.group", value: "1" },
	];
}

function v2Io({ blockIO }: Resources): readonly Setting[] {
	const limits = new Map<string, string[]>();
	const add = (devices: readonly ThrottleDevice[], key: string): void => {
		for (const { major, minor, rate } of devices) {
			const device = `${major}:${minor}`;
			limits.set(device, [...(limits.get(device) ?? []), `${key}=${rate}`]);
		}
	};
	add(blockIO?.throttleReadBpsDevice ?? [], "rbps");
	add(blockIO?.throttleWriteBpsDevice ?? [], "wbps");
	return [...limits].map(([device, keys]) => ({ file: "io.max", value: `${device} ${keys.join(" ")}` }));
}

/** The writes for a cgroup v2 group. */
export function v2Settings(controller: Limited, resources: Resources, swap: SwapFacts): readonly Setting[] {
	switch (controller) {
		case "memory":
			return v2Memory(resources, swap);
		case "cpu":
			return [{ file: "cpu.max", value: `${quotaOf(resources)} ${periodOf(resources)}` }];
		case "cpuset":
			return [{ file: "cpuset.cpus", value: resources.cpu?.cpus ?? "" }];
		case "pids":
			return [{ file: "pids.max", value: `${resources.pids?.limit}` }];
		case "io":
			return v2Io(resources);
		default:
			return controller satisfies never;
	}
}
