/** The limits that a command asks for, held against the policy's. Pure. */

import type { Policy } from "../policy/types.ts";
import { HttpProblem } from "./problem.ts";
import type { CommandRequest } from "./schema.ts";

/** What a command may narrow; absent: as the policy says. */
export interface Limits {
	readonly cpuMs?: number;
	readonly wallMs?: number;
	readonly memoryBytes?: number;
	readonly pids?: number;
	readonly stackBytes?: number;
	readonly dataBytes?: number;
	readonly addressSpaceBytes?: number;
	readonly cpuCores?: number;
	readonly cpuset?: string;
}

const NS_PER_MS = 1e6;
const MILLICORES = 1000;

interface Asked {
	/** The request's key. */
	readonly key: string;
	/** In the policy's unit; undefined: not asked for. go-judge's clients say 0 for that. */
	readonly value: number | undefined;
	/** The policy's, in the same unit. */
	readonly most: number | undefined;
	/** Of the policy, for messages. */
	readonly policyKey: string;
	/** What the request's unit is in the policy's. */
	readonly unit: number;
}

function given(value: number | undefined, unit = 1): number | undefined {
	return value === undefined || value === 0 ? undefined : value / unit;
}

function asked(command: CommandRequest, { system }: Policy): Readonly<Record<AskedName, Asked>> {
	const wall = given(command.realCpuLimit) === undefined ? "clockLimit" : "realCpuLimit";
	const of = (key: NumericKey, policyKey: string, most: number | undefined, unit = 1): Asked => ({
		key,
		value: given(command[key], unit),
		most,
		policyKey,
		unit,
	});
	return {
		cpuMs: of("cpuLimit", "system.time.cpu", system.time.cpuMs, NS_PER_MS),
		wallMs: of(wall, "system.time.wall", system.time.wallMs, NS_PER_MS),
		memoryBytes: of("memoryLimit", "system.memory.max", system.memory.maxBytes),
		pids: of("procLimit", "system.pids.max", system.pids.max),
		stackBytes: of("stackLimit", "system.rlimits.stack", system.rlimits.stack),
		cpuCores: of("cpuRateLimit", "system.cpu.number", system.cpu.cores, MILLICORES),
	};
}

type AskedName = "cpuMs" | "wallMs" | "memoryBytes" | "pids" | "stackBytes" | "cpuCores";
type NumericKey =
	| "cpuLimit"
	| "clockLimit"
	| "realCpuLimit"
	| "memoryLimit"
	| "procLimit"
	| "stackLimit"
	| "cpuRateLimit";

function refuse(where: string, { key, value = 0, most = 0, policyKey, unit }: Asked): never {
	throw new HttpProblem(
		400,
		"LIMIT_ABOVE_POLICY",
		`${where}.${key}: ${value * unit} is more than this server's policy allows (${policyKey}: ${most * unit}). Ask for less, or leave it out to get the policy's.`,
	);
}

/** "0-2,5" → 0, 1, 2, 5; undefined for what is no list of processors. */
function processorsOf(list: string): readonly number[] | undefined {
	const parts = list.split(",").map((part) => /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part));
	if (parts.some((part) => part === null)) return undefined;
	return parts.flatMap((part) => {
		const from = Number(part?.[1]);
		const to = Number(part?.[2] ?? from);
		return to < from ? [] : Array.from({ length: to - from + 1 }, (_, i) => from + i);
	});
}

function cpusetOf(where: string, asked: string | undefined, pin: string | undefined): string | undefined {
	if (asked === undefined || asked === "") return undefined;
	const wanted = processorsOf(asked);
	if (wanted === undefined || wanted.length === 0) {
		throw new HttpProblem(400, "REQUEST_INVALID", `${where}.cpuSetLimit: expected processors such as "0-1,3"`);
	}
	const allowed = pin === undefined ? undefined : processorsOf(pin);
	if (allowed === undefined || wanted.every((one) => allowed.includes(one))) return asked;
	throw new HttpProblem(
		400,
		"LIMIT_ABOVE_POLICY",
		`${where}.cpuSetLimit: ${asked} is not within this server's policy (system.cpu.pin: ${pin}).`,
	);
}

function defined<K extends keyof Limits>(key: K, value: Limits[K] | undefined): Limits {
	return value === undefined ? {} : { [key]: value };
}

/**
 * @param where of the command in the request: "cmd[0]"
 * @throws HttpProblem 400 for a limit above the policy's, naming both
 */
export function limitsOf(command: CommandRequest, policy: Policy, where: string): Limits {
	const all = asked(command, policy);
	for (const one of Object.values(all)) {
		if (one.value !== undefined && one.most !== undefined && one.value > one.most) refuse(where, one);
	}
	const memory = all.memoryBytes.value ?? policy.system.memory.maxBytes;
	const wantsData = command.dataSegmentLimit === true || command.strictMemoryLimit === true;
	if ((wantsData || command.addressSpaceLimit === true) && memory === undefined) {
		const key = wantsData ? "dataSegmentLimit" : "addressSpaceLimit";
		throw new HttpProblem(400, "REQUEST_INVALID", `${where}.${key}: needs memoryLimit, which says how much`);
	}
	return {
		...defined("cpuMs", all.cpuMs.value),
		...defined("wallMs", all.wallMs.value),
		...defined("memoryBytes", all.memoryBytes.value),
		...defined("pids", all.pids.value),
		...defined("stackBytes", all.stackBytes.value),
		...defined("cpuCores", all.cpuCores.value),
		...(wantsData ? defined("dataBytes", memory) : {}),
		...(command.addressSpaceLimit === true ? defined("addressSpaceBytes", memory) : {}),
		...defined("cpuset", cpusetOf(where, command.cpuSetLimit, policy.system.cpu.pin)),
	};
}
