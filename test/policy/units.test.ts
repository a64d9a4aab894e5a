import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseDuration, parseSize } from "../../src/policy/units.ts";

describe("sizes", () => {
	it.each([
		[1073741824, 1073741824],
		[0, 0],
		["1B", 1],
		["1KiB", 1024],
		["64MiB", 67108864],
		["1GiB", 1073741824],
		["2TiB", 2199023255552],
		["500KB", 500000],
		["500kB", 500000],
		["3MB", 3000000],
		["1.5KiB", 1536],
		["0.3KiB", 307],
		["1 GiB", 1073741824],
	])("%j is %d bytes", (input, bytes) => {
		expect(parseSize(input)).toEqual({ value: bytes });
	});

	it.each([
		["512", 'write "512MiB", or "512B" for bytes'],
		["512M", 'write "512MiB" (powers of 1024) or "512MB" (powers of 1000)'],
		["1g", 'write "1GiB"'],
		["1mib", 'write "1MiB"'],
		["5 apples", "use B, KiB"],
		["-1MiB", "expected a size"],
		["1e3KiB", "expected a size"],
		["", "expected a size"],
		["9999999TiB", "too large"],
		[1.5, "whole number of bytes"],
		[-1, "whole number of bytes"],
		[2 ** 60, "too large"],
	])("%j is refused", (input, words) => {
		expect(parseSize(input)).toEqual({ problem: expect.stringContaining(words) });
	});

	it("binary units are exact for every whole amount that fits", () => {
		fc.assert(
			fc.property(fc.nat(8000000), (amount) => {
				expect(parseSize(`${amount}GiB`)).toEqual({ value: amount * 2 ** 30 });
			}),
		);
	});
});

describe("durations", () => {
	it.each([
		["250ms", 250],
		["10s", 10000],
		["1m", 60000],
		["1h", 3600000],
		["1.5s", 1500],
		["596h", 2145600000],
	])("%j is %d ms", (input, ms) => {
		expect(parseDuration(input)).toEqual({ value: ms });
	});

	it.each([
		[10, 'write "10s" or "10ms"'],
		["10", 'write "10s" or "10ms"'],
		["1d", "use ms, s, m or h"],
		["0s", "at least 1ms"],
		["0.4ms", "at least 1ms"],
		["597h", 'at most "596h"'],
		["soon", "expected a duration"],
		["1m30s", "expected a duration"],
	])("%j is refused", (input, words) => {
		expect(parseDuration(input)).toEqual({ problem: expect.stringContaining(words) });
	});
});
