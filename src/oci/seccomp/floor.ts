/** Any profile, made to refuse the calls that no jail may make. */

import type { Architecture } from "../../host/types.ts";
import type { LinuxSeccomp, SeccompAction, SeccompRule } from "../types.ts";
import { CLONE3, FLOOR_PARTLY, FLOOR_REFUSED, type PartlyRefused } from "./floor-calls.ts";
import { grouped, narrow, ruleKey, widened } from "./narrow.ts";
import { byName, defaultVerdict, type Rule, rulesOf, sameVerdict, type Verdict } from "./rules.ts";

export { NAMESPACE_FLAGS } from "./floor-calls.ts";

export interface Floored {
	readonly profile: LinuxSeccomp;
	/** Calls that a rule of the profile lets through and the floor refuses altogether, in the order of the rules. */
	readonly overridden: readonly string[];
	/** Calls that a rule of the profile lets through and the floor lets through for fewer arguments. */
	readonly narrowed: readonly string[];
}

const EPERM: Verdict = { action: "SCMP_ACT_ERRNO", errno: 1 };
const ENOSYS: Verdict = { action: "SCMP_ACT_ERRNO", errno: 38 };
const ARCHITECTURE: Readonly<Record<Architecture, string>> = {
	x86_64: "SCMP_ARCH_X86_64",
	aarch64: "SCMP_ARCH_AARCH64",
};
/** After these the call is not made, whatever anybody outside answers. */
const REFUSING: ReadonlySet<SeccompAction> = new Set<SeccompAction>([
	"SCMP_ACT_KILL",
	"SCMP_ACT_KILL_PROCESS",
	"SCMP_ACT_KILL_THREAD",
	"SCMP_ACT_TRAP",
	"SCMP_ACT_ERRNO",
]);

/**
 * The profile with the floor: the same answers, but for the floor's calls, which fail with EPERM (clone3: ENOSYS) wherever
 * the profile would let them through; where it refuses them itself, its own answer stays. Only native system calls are let
 * in. The result is a plain OCI object with one meaning for {@link compileSeccomp}, runc and crun, and its own floor.
 * @throws VmjailError POLICY_INVALID for a faulty profile
 */
export function withFloor(profile: LinuxSeccomp, arch: Architecture): LinuxSeccomp {
	return applyFloor(profile, arch).profile;
}

/** {@link withFloor}, and what it changed: so that a user is told which of his rules have no effect. */
export function applyFloor(profile: LinuxSeccomp, arch: Architecture): Floored {
	const byDefault = defaultVerdict(profile);
	const rules = byName(rulesOf(profile));
	const open = !refuses(byDefault);
	const changes = [
		...[...FLOOR_REFUSED].map((name) => refuseAlways(name, EPERM, rules, open)),
		...[...FLOOR_PARTLY].map(([name, partly]) => refusePartly(name, partly, rules, open)),
		// Even where the profile does not know clone3: ENOSYS is what makes C libraries start threads by clone.
		refuseAlways(CLONE3, ENOSYS, rules, true),
	];
	const made = changes.flatMap(({ rules }) => rules).filter(({ verdict }) => !sameVerdict(verdict, byDefault));
	const named = (change: Change["change"]) => changes.filter((it) => it.change === change).map(({ name }) => name);
	return {
		profile: { ...profile, architectures: nativeOnly(arch), syscalls: [...otherRules(profile), ...grouped(made)] },
		overridden: named("overridden"),
		narrowed: named("narrowed"),
	};
}

/** The value of `architectures` by which only native system calls are let in. */
export function nativeOnly(arch: Architecture): readonly string[] {
	return [ARCHITECTURE[arch]];
}

type RulesByName = ReadonlyMap<string, readonly Rule[]>;

/** The rules that take the place of a profile's rules about one call. */
interface Change {
	readonly name: string;
	readonly rules: readonly Rule[];
	readonly change: "none" | "narrowed" | "overridden";
}

/** @param open does the profile let the call through where no rule of it applies? */
function refuseAlways(name: string, verdict: Verdict, all: RulesByName, open: boolean): Change {
	const rules = effective(name, all);
	if (rules.some((rule) => !refuses(rule.verdict)))
		return { name, rules: [always(name, verdict)], change: "overridden" };
	if (!open || rules.some(isUnconditional)) return { name, rules, change: "none" };
	return { name, rules: [always(name, verdict)], change: "none" };
}

function refusePartly(name: string, partly: PartlyRefused, all: RulesByName, open: boolean): Change {
	const rules = effective(name, all);
	if (rules.some((rule) => isUnconditional(rule) && refuses(rule.verdict))) return { name, rules, change: "none" };
	const [refusing, letting] = [true, false].map((wanted) => rules.filter((rule) => refuses(rule.verdict) === wanted));
	const narrowed = (letting ?? []).flatMap((rule) => narrow(rule, partly));
	const change = sameRules(narrowed, letting ?? []) ? "none" : "narrowed";
	if (!open && change === "none") return { name, rules, change };
	const refused = partly.refused.map((arg) => ({ name, verdict: EPERM, conditions: [widened(arg)] }));
	return { name, rules: [...narrowed, ...withRefusals(refusing ?? [], refused, partly)], change };
}

/**
 * The profile's own refusals and the floor's, so that none lies inside another: libseccomp rejects the pair as a
 * contradiction (EEXIST). Where both speak about the same arguments, the profile's verdict stays.
 */
function withRefusals(own: readonly Rule[], floor: readonly Rule[], partly: PartlyRefused): readonly Rule[] {
	const outside = own.filter((rule) => narrow(rule, partly).length > 0);
	return [...outside, ...floor.map((rule) => own.find((other) => ruleKey(other) === ruleKey(rule)) ?? rule)];
}

/** The rules about a call that can apply: the first unconditional one where there is one, as in libseccomp. */
function effective(name: string, all: RulesByName): readonly Rule[] {
	const rules = all.get(name) ?? [];
	const unconditional = rules.find(isUnconditional);
	return unconditional === undefined ? rules : [unconditional];
}

function otherRules(profile: LinuxSeccomp): readonly SeccompRule[] {
	const isOther = (name: string) => !FLOOR_REFUSED.has(name) && !FLOOR_PARTLY.has(name) && name !== CLONE3;
	return (profile.syscalls ?? [])
		.map((rule) => ({ ...rule, names: rule.names.filter(isOther) }))
		.filter(({ names }) => names.length > 0);
}

function sameRules(a: readonly Rule[], b: readonly Rule[]): boolean {
	return a.map(ruleKey).toSorted().join("; ") === [...new Set(b.map(ruleKey))].toSorted().join("; ");
}

function always(name: string, verdict: Verdict): Rule {
	return { name, verdict, conditions: [] };
}

function isUnconditional({ conditions }: Rule): boolean {
	return conditions.length === 0;
}

function refuses({ action }: Verdict): boolean {
	return REFUSING.has(action);
}
