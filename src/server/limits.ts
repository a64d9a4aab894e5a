/** The limits that a command asks for, held against the policy's. Pure. */

import type { ExecLimits } from "../jail/limits.ts";
import type { Policy } from "../policy/types.ts";
import { HttpProblem } from "./problem.ts";
import type { CommandRequest } from "./schema.ts";

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
	};
}

type AskedName = "cpuMs" | "wallMs" | "memoryBytes" | "pids" | "stackBytes";
type NumericKey = "cpuLimit" | "clockLimit" | "realCpuLimit" | "memoryLimit" | "procLimit" | "stackLimit";

function refuse(where: string, { key, value = 0, most = 0, policyKey, unit }: Asked): never {
	throw new HttpProblem(
		400,
		"LIMIT_ABOVE_POLICY",
		`${where}.${key}: ${value * unit} is more than this server's policy allows (${policyKey}: ${most * unit}). Ask for less, or leave it out to get the policy's.`,
	);
}

/** Cores are a jail's, not a command's: what is not the policy's own cannot be had. */
function checkCores(command: CommandRequest, { system }: Policy, where: string): void {
	const { cores, pin } = system.cpu;
	const rate = given(command.cpuRateLimit);
	if (rate !== undefined && rate !== (cores ?? 0) * MILLICORES) {
		const text = `${where}.cpuRateLimit: ${rate}: every command here gets what the policy says (system.cpu.number: ${cores ?? "all"})`;
		throw new HttpProblem(400, "LIMIT_NOT_GIVEN", text);
	}
	if (command.cpuSetLimit === undefined || command.cpuSetLimit === "" || command.cpuSetLimit === pin) return;
	const text = `${where}.cpuSetLimit: ${command.cpuSetLimit}: every command here gets what the policy says (system.cpu.pin: ${pin ?? "all"})`;
	throw new HttpProblem(400, "LIMIT_NOT_GIVEN", text);
}

/** A limit counts whole units; a fraction of one is one. */
function whole(value: number | undefined): number | undefined {
	return value === undefined ? undefined : Math.ceil(value);
}

function defined<K extends keyof ExecLimits>(key: K, value: ExecLimits[K] | undefined): ExecLimits {
	return value === undefined ? {} : { [key]: value };
}

/**
 * @param where of the command in the request: "cmd[0]"
 * @throws HttpProblem 400 for a limit above the policy's, naming both
 */
export function limitsOf(command: CommandRequest, policy: Policy, where: string): ExecLimits {
	checkCores(command, policy, where);
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
		...defined("cpuMs", whole(all.cpuMs.value)),
		...defined("wallMs", whole(all.wallMs.value)),
		...defined("memoryBytes", all.memoryBytes.value),
		...defined("pids", all.pids.value),
		...defined("stackBytes", all.stackBytes.value),
		...(wantsData ? defined("dataBytes", memory) : {}),
		...(command.addressSpaceLimit === true ? defined("addressSpaceBytes", memory) : {}),
	};
}
