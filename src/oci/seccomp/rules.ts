/** An OCI seccomp object, checked and brought into one shape: one call per rule, conditions in 64 bits. */

import { VmjailError } from "../../errors.ts";
import type { LinuxSeccomp, SeccompAction, SeccompArg, SeccompOperator, SeccompRule } from "../types.ts";

/** A condition on one argument, in 64 bits. For SCMP_CMP_MASKED_EQ `value` is the mask and `valueTwo` the datum. */
export interface Condition {
	readonly index: number;
	readonly op: SeccompOperator;
	readonly value: bigint;
	readonly valueTwo: bigint;
}

export interface Verdict {
	readonly action: SeccompAction;
	/** The error number of SCMP_ACT_ERRNO, the message of SCMP_ACT_TRACE; 0 for the others. */
	readonly errno: number;
}

/** Applies where every condition holds. */
export interface Rule {
	readonly name: string;
	readonly verdict: Verdict;
	readonly conditions: readonly Condition[];
}

const EPERM = 1;
const MAX_ERRNO = 4095; // include/linux/err.h
const ACTIONS: Readonly<Record<SeccompAction, { readonly errno: boolean }>> = {
	SCMP_ACT_KILL: { errno: false },
	SCMP_ACT_KILL_THREAD: { errno: false },
	SCMP_ACT_KILL_PROCESS: { errno: false },
	SCMP_ACT_TRAP: { errno: false },
	SCMP_ACT_ERRNO: { errno: true },
	SCMP_ACT_TRACE: { errno: true },
	SCMP_ACT_ALLOW: { errno: false },
	SCMP_ACT_LOG: { errno: false },
	SCMP_ACT_NOTIFY: { errno: false },
};
const OPERATORS: ReadonlySet<string> = new Set<SeccompOperator>([
	"SCMP_CMP_NE",
	"SCMP_CMP_LT",
	"SCMP_CMP_LE",
	"SCMP_CMP_EQ",
	"SCMP_CMP_GE",
	"SCMP_CMP_GT",
	"SCMP_CMP_MASKED_EQ",
]);

/**
 * The verdict on calls that no rule names.
 * @throws VmjailError POLICY_INVALID
 */
export function defaultVerdict(profile: LinuxSeccomp): Verdict {
	if (profile.defaultAction === "SCMP_ACT_NOTIFY") {
		throw invalid("defaultAction", "SCMP_ACT_NOTIFY cannot be the default: the descriptor could not be handed over");
	}
	return verdict(profile.defaultAction, profile.defaultErrnoRet, "defaultAction", "defaultErrnoRet");
}

/**
 * The rules of a profile as runc and crun hand them to libseccomp: one per name; rules whose verdict is the default are
 * left out; a rule that has two conditions on one argument becomes one rule per condition (any of them suffices).
 * @throws VmjailError POLICY_INVALID with the path of the fault inside the seccomp object
 */
export function rulesOf(profile: LinuxSeccomp): readonly Rule[] {
	const byDefault = defaultVerdict(profile);
	return (profile.syscalls ?? [])
		.flatMap((rule, at) => split(rule, `syscalls[${at}]`))
		.filter((rule) => !sameVerdict(rule.verdict, byDefault));
}

/** The rules about each call, in their order. */
export function byName(rules: readonly Rule[]): ReadonlyMap<string, readonly Rule[]> {
	const groups = new Map<string, Rule[]>();
	for (const rule of rules) {
		const group = groups.get(rule.name);
		if (group === undefined) groups.set(rule.name, [rule]);
		else group.push(rule);
	}
	return groups;
}

/** Do two verdicts make the kernel do the same? SCMP_ACT_KILL is an older name of SCMP_ACT_KILL_THREAD. */
export function sameVerdict(a: Verdict, b: Verdict): boolean {
	const canonical = (action: SeccompAction) => (action === "SCMP_ACT_KILL" ? "SCMP_ACT_KILL_THREAD" : action);
	return canonical(a.action) === canonical(b.action) && a.errno === b.errno;
}

function split(rule: SeccompRule, path: string): readonly Rule[] {
	if (rule.names.length === 0) throw invalid(`${path}.names`, "names at least one system call");
	const given = verdict(rule.action, rule.errnoRet, `${path}.action`, `${path}.errnoRet`);
	const conditions = (rule.args ?? []).map((arg, at) => condition(arg, `${path}.args[${at}]`));
	const repeated = new Set(conditions.map(({ index }) => index)).size < conditions.length;
	const alternatives = repeated ? conditions.map((one) => [one]) : [conditions];
	return rule.names.flatMap((name, at) => {
		if (name === "") throw invalid(`${path}.names[${at}]`, "is empty");
		if (name === "write" && given.action === "SCMP_ACT_NOTIFY") {
			throw invalid(`${path}.action`, "write cannot be notified: whoever hands over the descriptor needs it");
		}
		return alternatives.map((conditions) => ({ name, verdict: given, conditions }));
	});
}

function verdict(action: SeccompAction, errno: number | undefined, actionPath: string, errnoPath: string): Verdict {
	const known = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
	if (known === undefined) throw invalid(actionPath, `"${action}" is none of ${Object.keys(ACTIONS).join(", ")}`);
	if (errno === undefined) return { action, errno: known.errno ? EPERM : 0 };
	if (!known.errno) throw invalid(errnoPath, `${action} takes no errno (SCMP_ACT_ERRNO and SCMP_ACT_TRACE do)`);
	if (!Number.isInteger(errno) || errno < 0 || errno > MAX_ERRNO) {
		throw invalid(errnoPath, `${errno} is not an error number: a whole number from 0 to ${MAX_ERRNO}`);
	}
	return { action, errno };
}

function condition(arg: SeccompArg, path: string): Condition {
	const { index, op } = arg;
	if (!Number.isInteger(index) || index < 0 || index > 5) {
		throw invalid(`${path}.index`, `${index} is not an argument: a system call has the arguments 0 to 5`);
	}
	if (!OPERATORS.has(op)) throw invalid(`${path}.op`, `"${op}" is none of ${[...OPERATORS].join(", ")}`);
	const value = word64(arg.value, `${path}.value`);
	const valueTwo = word64(arg.valueTwo ?? 0, `${path}.valueTwo`);
	// As libseccomp: bits of the datum outside the mask do not count. The other operators read `value` only.
	return { index, op, value, valueTwo: op === "SCMP_CMP_MASKED_EQ" ? valueTwo & value : 0n };
}

function word64(value: number | bigint, path: string): bigint {
	if (typeof value === "number" && !Number.isSafeInteger(value)) {
		throw invalid(path, `${value} is not a whole number that JSON carries exactly (below 2^53)`);
	}
	const wide = BigInt(value);
	if (wide < 0n || wide >= 1n << 64n) throw invalid(path, `${value} does not fit in 64 bits without a sign`);
	return wide;
}

function invalid(path: string, message: string): VmjailError {
	return new VmjailError("POLICY_INVALID", `seccomp: ${path}: ${message}`, {
		remedy: "Correct the seccomp object as the OCI runtime specification describes it (linux.seccomp).",
	});
}
