/** The command lines of runsc. Pure. */

import type { Accel } from "../../policy/types.ts";
import type { SentryNetwork } from "./adapt.ts";
import type { Runsc } from "./find.ts";

export interface ArgvInput {
	readonly runsc: Runsc;
	/** Private state folder of this run: `--root`. */
	readonly state: string;
	/** Where runsc's own command writes why it fails, as JSON lines. */
	readonly log: string;
	/** Folder for everything that the Sentry and the gofer have to say. Slows them down. */
	readonly debugLog?: string;
	readonly accel: Accel;
	readonly network: SentryNetwork;
	readonly rootless: boolean;
	/** Folder with config.json. */
	readonly bundle: string;
	readonly id: string;
	/** Descriptors of runsc that the program gets: host number → number inside. Inside, 0–2 are the standard ones. */
	readonly passDescriptors?: readonly { readonly host: number; readonly inside: number }[];
	/** Descriptor of runsc with the program that is executed first, in place of one of the jail's. */
	readonly execDescriptor?: number;
	readonly podInitConfig?: string;
}

/** Flags of newer builds: passed only where this build has them. */
const NEWER: readonly (readonly [flag: string, value: string])[] = [
	// Looks at, and may change, kernel settings of the host.
	["host-settings", "ignore"],
	// The default leaves a mount of an empty network namespace behind in --root.
	["gofer-network-namespace", "new"],
];

/**
 * `runsc … run`: in the foreground, so that the exit status is runsc's to report and the sandbox dies with it.
 *
 * `--debug` with `--debug-command=run` makes that one command write the exact wait status at its end, and each step on
 * the way; the Sentry stays quiet.
 */
export function runArgv(input: ArgvInput): readonly string[] {
	const { runsc, network, debugLog } = input;
	return [
		runsc.path,
		`--root=${input.state}`,
		`--log=${input.log}`,
		"--log-format=json",
		"--debug",
		`--debug-log=${debugLog === undefined ? `${input.log}.%COMMAND%` : `${debugLog}/%COMMAND%.log`}`,
		"--debug-log-format=json",
		...(debugLog === undefined ? ["--debug-command=run"] : []),
		// A crash of the Sentry must not reach the program's standard error.
		`--panic-log=${input.log}.panic`,
		`--platform=${input.accel}`,
		`--network=${network}`,
		"--ignore-cgroups",
		"--oci-seccomp",
		"--directfs=false",
		"--overlay2=none",
		// Files of the host change while the jail runs.
		"--file-access=shared",
		...(input.rootless ? ["--rootless"] : []),
		...NEWER.filter(([flag]) => runsc.abilities.flags.has(flag)).map(([flag, value]) => `--${flag}=${value}`),
		...(input.podInitConfig === undefined ? [] : [`--pod-init-config=${input.podInitConfig}`]),
		"run",
		`--bundle=${input.bundle}`,
		...(input.passDescriptors ?? []).map(({ host, inside }) => `--pass-fd=${host}:${inside}`),
		...(input.execDescriptor === undefined ? [] : [`--exec-fd=${input.execDescriptor}`]),
		input.id,
	];
}
