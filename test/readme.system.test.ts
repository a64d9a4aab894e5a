import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { leftovers, leftSince } from "./helpers/clean.ts";
import { faultOf, play, sessionsOf } from "./helpers/shell-session.ts";

const root = join(import.meta.dirname, "..");

describe.each(["README.md", "docs/guide.md"])("the commands of %s", (document) => {
	const sessions = sessionsOf(readFileSync(join(root, document), "utf8"));

	it.each(sessions.map((session) => [session[0]?.line ?? 0, session] as const))(
		"from line %i print what it shows, and leave nothing",
		async (_line, session) => {
			const before = leftovers();
			const played = play(session, root, 50_000);
			const faults = session.map((exchange, index) => faultOf(exchange, played[index]));
			expect(faults.filter((fault) => fault !== undefined).join("\n\n")).toBe("");
			expect(await leftSince(before)).toEqual([]);
		},
	);
});
