/** The program: arguments, environment, credentials and resource limits. */

import type { HostFacts } from "../host/types.ts";
import type { Policy, RlimitName } from "../policy/types.ts";
import { userOf } from "./identity.ts";
import type { Process, Rlimit } from "./types.ts";

const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** No core files (they would carry memory out), and the descriptor limits that the kernel itself starts with. */
const DEFAULT_RLIMITS: Readonly<Partial<Record<RlimitName, Omit<Rlimit, "type">>>> = {
	core: { soft: 0, hard: 0 },
	nofile: { soft: 1024, hard: 4096 },
};

export interface ProcessInput {
	readonly policy: Policy;
	readonly facts: HostFacts;
	readonly command: readonly string[];
	readonly terminal: boolean;
	readonly cwd: string;
}

/** @throws VmjailError HOST_UNSUPPORTED where the program's user is not the caller's to choose. */
export function processOf({ policy, facts, command, terminal, cwd }: ProcessInput): Process {
	const { apparmor, selinux } = policy.security.mac;
	const granted = [...policy.system.capabilities];
	return {
		terminal,
		user: userOf(policy, facts),
		args: [...command],
		env: environmentOf(policy, facts, terminal),
		cwd,
		capabilities: {
			bounding: granted,
			effective: granted,
			permitted: granted,
			inheritable: granted,
			ambient: granted,
		},
		rlimits: rlimitsOf(policy),
		noNewPrivileges: true,
		...(apparmor === undefined ? {} : { apparmorProfile: apparmor }),
		...(selinux === undefined ? {} : { selinuxLabel: selinux }),
	};
}

/** PATH always; then what the policy passes on from the caller; then what it sets. TERM where there is a terminal. */
function environmentOf(policy: Policy, facts: HostFacts, terminal: boolean): readonly string[] {
	const { pass, set } = policy.system.env;
	const passed = terminal ? ["TERM", ...pass] : pass;
	const own = Object.fromEntries(
		passed.flatMap((name) => {
			const value = facts.caller.env[name];
			return value === undefined ? [] : [[name, value]];
		}),
	);
	return Object.entries({ PATH: DEFAULT_PATH, ...own, ...set }).map(([name, value]) => `${name}=${value}`);
}

function rlimitsOf(policy: Policy): readonly Rlimit[] {
	const asked = Object.entries(policy.system.rlimits).map(
		([name, value]) => [name, { soft: value, hard: value }] as const,
	);
	return Object.entries({ ...DEFAULT_RLIMITS, ...Object.fromEntries(asked) })
		.map(([name, limit]) => ({ type: `RLIMIT_${name.toUpperCase()}`, ...limit }))
		.toSorted((a, b) => (a.type < b.type ? -1 : 1));
}
