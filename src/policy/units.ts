/** Sizes and durations as people write them → bytes and milliseconds. */

import type { Parsed } from "./parsed.ts";
import { show } from "./shown.ts";

/** Binary units are powers of 1024 (IEC 80000-13), decimal ones powers of 1000 (SI). "M" alone is refused: it means both. */
const SIZE_UNITS: ReadonlyMap<string, number> = new Map([
	["B", 1],
	["KiB", 2 ** 10],
	["MiB", 2 ** 20],
	["GiB", 2 ** 30],
	["TiB", 2 ** 40],
	["kB", 1e3],
	["KB", 1e3],
	["MB", 1e6],
	["GB", 1e9],
	["TB", 1e12],
]);

const DURATION_UNITS: ReadonlyMap<string, number> = new Map([
	["ms", 1],
	["s", 1e3],
	["m", 60e3],
	["h", 3600e3],
]);

/** The longest delay that timers hold: 2^31 − 1 ms, almost 25 days. */
const LONGEST_MS = 2 ** 31 - 1;

const AMOUNT = /^(\d+(?:\.\d+)?) ?([A-Za-z]*)$/;

/** "1GiB", "1.5MiB", "500KB" or a whole number of bytes → bytes, rounded down. */
export function parseSize(input: number | string): Parsed<number> {
	if (typeof input === "number") return wholeBytes(input, input);
	const [, amount, unit] = AMOUNT.exec(input) ?? [];
	if (amount === undefined || unit === undefined)
		return { problem: `expected a size such as "64MiB", got ${show(input)}` };
	if (unit === "")
		return {
			problem: `a size given as text needs a unit, got ${show(input)}: write "${amount}MiB", or "${amount}B" for bytes`,
		};
	const factor = SIZE_UNITS.get(unit);
	if (factor === undefined) return { problem: `unknown unit of size in ${show(input)}: ${sizeHint(amount, unit)}` };
	return wholeBytes(Math.floor(Number(amount) * factor), input);
}

function wholeBytes(bytes: number, input: number | string): Parsed<number> {
	if (!Number.isInteger(bytes) || bytes < 0)
		return { problem: `expected a whole number of bytes or a size such as "64MiB", got ${show(input)}` };
	if (!Number.isSafeInteger(bytes)) return { problem: `the size ${show(input)} is too large` };
	return { value: bytes + 0 };
}

function sizeHint(amount: string, unit: string): string {
	const prefix = unit.charAt(0).toUpperCase();
	if (!"KMGT".includes(prefix)) return `use B, KiB, MiB, GiB, TiB, or KB, MB, GB, TB`;
	return `write "${amount}${prefix}iB" (powers of 1024) or "${amount}${prefix}B" (powers of 1000)`;
}

/** "250ms", "10s", "1.5m", "1h" → milliseconds, rounded down. A bare number is refused: nobody agrees on its unit. */
export function parseDuration(input: number | string): Parsed<number> {
	if (typeof input === "number")
		return { problem: `a duration needs a unit, got ${show(input)}: write "${input}s" or "${input}ms"` };
	const [, amount, unit] = AMOUNT.exec(input) ?? [];
	if (amount === undefined || unit === undefined)
		return { problem: `expected a duration such as "10s", got ${show(input)}` };
	if (unit === "")
		return { problem: `a duration needs a unit, got ${show(input)}: write "${amount}s" or "${amount}ms"` };
	const factor = DURATION_UNITS.get(unit);
	if (factor === undefined) return { problem: `unknown unit of time in ${show(input)}: use ms, s, m or h` };
	const ms = Math.floor(Number(amount) * factor);
	if (ms < 1) return { problem: `expected at least 1ms, got ${show(input)}: leave the key out for no limit` };
	if (ms > LONGEST_MS) return { problem: `expected at most "596h", got ${show(input)}` };
	return { value: ms };
}
