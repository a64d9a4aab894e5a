/** The seccomp profile that a policy asks for, with the calls that no jail may make refused in any case. */

import type { Architecture } from "../host/types.ts";
import type { Policy } from "../policy/types.ts";
import { nativeOnly, withFloor } from "./seccomp/floor.ts";
import { defaultProfile, strictProfile, UNKNOWN_CALLS } from "./seccomp/profiles.ts";
import type { LinuxSeccomp, SeccompRule } from "./types.ts";

export type ProfileName = Extract<Policy["security"]["syscalls"], string>;

/** The objects that {@link namedProfile} gave out, by their key and the other way round. */
const made = new Map<string, LinuxSeccomp>();
const keys = new WeakMap<LinuxSeccomp, string>();

export function seccompOf(policy: Policy, arch: Architecture): LinuxSeccomp {
	const { syscalls } = policy.security;
	return typeof syscalls === "string" ? namedProfile(syscalls, arch) : withFloor(syscalls, arch);
}

/**
 * A named profile with the floor: always the same object. Its rules are made when somebody looks at them, which takes
 * milliseconds the first time: a jail gets the filter that was compiled when vmjail was built.
 */
export function namedProfile(name: ProfileName, arch: Architecture): LinuxSeccomp {
	const key = `${name} ${arch}`;
	const known = made.get(key);
	if (known !== undefined) return known;
	const rules: { all?: readonly SeccompRule[] } = {};
	const profile: LinuxSeccomp = {
		...UNKNOWN_CALLS,
		get syscalls() {
			rules.all ??= withFloor(named(name, arch), arch).syscalls ?? [];
			return rules.all;
		},
		architectures: nativeOnly(arch),
	};
	made.set(key, profile);
	keys.set(profile, key);
	return profile;
}

/**
 * Gives a profile that is made out of named ones, or is always the same, a key of its own. The key must say all that its rules
 * depend on.
 */
export function withKey(key: string, profile: LinuxSeccomp): LinuxSeccomp {
	keys.set(profile, key);
	return profile;
}

/** "<name> <architecture>" of a profile that {@link namedProfile} gave out; a {@link withKey}'s key; of nothing else. */
export function keyOfNamed(profile: LinuxSeccomp): string | undefined {
	return keys.get(profile);
}

function named(name: ProfileName, arch: Architecture): LinuxSeccomp {
	switch (name) {
		case "default":
			return defaultProfile(arch);
		case "strict":
			return strictProfile(arch);
		default:
			return name satisfies never;
	}
}
