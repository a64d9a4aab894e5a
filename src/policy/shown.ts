/** How values and suggestions look in messages. */

const LONGEST_SHOWN = 80;

/**
 * A value as JSON on one line, cut after 80 characters. Control and direction-changing characters are escaped: the
 * message goes to a terminal, and the value may come from whoever the policy is meant to hold.
 */
export function show(value: unknown): string {
	const json = typeof value === "bigint" ? String(value) : (JSON.stringify(value, bigintAsText) ?? "nothing");
	const safe = json.replace(/[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, escaped);
	return safe.length > LONGEST_SHOWN ? `${safe.slice(0, LONGEST_SHOWN)}…` : safe;
}

function bigintAsText(_key: string, value: unknown): unknown {
	return typeof value === "bigint" ? String(value) : value;
}

function escaped(character: string): string {
	return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** `"a", "b" or "c"`. */
export function alternatives(names: readonly string[]): string {
	const quoted = names.map((name) => JSON.stringify(name));
	const last = quoted.pop() ?? "nothing";
	return quoted.length === 0 ? last : `${quoted.join(", ")} or ${last}`;
}

/** ` (did you mean "host"?)`, or nothing where no candidate is near. */
export function didYouMean(given: unknown, candidates: readonly string[]): string {
	const near = typeof given === "string" ? nearest(given, candidates) : undefined;
	return near === undefined ? "" : ` (did you mean ${JSON.stringify(near)}?)`;
}

/** The candidate that most resembles `given`; undefined where more than a third of the letters would have to change. */
export function nearest(given: string, candidates: readonly string[]): string | undefined {
	if (given.length > 64) return undefined;
	const wanted = plainLetters(given);
	let best: string | undefined;
	let bestDistance = Number.POSITIVE_INFINITY;
	for (const candidate of candidates) {
		const distance = editDistance(wanted, plainLetters(candidate));
		const allowed = Math.max(1, Math.floor(Math.max(wanted.length, candidate.length) / 3));
		if (distance <= allowed && distance < bestDistance) {
			best = candidate;
			bestDistance = distance;
		}
	}
	return best;
}

/** Case, dashes and underscores are what people get wrong most: "writable_paths", "MaskedPaths". */
function plainLetters(name: string): string {
	return name.toLowerCase().replace(/[-_]/g, "");
}

/** Insertions, deletions, replacements and swaps of neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
	let beforePrevious: number[] = [];
	let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
	for (let i = 1; i <= a.length; i++) {
		const row = [i];
		for (let j = 1; j <= b.length; j++) {
			const same = a[i - 1] === b[j - 1] ? 0 : 1;
			let cost = Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + same);
			const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
			if (swapped) cost = Math.min(cost, (beforePrevious[j - 2] ?? 0) + 1);
			row.push(cost);
		}
		beforePrevious = previous;
		previous = row;
	}
	return previous[b.length] ?? 0;
}
