import { afterAll, beforeAll, expect } from "vitest";
import { leftovers, leftSince } from "../helpers/clean.ts";
import { Lab } from "./lab.ts";

/** A lab for the tests of a describe block, told once it has started. After them nothing of vmjail's may be left. */
export function withLab(started: (lab: Lab) => void): void {
	const at: { before: readonly string[]; lab?: Lab } = { before: [] };
	beforeAll(async () => {
		at.before = leftovers();
		at.lab = await Lab.start();
		started(at.lab);
	});
	afterAll(async () => {
		await at.lab?.[Symbol.asyncDispose]();
		expect(await leftSince(at.before)).toEqual([]);
	});
}
