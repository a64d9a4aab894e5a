/** Attacks: programs that succeed where a control is off and are refused in a jail. */

import { copyFileSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { compile } from "../helpers/compile.ts";
import { CHECKOUT, missingPrograms, type Place, type Ran, type RunOptions, run, vmjail } from "./caller.ts";

const SOURCES = join(CHECKOUT, "test/fixtures/attacks");
const ATTACKS = join(CHECKOUT, "build/attacks");

/** Compiles the attacks. @returns why they cannot be, with the remedy; undefined where they are there. */
export function buildAttacks(): string | undefined {
	const missing = missingPrograms("cc", "python3");
	if (missing !== undefined) return missing;
	mkdirSync(ATTACKS, { recursive: true });
	for (const name of readdirSync(SOURCES)) {
		const source = join(SOURCES, name);
		if (name.endsWith(".c")) compile(source, attackPath(name.slice(0, -2)));
		else if (!name.endsWith(".h")) copyFileSync(source, attackPath(name));
	}
	return undefined;
}

export function attackPath(name: string): string {
	return join(ATTACKS, name);
}

/** "call unshare" → the command; scripts go through their interpreter. */
export function attackCommand(attack: readonly string[]): readonly string[] {
	const [name = "", ...args] = attack;
	const interpreter = name.endsWith(".py") ? ["python3"] : name.endsWith(".sh") ? ["sh"] : [];
	return [...interpreter, attackPath(name), ...args];
}

/** The attack without a jail. */
export function inTheOpen(place: Place, attack: readonly string[], options: RunOptions = {}): Promise<Ran> {
	return run(place, attackCommand(attack), options);
}

/** The attack under the default policy and these flags. */
export function inJail(
	place: Place,
	attack: readonly string[],
	flags: readonly string[] = [],
	options: RunOptions = {},
): Promise<Ran> {
	return vmjail(place, ["-q", "--ro", ATTACKS, ...flags, "--", ...attackCommand(attack)], options);
}

export function expectSucceeded(ran: Ran): void {
	expect(ran).toMatchObject({ status: 0, stdout: "succeeded\n" });
}

/** Refused with this error: "EPERM". */
export function expectRefused(ran: Ran, error: string | RegExp): void {
	expect(ran.stdout).toMatch(new RegExp(`^refused: (?:${typeof error === "string" ? error : error.source})\n$`));
	expect(ran.status).toBe(1);
}
