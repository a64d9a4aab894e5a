/** Limits of one program in a jail that is used again: the policy's, or narrower ones. Pure. */

import { outside } from "../cgroup/cpu-list.ts";
import { VmjailError } from "../errors.ts";
import { PERIOD_US, quotaOf } from "../oci/resources.ts";
import type { Resources, Rlimit } from "../oci/types.ts";
import type { Policy } from "../policy/types.ts";

/** Each may be at most what the policy says, where the policy says anything. Absent: as the policy says. */
export interface ExecLimits {
	/** User and system time of all its processes and threads. */
	readonly cpuMs?: number;
	readonly wallMs?: number;
	/** All of its processes together, page cache and tmpfs files included. */
	readonly memoryBytes?: number;
	/** Processes and threads at one time. */
	readonly pids?: number;
	/** Everything that it writes to its standard streams. */
	readonly outputBytes?: number;
	/** Of any one file. */
	readonly fileSizeBytes?: number;
	/** Of each process. */
	readonly stackBytes?: number;
	readonly dataBytes?: number;
	readonly addressSpaceBytes?: number;
	/** Processors' worth of time in each tenth of a second; may be a fraction. */
	readonly cpuCores?: number;
	/** The processors that it may use, as cpuset(7) writes them: "0-1,3". */
	readonly cpuset?: string;
}

/** Which resource of setrlimit(2) keeps a limit. */
const RLIMIT = {
	fileSizeBytes: "fsize",
	stackBytes: "stack",
	dataBytes: "data",
	addressSpaceBytes: "as",
} as const;

/** The limits that are numbers. */
type Counted = Omit<ExecLimits, "cpuset">;

function ofPolicy({ system }: Policy): Counted {
	const rlimits = Object.fromEntries(
		Object.entries(RLIMIT).map(([name, resource]) => [name, system.rlimits[resource]]),
	);
	const all = {
		cpuMs: system.time.cpuMs,
		wallMs: system.time.wallMs,
		memoryBytes: system.memory.maxBytes,
		pids: system.pids.max,
		outputBytes: system.output.maxBytes,
		cpuCores: system.cpu.cores,
		...rlimits,
	};
	return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** Of programs that ask for none: policies do not change. */
const plain = new WeakMap<Policy, ExecLimits>();

/**
 * The limits that hold for one program.
 *
 * @throws VmjailError USAGE for a limit that is no positive whole number, or is wider than the policy's
 */
export function limitsFor(policy: Policy, asked?: ExecLimits): ExecLimits {
	const known = asked === undefined ? plain.get(policy) : undefined;
	if (known !== undefined) return known;
	const limits = limitsOf(policy, asked ?? {});
	if (asked === undefined) plain.set(policy, limits);
	return limits;
}

function limitsOf(policy: Policy, asked: ExecLimits): ExecLimits {
	const bounds = ofPolicy(policy);
	const { cpuset = policy.system.cpu.pin, ...counted } = asked;
	checkCpuset(policy, asked.cpuset);
	for (const [name, value] of Object.entries(counted)) {
		if (value === undefined) continue;
		if (!(name === "cpuCores" ? Number.isFinite(value) : Number.isSafeInteger(value)) || value <= 0) {
			throw new VmjailError("USAGE", `limits.${name}: ${value} is no limit`, {
				remedy: "Give a positive whole number.",
			});
		}
		const bound = bounds[name as keyof Counted];
		if (bound !== undefined && value > bound) {
			throw new VmjailError("USAGE", `limits.${name}: ${value} is more than the policy's ${bound}`, {
				remedy: "A program's limits may be narrower than its jail's policy, never wider: raise it in the policy.",
			});
		}
	}
	const given = Object.fromEntries(Object.entries(counted).filter(([, value]) => value !== undefined));
	return { ...bounds, ...given, ...(cpuset === undefined ? {} : { cpuset }) };
}

const CPU_LIST = /^\d+(-\d+)?(,\d+(-\d+)?)*$/;

function checkCpuset({ system }: Policy, cpuset: string | undefined): void {
	if (cpuset === undefined) return;
	if (!CPU_LIST.test(cpuset)) {
		throw new VmjailError("USAGE", `limits.cpuset: ${JSON.stringify(cpuset)} is no list of processors`, {
			remedy: 'Write it as cpuset(7) does: "0-1,3".',
		});
	}
	const beyond = system.cpu.pin === undefined ? [] : outside(cpuset, system.cpu.pin);
	if (beyond.length === 0) return;
	throw new VmjailError("USAGE", `limits.cpuset: processors ${beyond.join(",")} are not among the policy's`, {
		remedy: `The policy pins its programs to ${system.cpu.pin}.`,
	});
}

/** What differs from the jail's own group, for one program; undefined: nothing does. Swap stays what the policy says. */
export function narrowed(policy: Policy, limits: ExecLimits): Resources | undefined {
	const { memoryBytes, pids, cpuCores, cpuset } = limits;
	const { memory, pids: ofAll, cpu: all } = policy.system;
	const cpu = {
		...(cpuCores === undefined || cpuCores === all.cores ? {} : { quota: quotaOf(cpuCores), period: PERIOD_US }),
		...(cpuset === undefined || cpuset === all.pin ? {} : { cpus: cpuset }),
	};
	const resources: Resources = {
		...(memoryBytes === undefined || memoryBytes === memory.maxBytes
			? {}
			: { memory: { limit: memoryBytes, swap: memoryBytes + memory.swapBytes } }),
		...(pids === undefined || pids === ofAll.max ? {} : { pids: { limit: pids } }),
		...(Object.keys(cpu).length === 0 ? {} : { cpu }),
	};
	return Object.keys(resources).length === 0 ? undefined : resources;
}

/** The limits of each process, as setrlimit(2) keeps them: those of the spec, and narrower ones in their place. */
export function rlimitsFor(spec: readonly Rlimit[], limits: ExecLimits): readonly Rlimit[] {
	const own = Object.entries(RLIMIT).flatMap(([name, resource]): readonly Rlimit[] => {
		const value = limits[name as keyof typeof RLIMIT];
		return value === undefined ? [] : [{ type: `RLIMIT_${resource.toUpperCase()}`, soft: value, hard: value }];
	});
	return [...spec.filter(({ type }) => !own.some((one) => one.type === type)), ...own];
}
