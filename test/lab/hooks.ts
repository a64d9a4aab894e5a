import { afterAll, beforeAll, expect } from "vitest";
import { leftovers, leftSince } from "../helpers/clean.ts";
import { Lab } from "./lab.ts";

/** After the tests of a describe block nothing of vmjail's may be left that was not there before. */
export function leavesNothing(): void {
	const at: { before: readonly string[] } = { before: [] };
	beforeAll(() => {
		at.before = leftovers();
	});
	afterAll(async () => expect(await leftSince(at.before)).toEqual([]));
}

/** A lab for the tests of a describe block, told once it has started. Others may run beside it: they share nothing. */
export function withLab(started: (lab: Lab) => void): void {
	const at: { lab?: Lab } = {};
	beforeAll(async () => {
		at.lab = await Lab.start();
		started(at.lab);
	});
	afterAll(() => at.lab?.[Symbol.asyncDispose]());
}
