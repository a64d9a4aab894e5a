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
	const counts = Array.from({ length: 64 }, (_, i) => {
		const bit = 1n << BigInt(i);
		return { bit, count: cubes.filter(({ mask }) => (mask & bit) !== 0n).length };
	});
	return counts.reduce((most, next) => (next.count > most.count ? next : most)).bit;
}
