/** Mandatory access control: the profile or label that the program gets at its exec (apparmor(7), selinux(8)). */

import type { Process } from "../oci/types.ts";
import { AT_FDCWD, O_CLOEXEC, O_WRONLY } from "./constants.ts";
import { cstring, text } from "./steps.ts";
import type { Step } from "./types.ts";

function writeAttribute(file: string, content: string, label: string): readonly Step[] {
	const bytes = text(content);
	return [
		{
			label: `open ${file}`,
			call: "openat",
			args: [AT_FDCWD, cstring(file), O_WRONLY | O_CLOEXEC, 0],
			save: "attribute",
		},
		{ label, call: "write", args: [{ slot: "attribute" }, bytes, bytes.bytes.length] },
	];
}

/** In the workload, while /proc can still be written to; the kernel applies it at execve(2). */
export function macSteps({ apparmorProfile, selinuxLabel }: Process): readonly Step[] {
	return [
		...(apparmorProfile === undefined
			? []
			: writeAttribute(
					"/proc/self/attr/apparmor/exec",
					`exec ${apparmorProfile}`,
					`ask AppArmor for the profile ${apparmorProfile} at exec`,
				)),
		...(selinuxLabel === undefined
			? []
			: writeAttribute("/proc/self/attr/exec", selinuxLabel, `ask SELinux for the label ${selinuxLabel} at exec`)),
	];
}
