/** Numbers of capabilities (linux/capability.h). */

import { VmjailError } from "../errors.ts";
import { CAPABILITIES } from "../policy/tables.ts";

/** The highest capability of the newest kernel known here. */
export const LAST_CAPABILITY = CAPABILITIES.length - 1;

/** @throws VmjailError POLICY_INVALID for a name that is none. */
export function capabilityNumber(name: string): number {
	const number = CAPABILITIES.indexOf(name);
	if (number >= 0) return number;
	throw new VmjailError("POLICY_INVALID", `process.capabilities: ${name} is no capability`, {
		remedy: "See capabilities(7) for the names.",
	});
}

/** The set as a 64-bit mask. */
export function capabilityMask(names: readonly string[]): bigint {
	return names.reduce((mask, name) => mask | (1n << BigInt(capabilityNumber(name))), 0n);
}
