/** A run as bytes for the executor. */

import { type EncodedProgram, encodePlan, encodeWorkload } from "../executor/encode.ts";
import type { Terminal } from "../plan/terminal.ts";
import type { Step, Workload } from "../plan/types.ts";
import { workloadOf } from "../plan/workload.ts";
import type { Prepared } from "./prepare.ts";

export interface EncodedWorkload {
	readonly workload: Workload;
	readonly program: EncodedProgram;
}

export interface Encoded extends EncodedWorkload {
	readonly jail: EncodedProgram;
}

export interface EncodeOptions {
	readonly terminal?: Terminal | undefined;
	/** Before the filters, while the program's process can still speak to vmjail. */
	readonly beforeFilters?: readonly Step[] | undefined;
}

/** @throws VmjailError USAGE for arguments that no exec(2) takes */
export function encodeRun(prepared: Prepared, options: EncodeOptions): Encoded {
	const jail = encodePlan(prepared.plan, prepared.facts.arch);
	return { jail, ...encodeProgram(prepared, jail, options) };
}

/**
 * @param jail the encoded plan of `prepared`
 * @throws VmjailError USAGE for arguments that no exec(2) takes
 */
export function encodeProgram(
	prepared: Prepared,
	jail: EncodedProgram,
	{ terminal, beforeFilters }: EncodeOptions,
): EncodedWorkload {
	const { spec, facts, plan, cpuLimitMs, wallLimitMs, driven } = prepared;
	const workload =
		driven?.workload(prepared, terminal, beforeFilters) ??
		workloadOf(spec, facts, {
			...(terminal === undefined ? {} : { terminal }),
			...(cpuLimitMs === undefined ? {} : { cpuLimitMs }),
			...(wallLimitMs === undefined ? {} : { wallLimitMs }),
			...(beforeFilters === undefined ? {} : { beforeFilters }),
		});
	return { workload, program: encodeWorkload(workload, jail, plan, facts.arch) };
}
