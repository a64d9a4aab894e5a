/** What remains of a rule where only some arguments are permitted. */

import { VmjailError } from "../../errors.ts";
import type { SeccompArg, SeccompRule } from "../types.ts";
import type { PartlyRefused } from "./floor-calls.ts";
import { exclude } from "./overlap.ts";
import type { Condition, Rule } from "./rules.ts";

/**
 * The rules that hold where `rule` holds and the call is permitted: the rule itself where it meets nothing that is
 * refused, none where it meets nothing that is permitted.
 * @throws VmjailError POLICY_INVALID where the rule compares by NE, LT, LE, GT or GE
 */
export function narrow(rule: Rule, { permitted, refused }: PartlyRefused): readonly Rule[] {
	// OCI has no two conditions on one argument, and libseccomp 2.5 answers wrongly where such operators meet others.
	const mixed = rule.conditions.find(({ op }) => op !== "SCMP_CMP_EQ" && op !== "SCMP_CMP_MASKED_EQ");
	if (mixed !== undefined) {
		throw new VmjailError("POLICY_INVALID", `seccomp: a rule about ${rule.name} compares by ${mixed.op}`, {
			remedy: `vmjail refuses some arguments of ${rule.name} in every jail: compare by SCMP_CMP_EQ or SCMP_CMP_MASKED_EQ there.`,
		});
	}
	if (refused.every((arg) => exclude(rule.conditions, [widened(arg)]))) return [rule];
	const narrowed = permitted.flatMap((arg) => both(rule.conditions, widened(arg)) ?? []);
	const rules = narrowed.map((conditions) => ({ ...rule, conditions }));
	return [...new Map(rules.map((one) => [ruleKey(one), one])).values()];
}

/** Equal for rules about one call that hold for the same arguments by the same conditions. */
export function ruleKey({ conditions }: Rule): string {
	return conditions
		.map(({ index, op, value, valueTwo }) => `${index} ${op} ${value} ${valueTwo}`)
		.toSorted()
		.join(", ");
}

/** The conditions and `also`, as one list (in a list, since `flatMap` opens one); undefined where they exclude each other. */
function both(conditions: readonly Condition[], also: Condition): readonly (readonly Condition[])[] | undefined {
	const own = conditions.find(({ index }) => index === also.index);
	if (own === undefined) return [[...conditions, also]];
	if (own.op === "SCMP_CMP_EQ") return (own.value & also.value) === also.valueTwo ? [conditions] : undefined;
	const shared = own.value & also.value;
	if ((own.valueTwo & shared) !== (also.valueTwo & shared)) return undefined;
	const merged = { ...own, value: own.value | also.value, valueTwo: own.valueTwo | also.valueTwo };
	return [conditions.map((condition) => (condition === own ? merged : condition))];
}

/** The shape in which rules are worked on. */
export function widened({ index, op, value, valueTwo }: SeccompArg): Condition {
	return { index, op, value: BigInt(value), valueTwo: BigInt(valueTwo ?? 0) };
}

/** Rules as OCI writes them: those with one verdict and the same conditions together. */
export function grouped(rules: readonly Rule[]): readonly SeccompRule[] {
	const groups = new Map<string, { readonly rule: Rule; readonly names: string[] }>();
	for (const rule of rules) {
		const key = `${rule.verdict.action} ${rule.verdict.errno} ${ruleKey(rule)}`;
		const group = groups.get(key);
		if (group === undefined) groups.set(key, { rule, names: [rule.name] });
		else group.names.push(rule.name);
	}
	return [...groups.values()].map(({ rule, names }) => ociRule(rule, names));
}

function ociRule({ verdict, conditions }: Rule, names: readonly string[]): SeccompRule {
	const { action, errno } = verdict;
	const takesErrno = action === "SCMP_ACT_ERRNO" || action === "SCMP_ACT_TRACE";
	const args = conditions.map(({ index, op, value, valueTwo }) => ({
		index,
		op,
		value: narrowest(value),
		...(op === "SCMP_CMP_MASKED_EQ" && { valueTwo: narrowest(valueTwo) }),
	}));
	return { names, action, ...(takesErrno && { errnoRet: errno }), ...(args.length > 0 && { args }) };
}

function narrowest(value: bigint): number | bigint {
	return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}
