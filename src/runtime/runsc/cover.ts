/** Do conditions on single bits leave any value out? */

/** All values v with (v & mask) === value. */
export interface Cube {
	readonly mask: bigint;
	readonly value: bigint;
}

/**
 * Is every 64-bit value in one of the cubes? By Shannon expansion: fixes the bit that most cubes care about, and asks
 * again for either half.
 */
export function coversAll(cubes: readonly Cube[]): boolean {
	if (cubes.some(({ mask }) => mask === 0n)) return true;
	if (cubes.length === 0) return false;
	const bit = mostFrequentBit(cubes);
	return [0n, bit].every((value) =>
		coversAll(
			cubes
				.filter((cube) => (cube.mask & bit) === 0n || (cube.value & bit) === value)
				.map((cube) => ({ mask: cube.mask & ~bit, value: cube.value & ~bit })),
		),
	);
}

function mostFrequentBit(cubes: readonly Cube[]): bigint {
	const counts = new Map<bigint, number>();
	for (const { mask } of cubes) {
		for (let rest = mask; rest !== 0n; rest &= rest - 1n) {
			const bit = rest & -rest;
			counts.set(bit, (counts.get(bit) ?? 0) + 1);
		}
	}
	return [...counts].reduce((most, next) => (next[1] > most[1] ? next : most))[0];
}
