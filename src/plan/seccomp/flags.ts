/** Flags of seccomp(2). Source: include/uapi/linux/seccomp.h. */

import { VmjailError } from "../../errors.ts";
import type { Rule } from "../../oci/seccomp/rules.ts";
import type { LinuxSeccomp } from "../../oci/types.ts";

const NEW_LISTENER = 0x08;
const TSYNC = 0x01;
const TSYNC_ESRCH = 0x10;
const WAIT_KILLABLE_RECV = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV";

/** Those that a profile may ask for (OCI runtime specification, linux.seccomp.flags). */
const FLAGS: ReadonlyMap<string, number> = new Map([
	["SECCOMP_FILTER_FLAG_TSYNC", TSYNC],
	["SECCOMP_FILTER_FLAG_LOG", 0x02],
	["SECCOMP_FILTER_FLAG_SPEC_ALLOW", 0x04],
	[WAIT_KILLABLE_RECV, 0x20],
]);

/**
 * The flags that the profile asks for, and those that its rules need.
 * @throws VmjailError POLICY_INVALID: an unknown flag, or one that the kernel would refuse here
 */
export function filterFlags(profile: LinuxSeccomp, rules: readonly Rule[]): number {
	const notifies = rules.some(({ verdict }) => verdict.action === "SCMP_ACT_NOTIFY");
	let flags = notifies ? NEW_LISTENER : 0;
	for (const [at, name] of (profile.flags ?? []).entries()) {
		const flag = FLAGS.get(name);
		if (flag === undefined) throw invalid(at, `"${name}" is none of ${[...FLAGS.keys()].join(", ")}`);
		if (name === WAIT_KILLABLE_RECV && !notifies) throw invalid(at, `${name} needs a rule with SCMP_ACT_NOTIFY`);
		flags |= flag;
	}
	// Both want the return value of seccomp(2): with a listener, TSYNC must report its failures as ESRCH (Linux 5.7).
	return notifies && (flags & TSYNC) !== 0 ? flags | TSYNC_ESRCH : flags;
}

function invalid(at: number, message: string): VmjailError {
	return new VmjailError("POLICY_INVALID", `seccomp: flags[${at}]: ${message}`, {
		remedy: "Correct or remove the flag.",
	});
}
