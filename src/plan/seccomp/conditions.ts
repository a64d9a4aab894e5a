/** Rules about one system call → decision. */

import { exclude } from "../../oci/seccomp/overlap.ts";
import { type Condition, type Rule, sameVerdict } from "../../oci/seccomp/rules.ts";
import { OFFSET, returnValue } from "./bpf.ts";
import type { Decision, DecisionMaker } from "./decision.ts";

/**
 * What is decided about one system call.
 *
 * An unconditional rule wins over every rule with conditions, and the first of several unconditional ones counts: so
 * libseccomp has it. Where several rules with conditions apply and differ, libseccomp's choice hangs on the shape of its
 * own tree; here the strictest applies, by the kernel's order among filters (seccomp(2)), whatever the order of the rules.
 */
export function decideCall(rules: readonly Rule[], otherwise: Decision, make: DecisionMaker): Decision {
	const always = rules.find((rule) => rule.conditions.length === 0);
	if (always !== undefined) return make.answer(returnValue(always.verdict));
	// Rules that never meet keep their order, so that an author can put the frequent ones first.
	const ordered = rulesMeet(rules) ? rules.toSorted(byStrictness) : rules;
	return ordered.reduceRight((decision, rule) => decideRule(rule, decision, make), otherwise);
}

function byStrictness(a: Rule, b: Rule): number {
	// The kernel compares the action as a number with a sign: KILL_PROCESS is negative, ALLOW the greatest.
	const rank = (rule: Rule) => (returnValue(rule.verdict) & 0xffff0000) | 0;
	return rank(a) - rank(b);
}

/** May two rules of different verdicts hold for one call? (Also true where that is not plain to see.) */
function rulesMeet(rules: readonly Rule[]): boolean {
	return rules.some((a, at) =>
		rules.slice(at + 1).some((b) => !sameVerdict(a.verdict, b.verdict) && !exclude(a.conditions, b.conditions)),
	);
}

function decideRule(rule: Rule, otherwise: Decision, make: DecisionMaker): Decision {
	let decision: Decision = make.answer(returnValue(rule.verdict));
	for (const condition of rule.conditions.toReversed()) {
		decision = decideCondition(condition, decision, otherwise, make);
	}
	return decision;
}

/** BPF has words of 32 bits: a comparison of 64 bits asks about the high half, then about the low half. */
function decideCondition(condition: Condition, yes: Decision, no: Decision, make: DecisionMaker): Decision {
	const { index, op, value, valueTwo } = condition;
	const low = OFFSET.arguments + 8 * index;
	const high = low + 4;
	const k = halves(value);

	function equal(yes: Decision, no: Decision): Decision {
		const ask = (offset: number, k: number, yes: Decision) =>
			make.ask({ offset, mask: undefined, comparison: "equal", k, yes, no });
		return ask(high, k.high, ask(low, k.low, yes));
	}
	function greater(comparison: "greater" | "greaterOrEqual", yes: Decision, no: Decision): Decision {
		const ask = (
			offset: number,
			comparison: "greater" | "greaterOrEqual" | "equal",
			k: number,
			yes: Decision,
			no: Decision,
		) => make.ask({ offset, mask: undefined, comparison, k, yes, no });
		return ask(high, "greater", k.high, yes, ask(high, "equal", k.high, ask(low, comparison, k.low, yes, no), no));
	}
	function maskedEqual(): Decision {
		const datum = halves(valueTwo);
		return masked(high, k.high, datum.high, masked(low, k.low, datum.low, yes, no, make), no, make);
	}

	switch (op) {
		case "SCMP_CMP_EQ":
			return equal(yes, no);
		case "SCMP_CMP_NE":
			return equal(no, yes);
		case "SCMP_CMP_GT":
			return greater("greater", yes, no);
		case "SCMP_CMP_GE":
			return greater("greaterOrEqual", yes, no);
		case "SCMP_CMP_LE":
			return greater("greater", no, yes);
		case "SCMP_CMP_LT":
			return greater("greaterOrEqual", no, yes);
		case "SCMP_CMP_MASKED_EQ":
			return maskedEqual();
		default:
			return op satisfies never;
	}
}

/** word & mask == datum, preferably by a test that leaves the word in the accumulator for the next question. */
export function masked(
	offset: number,
	mask: number,
	datum: number,
	yes: Decision,
	no: Decision,
	make: DecisionMaker,
): Decision {
	if (mask === 0) return yes;
	if (mask === 0xffffffff) return make.ask({ offset, mask: undefined, comparison: "equal", k: datum, yes, no });
	if (datum === 0) return make.ask({ offset, mask: undefined, comparison: "anyBit", k: mask, yes: no, no: yes });
	const singleBit = (mask & (mask - 1)) === 0;
	if (singleBit) return make.ask({ offset, mask: undefined, comparison: "anyBit", k: mask, yes, no });
	return make.ask({ offset, mask, comparison: "equal", k: datum, yes, no });
}

function halves(value: bigint): { readonly low: number; readonly high: number } {
	return { low: Number(value & 0xffffffffn), high: Number(value >> 32n) };
}
