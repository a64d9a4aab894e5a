/** Decision graphs: what a filter asks, in which order, before it is instructions. */

import { VmjailError } from "../../errors.ts";
import { type Comparison, MAX_INSTRUCTIONS } from "./bpf.ts";

export interface Answer {
	readonly kind: "answer";
	/** What the filter returns to the kernel. */
	readonly value: number;
}

/** Takes the word at `offset` of seccomp_data, masks it where there is a mask, compares it with `k`. */
export interface Question {
	readonly kind: "question";
	readonly offset: number;
	readonly mask: number | undefined;
	readonly comparison: Comparison;
	readonly k: number;
	readonly yes: Decision;
	readonly no: Decision;
}

export type Decision = Answer | Question;

/** Makes the decisions of one filter; equal decisions are made once and shared. */
export interface DecisionMaker {
	answer(value: number): Answer;
	/** A question, or the decision itself where both ways lead to the same. */
	ask(question: Omit<Question, "kind">): Decision;
}

/** @throws VmjailError POLICY_INVALID from `ask`, as soon as the filter cannot fit into the kernel's limit. */
export function decisionMaker(): DecisionMaker {
	const made = new Map<string, Decision>();
	const ids = new Map<Decision, number>();
	const id = (decision: Decision): number => ids.get(decision) ?? -1;
	function share<T extends Decision>(key: string, make: () => T): T {
		const known = made.get(key);
		if (known !== undefined) return known as T; // the key holds the kind
		if (made.size === MAX_INSTRUCTIONS) throw tooLong();
		const decision = make();
		made.set(key, decision);
		ids.set(decision, made.size);
		return decision;
	}
	return {
		answer: (value) => share(`answer ${value}`, () => ({ kind: "answer", value })),
		ask(question) {
			const { offset, mask, comparison, k, yes, no } = question;
			if (yes === no) return yes;
			const key = [offset, mask, comparison, k, id(yes), id(no)].join(" ");
			return share(key, () => ({ kind: "question", ...question }));
		},
	};
}

/** The kernel takes 4096 instructions at most. */
export function tooLong(): VmjailError {
	return new VmjailError("POLICY_INVALID", `seccomp: the filter is longer than ${MAX_INSTRUCTIONS} instructions`, {
		remedy: "Use fewer rules with conditions on arguments.",
	});
}
