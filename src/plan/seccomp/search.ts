/** The number of a system call → what is decided about it, by binary search. */

import { OFFSET } from "./bpf.ts";
import type { Decision, DecisionMaker } from "./decision.ts";

/** Numbers from `from` up to the next range's `from`. */
interface Range {
	readonly from: number;
	readonly decision: Decision;
}

/**
 * A balanced tree of questions about the number: its depth is the logarithm of the count of ranges, where neighbouring
 * numbers with one decision are one range.
 * @param calls what is decided about each number; all others get `otherwise`.
 */
export function searchTree(calls: ReadonlyMap<number, Decision>, otherwise: Decision, make: DecisionMaker): Decision {
	return subtree(rangesOf(calls, otherwise), make);
}

function rangesOf(calls: ReadonlyMap<number, Decision>, otherwise: Decision): readonly Range[] {
	const ranges: Range[] = [];
	function add(from: number, decision: Decision): void {
		if (ranges.at(-1)?.decision !== decision) ranges.push({ from, decision });
	}
	let next = 0;
	for (const [number, decision] of [...calls].toSorted(([a], [b]) => a - b)) {
		if (number > next) add(next, otherwise);
		add(number, decision);
		next = number + 1;
	}
	add(next, otherwise);
	return ranges;
}

function subtree(ranges: readonly Range[], make: DecisionMaker): Decision {
	const middle = ranges.length >> 1;
	const [first, pivot] = [ranges[0], ranges[middle]];
	if (first === undefined || pivot === undefined) throw new Error("a search tree has at least one range");
	if (ranges.length === 1) return first.decision;
	return make.ask({
		offset: OFFSET.number,
		mask: undefined,
		comparison: "greaterOrEqual",
		k: pivot.from,
		yes: subtree(ranges.slice(middle), make),
		no: subtree(ranges.slice(0, middle), make),
	});
}
