/** What the tests of servers ask for, and where they may. */

import { mkdtempSync } from "node:fs";
import { afterAll } from "vitest";
import { removeFolder } from "../helpers/folder.ts";

/** Why a server cannot be tested here; undefined where it can. */
export const serverMissing =
	process.getuid?.() === 0 ? undefined : "the server's limits need control groups: run the tests as root";

/** A folder of the test file's own, taken away at its end. */
export function ownFolder(name: string): string {
	if (serverMissing !== undefined) return "/nowhere";
	const folder = mkdtempSync(`/var/tmp/vmjail-${name}-`);
	afterAll(() => removeFolder(folder));
	return folder;
}

export const stdout = { name: "stdout", max: 1_000_000 };

export const sh = (script: string, more: object = {}) => ({
	args: ["/bin/sh", "-c", script],
	files: [null, stdout, null],
	...more,
});
