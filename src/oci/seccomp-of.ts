/** The seccomp profile that a policy asks for, with the calls that no jail may make refused in any case. */

import type { Architecture } from "../host/types.ts";
import type { Policy } from "../policy/types.ts";
import { defaultProfile, strictProfile, withFloor } from "./seccomp/profiles.ts";
import type { LinuxSeccomp } from "./types.ts";

export function seccompOf(policy: Policy, arch: Architecture): LinuxSeccomp {
	const { syscalls } = policy.security;
	switch (syscalls) {
		case "default":
			return withFloor(defaultProfile(arch), arch);
		case "strict":
			return withFloor(strictProfile(arch), arch);
		default:
			return withFloor(syscalls, arch);
	}
}
