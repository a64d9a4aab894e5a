/** Sets of ports as sorted, disjoint ranges that do not touch. */

import type { PortRange } from "../policy/types.ts";

export function includesPort(ports: readonly PortRange[], port: number): boolean {
	return ports.some(({ from, to }) => from <= port && port <= to);
}

export function isAnyPort({ from, to }: PortRange): boolean {
	return from <= 1 && to === 65535;
}

/** The union, in its one shortest form. */
export function unionPorts(ranges: readonly PortRange[]): readonly PortRange[] {
	const union: { from: number; to: number }[] = [];
	for (const { from, to } of ranges.toSorted((a, b) => a.from - b.from)) {
		const last = union.at(-1);
		if (last !== undefined && from <= last.to + 1) last.to = Math.max(last.to, to);
		else union.push({ from, to });
	}
	return union;
}

/** "443", "8000-8100", "*". */
export function formatPorts(range: PortRange): string {
	if (isAnyPort(range)) return "*";
	return range.from === range.to ? String(range.from) : `${range.from}-${range.to}`;
}
