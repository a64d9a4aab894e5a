/** seccomp(2) as a step. */

import type { Architecture } from "../../host/types.ts";
import type { LinuxSeccomp } from "../../oci/types.ts";
import { SECCOMP_SET_MODE_FILTER } from "../constants.ts";
import { block, struct } from "../steps.ts";
import type { Step } from "../types.ts";
import { compileSeccomp, readyFilter } from "./compile.ts";

/**
 * Installs a profile as a filter of the calling process. Filters add up: the strictest answer counts.
 *
 * @throws VmjailError as compileSeccomp does
 */
export function filterStep(label: string, profile: LinuxSeccomp, arch: Architecture): Step {
	const { bytes, flags } = readyFilter(profile) ?? compileSeccomp(profile, arch);
	const count = bytes.length / 8;
	const program = struct(`{${count} instructions}`, [
		{ u16: count },
		{ zeros: 6 },
		{ pointer: block(bytes, `<filter of ${count} instructions>`) },
	]);
	return { label, call: "seccomp", args: [SECCOMP_SET_MODE_FILTER, flags, program] };
}
