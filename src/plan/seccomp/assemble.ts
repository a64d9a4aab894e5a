/** Decision graph → instructions. */

import { AND, type Instruction, JUMP, JUMP_IF, LOAD, MAX_INSTRUCTIONS, plain, RETURN } from "./bpf.ts";
import { type Answer, type Decision, type Question, tooLong } from "./decision.ts";

/** A conditional jump skips 255 instructions at most. Two less: the other way's detour may come between. */
const NEAR = 253;

/**
 * The graph as a program that the kernel accepts. Every decision is written once. Written from the end to the start,
 * so that whatever a question leads to has its place already and all jumps go forwards.
 * @throws VmjailError POLICY_INVALID where it takes more than 4096 instructions
 */
export function assemble(root: Decision): readonly Instruction[] {
	const order = inPostorder(root);
	const mustLoad = loadsOf(order);
	/** Places count from the program's end: the last instruction is at 0. */
	const places = new Map<Decision, number>();
	const backwards: Instruction[] = [];

	function put(instruction: Instruction): number {
		return backwards.push(instruction) - 1;
	}
	function distance(place: number): number {
		return backwards.length - 1 - place;
	}
	/** The place of a decision, or of a detour to it, near enough for the conditional jump that is put soon. */
	function near(decision: Decision): number {
		const place = places.get(decision);
		if (place !== undefined && distance(place) <= NEAR) return place;
		// Another copy of a return costs no more than a jump to it, and is one instruction less on the way.
		if (decision.kind === "answer" || place === undefined) return remember(decision, put(returning(decision)));
		return put(plain(JUMP, distance(place)));
	}
	function remember(decision: Decision, place: number): number {
		places.set(decision, place);
		return place;
	}
	function write(question: Question): void {
		const [yes, no] = [near(question.yes), near(question.no)];
		put({ code: JUMP_IF[question.comparison], jt: distance(yes), jf: distance(no), k: question.k });
		if (question.mask !== undefined) put(plain(AND, question.mask));
		if (mustLoad.has(question)) put(plain(LOAD, question.offset));
		remember(question, backwards.length - 1);
	}

	for (const decision of order) {
		if (decision.kind === "question") write(decision);
	}
	if (root.kind === "answer") put(returning(root));
	if (backwards.length > MAX_INSTRUCTIONS) throw tooLong();
	return backwards.toReversed();
}

function returning(decision: Decision): Instruction {
	if (decision.kind === "question") throw new Error("a question is written after what it leads to");
	return plain(RETURN, (decision satisfies Answer).value);
}

/** Every decision once, each after the decisions that it leads to. As deep as a filter has questions: 4096 at most. */
function inPostorder(root: Decision): readonly Decision[] {
	const done = new Set<Decision>();
	function visit(decision: Decision): void {
		if (done.has(decision)) return;
		if (decision.kind === "question") {
			// In this order `no` comes straight after its question: low numbers first, conditions in their order.
			visit(decision.yes);
			visit(decision.no);
		}
		done.add(decision);
	}
	visit(root);
	return [...done];
}

/** Questions that must load their word, because on some way to them the accumulator holds something else. */
function loadsOf(order: readonly Decision[]): ReadonlySet<Question> {
	const loads = new Set<Question>();
	const root = order.at(-1);
	if (root?.kind === "question") loads.add(root);
	for (const from of order) {
		if (from.kind === "answer") continue;
		for (const to of [from.yes, from.no]) {
			const inPlace = to.kind === "question" && to.offset === from.offset && from.mask === undefined;
			if (to.kind === "question" && !inPlace) loads.add(to);
		}
	}
	return loads;
}
