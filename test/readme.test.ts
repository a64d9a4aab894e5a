import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Exchange, faultOf, missingLine, play, sessionsOf } from "./helpers/shell-session.ts";

const root = join(import.meta.dirname, "..");

function faults(markdown: string): (string | undefined)[] {
	return sessionsOf(markdown).flatMap((session) => {
		const played = play(session, "/", 10_000);
		return session.map((exchange, index) => faultOf(exchange, played[index]));
	});
}

describe("commands in documents", () => {
	it("are read from sh blocks only, with their output", () => {
		const exchange = (line: number, command: string, ...expected: string[]): Exchange => ({ line, command, expected });
		expect(sessionsOf("```text\n$ no\n```\n```sh\n$ a\nx\ny\n\n$ b \\\n> c\n```\n$ no\n")).toEqual([
			[exchange(5, "a", "x", "y"), exchange(9, "b \\\nc")],
		]);
	});

	it("share a shell within a block, and $? is the command's own", () => {
		expect(faults("```sh\n$ x=1; (exit 3)\nnot this\n$ echo $? $x\n3 1\n```")).toEqual([
			expect.stringContaining("expected: not this"),
			undefined,
		]);
	});

	it("fail where no output is shown and the status is not 0, and where the shell ends early", () => {
		expect(faults("```sh\n$ false\n$ true\n$ exit 0\n$ true\n```")).toEqual([
			expect.stringContaining("ended with status 1"),
			undefined,
			expect.stringContaining("did not end"),
			expect.stringContaining("did not end"),
		]);
	});

	it("see standard error", () => {
		expect(faults("```sh\n$ echo oops >&2\noops\n```")).toEqual([undefined]);
	});

	it.each([
		[["a", "c"], "a\nb\nc", undefined],
		[["c", "a"], "a\nb\nc", "a"],
		[["uid=… gid=0"], "uid=0(root)  gid=0", undefined],
		[["a.c"], "abc", "a.c"],
		[["b"], "abc", "b"],
		[["…b…"], "abc", undefined],
	])("match %j against %j", (expected, output, missing) => {
		expect(missingLine(expected, output)).toBe(missing);
	});
});

describe("links in documents", () => {
	it.each(["README.md", "docs/adr/README.md", "docs/guide.md", "docs/errors.md", "docs/plan-and-executor.md"])(
		"of %s lead to files",
		(document) => {
			const text = readFileSync(join(root, document), "utf8");
			const targets = [...text.matchAll(/\]\(([^)#]+)[^)]*\)/g)].map((match) => match[1] ?? "");
			const local = targets.filter((target) => !target.includes("://"));
			expect(local.filter((target) => !existsSync(join(root, dirname(document), target)))).toEqual([]);
		},
	);
});
