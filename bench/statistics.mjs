/** What is said about samples. */

/** The value below which the given part of the samples lies (nearest rank). */
export function quantile(samples, part) {
	const sorted = Float64Array.from(samples).sort();
	return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)];
}

export function summary(samples) {
	return { samples: samples.length, median: quantile(samples, 0.5), p90: quantile(samples, 0.9) };
}

/** A new order, so that no contender always follows the same other one. */
export function shuffled(list) {
	const result = [...list];
	for (let i = result.length - 1; i > 0; i--) {
		const j = Math.floor(Math.random() * (i + 1));
		[result[i], result[j]] = [result[j], result[i]];
	}
	return result;
}
