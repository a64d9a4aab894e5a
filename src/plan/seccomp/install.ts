/** seccomp(2) as a step. */

import type { Architecture } from "../../host/types.ts";
import type { LinuxSeccomp } from "../../oci/types.ts";
import { SECCOMP_SET_MODE_FILTER } from "../constants.ts";
import { block, struct } from "../steps.ts";
import type { Bytes, Step } from "../types.ts";
import { type CompiledSeccomp, compileSeccomp, readyFilter } from "./compile.ts";
import { compileTogether, readyTogether } from "./together.ts";

/**
 * Installs a profile as a filter of the calling process. Filters add up: the strictest answer counts.
 *
 * @throws VmjailError as compileSeccomp does
 */
export function filterStep(label: string, profile: LinuxSeccomp, arch: Architecture): Step {
	return stepOf(label, readyFilter(profile) ?? compileSeccomp(profile, arch));
}

/**
 * The same for several profiles, as one filter.
 *
 * @throws VmjailError as compileSeccomp does
 */
export function jointFilterStep(label: string, profiles: readonly LinuxSeccomp[], arch: Architecture): Step {
	return stepOf(label, jointFilter(profiles, arch));
}

/**
 * That filter, and the flags for seccomp(2).
 *
 * @throws VmjailError as compileSeccomp does
 */
export function jointFilter(
	profiles: readonly LinuxSeccomp[],
	arch: Architecture,
): Pick<CompiledSeccomp, "bytes" | "flags"> {
	return readyTogether(profiles, arch) ?? compileTogether(profiles, arch);
}

function stepOf(label: string, { bytes, flags }: Pick<CompiledSeccomp, "bytes" | "flags">): Step {
	return { label, call: "seccomp", args: [SECCOMP_SET_MODE_FILTER, flags, filterOf(bytes)] };
}

/** `struct sock_fprog` */
export function filterOf(bytes: Uint8Array): Bytes {
	const count = bytes.length / 8;
	return struct(`{${count} instructions}`, [
		{ u16: count },
		{ zeros: 6 },
		{ pointer: block(bytes, `<filter of ${count} instructions>`) },
	]);
}
