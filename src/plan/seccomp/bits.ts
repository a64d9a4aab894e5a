/**
 * Decision diagrams over single bits, to find a shorter graph for the same decisions. "All but two commands" has no form in
 * an OCI object but one rule for each bit; the kernel checks, translates and tries out every instruction of a filter at each
 * exec of a jail.
 */

import { masked } from "./conditions.ts";
import type { Answer, Decision, DecisionMaker, Question } from "./decision.ts";

/** One bit of one word; in a diagram the places only grow from a node to those below. */
interface Node {
	/** 32 × the word's offset + 31 − the bit: of a word, the highest bit comes first. */
	readonly place: number;
	readonly set: Diagram;
	readonly clear: Diagram;
}

/** Equal diagrams are the same object: what a decision is depends on no bit that has no node. */
type Diagram = Node | Answer | boolean;

/** Beyond that the graph is left as it is. */
const MOST_NODES = 4096;

class TooLarge extends Error {}

const isNode = (diagram: Diagram): diagram is Node => typeof diagram === "object" && "place" in diagram;
const placeOf = (offset: number, bit: number): number => offset * 32 + 31 - bit;
const bitOf = ({ place }: Node): number => (1 << (31 - (place % 32))) >>> 0;
const offsetOf = ({ place }: Node): number => Math.floor(place / 32);

class Diagrams {
	readonly #nodes = new Map<string, Node>();
	readonly #ids = new Map<Diagram, number>();
	readonly #chosen = new Map<string, Diagram>();

	#id(diagram: Diagram): number {
		const known = this.#ids.get(diagram);
		if (known !== undefined) return known;
		this.#ids.set(diagram, this.#ids.size);
		return this.#ids.size - 1;
	}

	node(place: number, set: Diagram, clear: Diagram): Diagram {
		if (set === clear) return set;
		const key = `${place} ${this.#id(set)} ${this.#id(clear)}`;
		const known = this.#nodes.get(key);
		if (known !== undefined) return known;
		if (this.#nodes.size === MOST_NODES) throw new TooLarge();
		const node: Node = { place, set, clear };
		this.#nodes.set(key, node);
		return node;
	}

	/** word & mask === value */
	equal(offset: number, mask: number, value: number): Diagram {
		if ((value & ~mask) !== 0) return false;
		let diagram: Diagram = true;
		for (let bit = 0; bit < 32; bit++) {
			if (((mask >>> bit) & 1) === 0) continue;
			const isSet = ((value >>> bit) & 1) === 1;
			diagram = this.node(placeOf(offset, bit), isSet ? diagram : false, isSet ? false : diagram);
		}
		return diagram;
	}

	/** `yes` where the test holds, else `no`. */
	choose(test: Diagram, yes: Diagram, no: Diagram): Diagram {
		if (test === true || yes === no) return yes;
		if (test === false) return no;
		const key = `${this.#id(test)} ${this.#id(yes)} ${this.#id(no)}`;
		const known = this.#chosen.get(key);
		if (known !== undefined) return known;
		const place = Math.min(...[test, yes, no].map((one) => (isNode(one) ? one.place : Number.POSITIVE_INFINITY)));
		const half = (of: Diagram, way: "set" | "clear") => (isNode(of) && of.place === place ? of[way] : of);
		const [set, clear] = (["set", "clear"] as const).map((way) =>
			this.choose(half(test, way), half(yes, way), half(no, way)),
		);
		const chosen = this.node(place, set as Diagram, clear as Diagram);
		this.#chosen.set(key, chosen);
		return chosen;
	}
}

/** Undefined where it compares by order: such tests are long as bits. */
function testOf({ comparison, offset, mask, k }: Question, diagrams: Diagrams): Diagram | undefined {
	if (comparison === "equal") return diagrams.equal(offset, mask ?? 0xffffffff, k);
	if (comparison !== "anyBit" || mask !== undefined) return undefined;
	return diagrams.choose(diagrams.equal(offset, k, 0), false, true);
}

function diagramOf(root: Decision, diagrams: Diagrams): Diagram | undefined {
	const done = new Map<Decision, Diagram | undefined>();
	function visit(decision: Decision): Diagram | undefined {
		if (decision.kind === "answer") return decision;
		if (done.has(decision)) return done.get(decision);
		const [test, yes, no] = [testOf(decision, diagrams), visit(decision.yes), visit(decision.no)];
		const diagram =
			test === undefined || yes === undefined || no === undefined ? undefined : diagrams.choose(test, yes, no);
		done.set(decision, diagram);
		return diagram;
	}
	return visit(root);
}

/** Bits of one word of which each that is not as in `value` leads to the same place, and all together to `next`. */
interface Run {
	readonly mask: number;
	readonly value: number;
	readonly next: Diagram;
	readonly length: number;
}

function runOf(first: Node, otherwise: Diagram): Run {
	let [mask, value, length] = [0, 0, 0];
	let at: Diagram = first;
	while (isNode(at) && offsetOf(at) === offsetOf(first) && (at.set === otherwise || at.clear === otherwise)) {
		const bit = bitOf(at);
		mask = (mask | bit) >>> 0;
		if (at.clear === otherwise) value = (value | bit) >>> 0;
		length++;
		at = at.clear === otherwise ? at.set : at.clear;
	}
	return { mask, value, next: at, length };
}

function decisionOf(root: Diagram, make: DecisionMaker): Decision {
	const done = new Map<Diagram, Decision>();
	function visit(diagram: Diagram): Decision {
		if (typeof diagram === "boolean") throw new Error("a decision ends in answers");
		if (!isNode(diagram)) return diagram;
		const known = done.get(diagram);
		if (known !== undefined) return known;
		const [bySet, byClear] = [runOf(diagram, diagram.set), runOf(diagram, diagram.clear)];
		const [run, otherwise] = bySet.length > byClear.length ? [bySet, diagram.set] : [byClear, diagram.clear];
		const decision = masked(offsetOf(diagram), run.mask, run.value, visit(run.next), visit(otherwise), make);
		done.set(diagram, decision);
		return decision;
	}
	return visit(root);
}

/**
 * The same decisions by fewer questions, perhaps; undefined where they compare by order, or where their diagram is large.
 */
export function byBits(decision: Decision, make: DecisionMaker): Decision | undefined {
	const diagrams = new Diagrams();
	try {
		const diagram = diagramOf(decision, diagrams);
		return diagram === undefined ? undefined : decisionOf(diagram, make);
	} catch (error) {
		if (error instanceof TooLarge) return undefined;
		throw error;
	}
}
