/** What a runsc binary can do, read from what it says about itself. Pure. */

import { VmjailError } from "../../errors.ts";
import type { Accel } from "../../policy/types.ts";

export interface Abilities {
	/** "0.0~20240729.0", "release-20260901.0", or "VERSION_MISSING" where it was built by `go install`. */
	readonly version: string;
	readonly platforms: readonly Accel[];
	/** Can a caller without privileges keep its own uid in the jail? (`runsc gofer --uid`) */
	readonly ownUid: boolean;
	/** Flags whose names were looked for and found, to be passed. */
	readonly flags: ReadonlySet<string>;
}

const PLATFORMS: readonly Accel[] = ["systrap", "ptrace", "kvm"];

/** What a runsc must know, and what it is for. All builds since systrap have these. */
const REQUIRED: readonly (readonly [flag: string, why: string])[] = [
	["oci-seccomp", "seccomp inside the sandbox"],
	["directfs", "keeping the host's files out of the Sentry's reach"],
	["ignore-cgroups", "limits kept by vmjail's own control group"],
	["overlay2", "writes that reach the host's folder"],
	["debug-command", "exact exit statuses"],
];

/**
 * @param versionText output of `runsc --version`
 * @param flagsText output of `runsc flags`
 * @param goferText output of `runsc help gofer`
 * @throws VmjailError HOST_UNSUPPORTED where this build is too old to be driven, with what it lacks.
 */
export function abilitiesOf(versionText: string, flagsText: string, goferText: string): Abilities {
	const version = /^runsc version (\S+)/m.exec(versionText)?.[1];
	if (version === undefined) throw refuse("this is not gVisor's runsc", "it prints no version");
	const flags = new Set([...flagsText.matchAll(/^ {2}-(\S+)/gm)].map((match) => match[1] ?? ""));
	const known = /which platform to use: ([^.\n]+)/.exec(flagsText)?.[1] ?? "";
	const platforms = PLATFORMS.filter((name) => new RegExp(`\\b${name}\\b`).test(known));
	if (!platforms.includes("systrap")) {
		throw refuse(
			`runsc ${version} is too old`,
			`it has no systrap (only ${platforms.join(", ") || "unknown platforms"}): a system call costs twenty times as much there, and its statx fails`,
		);
	}
	for (const [flag, why] of REQUIRED) {
		if (!flags.has(flag)) throw refuse(`runsc ${version} cannot be driven`, `it lacks --${flag} (${why})`);
	}
	return { version, platforms, ownUid: /^ {2}-uid\b/m.test(goferText), flags };
}

/** @throws VmjailError HOST_UNSUPPORTED where the build lacks the platform, naming those it has. */
export function requirePlatform(abilities: Abilities, accel: Accel): void {
	if (abilities.platforms.includes(accel)) return;
	throw new VmjailError("HOST_UNSUPPORTED", `system.accel: runsc ${abilities.version} has no platform "${accel}"`, {
		remedy: `Set system.accel to one of: ${abilities.platforms.join(", ")}.`,
	});
}

function refuse(what: string, why: string): VmjailError {
	return new VmjailError("HOST_UNSUPPORTED", `${what}: ${why}`, {
		remedy: "Install a runsc of 2024 or later (sh scripts/get-runsc.sh), or name one with --runsc or VMJAIL_RUNSC.",
	});
}
