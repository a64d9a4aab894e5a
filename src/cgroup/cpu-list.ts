/** Lists of processors as cpuset(7) writes them: "0-3,8". Pure. */

interface Range {
	readonly from: number;
	readonly to: number;
}

function rangesOf(list: string): readonly Range[] {
	return list.split(",").flatMap((part) => {
		const [from = "", to = from] = part.trim().split("-");
		return from === "" ? [] : [{ from: Number(from), to: Number(to) }];
	});
}

/** Of the processors of `wanted`, those that are not in `there`; ranges stay ranges, so no list is too long. */
export function outside(wanted: string, there: string): readonly string[] {
	const known = rangesOf(there);
	const rest = known.reduce(
		(left: readonly Range[], { from, to }) =>
			left.flatMap((range) => [
				...(range.from < from ? [{ from: range.from, to: Math.min(range.to, from - 1) }] : []),
				...(range.to > to ? [{ from: Math.max(range.from, to + 1), to: range.to }] : []),
			]),
		rangesOf(wanted),
	);
	return rest.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`));
}
