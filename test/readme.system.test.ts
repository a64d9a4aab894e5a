import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { leftovers, leftSince } from "./helpers/clean.ts";
import { faultOf, play, sessionsOf } from "./helpers/shell-session.ts";

const root = join(import.meta.dirname, "..");

const sessions = ["README.md", "docs/guide.md"].flatMap((document) =>
	sessionsOf(readFileSync(join(root, document), "utf8")).map((session) => ({
		place: `${document}, line ${session[0]?.line}`,
		session,
	})),
);

describe("the commands in documents", () => {
	it.each(sessions)("of $place print what it shows, and leave nothing", async ({ session }) => {
		const before = leftovers();
		const played = play(session, root, 50_000);
		const faults = session.map((exchange, index) => faultOf(exchange, played[index]));
		expect(faults.filter((fault) => fault !== undefined).join("\n\n")).toBe("");
		expect(await leftSince(before)).toEqual([]);
	});
});
