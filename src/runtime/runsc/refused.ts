/** System calls that a program inside gVisor has no business making. */

import type { LinuxSeccomp, SeccompArg, SeccompRule } from "../../oci/types.ts";
import { coversAll } from "./cover.ts";

/** include/uapi/linux/sched.h */
const CLONE_NEWUSER = 0x10000000;

/**
 * What rearranges mounts. Builds before July 2026 let a program that makes a user namespace of its own undo `ro`
 * and `noexec` of a bind with a remount; these calls are the only way there.
 */
const MOUNT_CALLS = [
	"mount",
	"umount2",
	"pivot_root",
	"chroot",
	"fsopen",
	"fsconfig",
	"fsmount",
	"fspick",
	"move_mount",
	"open_tree",
	"mount_setattr",
	"setns",
] as const;

/** First, because gVisor takes the first rule that matches. clone3 hides its flags in memory: MOUNT_CALLS must do there. */
export const REFUSED: readonly SeccompRule[] = [
	{ names: MOUNT_CALLS, action: "SCMP_ACT_ERRNO" },
	{
		names: ["unshare", "clone"],
		action: "SCMP_ACT_ERRNO",
		args: [{ index: 0, op: "SCMP_CMP_MASKED_EQ", value: CLONE_NEWUSER, valueTwo: CLONE_NEWUSER }],
	},
];

/** The kernel log that a program reads in there is the Sentry's own, a few jokes at its start: nothing of the host's. */
export const OWN_LOG: SeccompRule = { names: ["syslog"], action: "SCMP_ACT_ALLOW" };

/** include/uapi/asm-generic/errno.h */
const ENOSYS = 38;

/**
 * A profile in the words that gVisor's `--oci-seccomp` understands (five actions, no errno, native calls only, the first
 * rule that matches decides), with the calls above refused in any case. Nothing that the profile refuses becomes allowed, but for
 * the kernel log.
 *
 * ENOSYS becomes SCMP_ACT_TRACE, which answers ENOSYS where nobody traces: the C library falls back from clone3 to
 * clone only on that answer. SCMP_ACT_NOTIFY has nobody to ask in there, and becomes a refusal.
 */
export function sentrySeccomp(profile: LinuxSeccomp = NO_PROFILE): LinuxSeccomp {
	const known = translated.get(profile) ?? translate(profile);
	translated.set(profile, known);
	return known;
}

const NO_PROFILE: LinuxSeccomp = { defaultAction: "SCMP_ACT_ALLOW" };

/** A profile never changes; each takes 8 ms. */
const translated = new WeakMap<LinuxSeccomp, LinuxSeccomp>();

function translate(profile: LinuxSeccomp): LinuxSeccomp {
	const byName = new Map<string, Rule[]>();
	for (const { names, action, errnoRet, args = [] } of profile.syscalls ?? []) {
		for (const name of new Set(names)) {
			const rules = byName.get(name) ?? [];
			byName.set(name, [...rules, { action: actionOf(action, errnoRet), args }]);
		}
	}
	const defaultAction = actionOf(profile.defaultAction, profile.defaultErrnoRet);
	const conditional: SeccompRule[] = [];
	const plain = new Map<Action, string[]>();
	for (const [name, rules] of byName) {
		const { first, last } = shortest(rules, defaultAction);
		conditional.push(...first.map((rule) => ({ names: [name], ...rule })));
		if (last !== defaultAction) plain.set(last, [...(plain.get(last) ?? []), name]);
	}
	const grouped = [...plain].map(([action, names]) => ({ names, action }));
	return { defaultAction, syscalls: [OWN_LOG, ...REFUSED, ...conditional, ...grouped] };
}

type Action = LinuxSeccomp["defaultAction"];

interface Rule {
	readonly action: Action;
	readonly args: readonly SeccompArg[];
}

interface Decision {
	/** The first that matches decides. */
	readonly first: readonly Rule[];
	/** Where none does. */
	readonly last: Action;
}

/** Beyond this many, the lets of a call are worth telling in other words: gVisor takes programs of 4096 instructions. */
const MANY = 16;

/**
 * The rules of one call. OCI profiles have no order, so that "all but these values" takes hundreds of rules of single
 * bits; here the exceptions come first.
 */
function shortest(rules: readonly Rule[], defaultAction: Action): Decision {
	const always = rules.find(({ args }) => args.length === 0);
	if (always !== undefined) return { first: [], last: always.action };
	const lets = rules.filter(({ action }) => action === "SCMP_ACT_ALLOW");
	const refusals = rules.filter(({ action }) => action !== "SCMP_ACT_ALLOW");
	if (defaultAction === "SCMP_ACT_ALLOW") return { first: [...refusals, ...lets], last: defaultAction };
	if (refusals.length < lets.length && isTotal(rules)) return { first: refusals, last: "SCMP_ACT_ALLOW" };
	// What no rule lets through is refused, by the profile's words for it or by the default.
	if (lets.length <= MANY) return { first: lets, last: refusals[0]?.action ?? defaultAction };
	return { first: rules, last: defaultAction };
}

/** Do the rules speak about every value of one argument, so that "none of the refusals" means "one of the lets"? */
function isTotal(rules: readonly Rule[]): boolean {
	const args = rules.flatMap((rule) => (rule.args.length === 1 ? rule.args : []));
	const [first] = args;
	const alike = args.every(({ op, index }) => op === "SCMP_CMP_MASKED_EQ" && index === first?.index);
	if (args.length < rules.length || !alike) return false;
	return coversAll(args.map(({ value, valueTwo = 0 }) => ({ mask: BigInt(value), value: BigInt(valueTwo) })));
}

function actionOf(action: Action, errno: number | undefined): Action {
	switch (action) {
		case "SCMP_ACT_ERRNO":
			return errno === ENOSYS ? "SCMP_ACT_TRACE" : "SCMP_ACT_ERRNO";
		case "SCMP_ACT_KILL_PROCESS":
		case "SCMP_ACT_KILL_THREAD":
			return "SCMP_ACT_KILL";
		case "SCMP_ACT_NOTIFY":
			return "SCMP_ACT_ERRNO";
		case "SCMP_ACT_LOG":
			return "SCMP_ACT_ALLOW";
		case "SCMP_ACT_KILL":
		case "SCMP_ACT_TRAP":
		case "SCMP_ACT_TRACE":
		case "SCMP_ACT_ALLOW":
			return action;
		default:
			return action satisfies never;
	}
}
