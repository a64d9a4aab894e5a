/** The seccomp profile that a policy asks for, with the calls that no jail may make refused in any case. */

import type { Architecture } from "../host/types.ts";
import type { Policy } from "../policy/types.ts";
import { defaultProfile, strictProfile, withFloor } from "./seccomp/profiles.ts";
import type { LinuxSeccomp } from "./types.ts";

type Named = Extract<Policy["security"]["syscalls"], string>;

/** Putting the floor under a profile takes a millisecond, half of what a jail may take to start; it is always the same. */
const made = new Map<string, LinuxSeccomp>();

export function seccompOf(policy: Policy, arch: Architecture): LinuxSeccomp {
	const { syscalls } = policy.security;
	if (typeof syscalls !== "string") return withFloor(syscalls, arch);
	const key = `${syscalls} ${arch}`;
	const known = made.get(key);
	if (known !== undefined) return known;
	const profile = withFloor(named(syscalls, arch), arch);
	made.set(key, profile);
	return profile;
}

function named(name: Named, arch: Architecture): LinuxSeccomp {
	switch (name) {
		case "default":
			return defaultProfile(arch);
		case "strict":
			return strictProfile(arch);
		default:
			return name satisfies never;
	}
}
