import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { leftovers, leftSince } from "./clean.ts";
import { PATIENCE } from "./patience.ts";
import { requireOr } from "./requirement.ts";

/** A new cgroup in the first hierarchy that lets us make one; undefined where none does. */
function plantCgroup(): string | undefined {
	const lines = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
	for (const line of lines.filter((text) => / - cgroup2? /.test(text))) {
		const path = join(line.split(" ")[4] ?? "", `vmjail-planted-${process.pid}`);
		try {
			mkdirSync(path);
			return path;
		} catch {
			// read-only, or not ours: the next hierarchy
		}
	}
	return undefined;
}

describe("leftovers", () => {
	it("names a file", () => {
		const folder = mkdtempSync(join(tmpdir(), "vmjail-planted-"));
		onTestFinished(() => rmSync(folder, { recursive: true }));
		expect(leftovers()).toContain(`file ${folder}`);
	});

	const cgroup = plantCgroup();
	if (cgroup !== undefined) rmdirSync(cgroup);
	it.skipIf(requireOr(cgroup === undefined ? "no cgroup can be made here: run as root" : undefined))(
		"names a cgroup",
		() => {
			const path = plantCgroup() ?? "";
			onTestFinished(() => rmdirSync(path));
			expect(leftovers()).toContain(`cgroup ${path}`);
		},
	);

	it("since a moment are those that came later and stay", async () => {
		const early = join(tmpdir(), `vmjail-early-${process.pid}`);
		const late = join(tmpdir(), `vmjail-late-${process.pid}`);
		const brief = join(tmpdir(), `vmjail-brief-${process.pid}`);
		onTestFinished(() => {
			for (const path of [early, late, brief]) rmSync(path, { force: true });
		});
		writeFileSync(early, "");
		const before = leftovers();
		writeFileSync(late, "");
		writeFileSync(brief, "");
		const left = leftSince(before, 200 * PATIENCE);
		rmSync(brief);
		expect(await left).toEqual([`file ${late}`]);
	});
});
