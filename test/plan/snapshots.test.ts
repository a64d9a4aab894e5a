import { describe, expect, it } from "vitest";
import type { ProgramFact } from "../../src/host/types.ts";
import { closeSnapshotSteps, openSnapshotSteps, snapshotSteps } from "../../src/plan/snapshots.ts";

const pinned = (real: string, sizeBytes: number): ProgramFact => ({
	path: real,
	real,
	interpreters: [],
	loaders: [],
	sha256: "0".repeat(64),
	snapshot: { source: `/proc/7/fd${real}`, sizeBytes },
});

describe("a program that is held to its content", () => {
	const programs = [pinned("/usr/bin/ls", 5000), pinned("/opt/tool", 100), pinned("/opt/tool", 100)];
	const labels = snapshotSteps(programs).map(({ label }) => label);

	it("costs nothing where there is none", () => {
		const [{ snapshot: _, sha256: __, ...plain }] = [pinned("/x", 1)];
		expect([openSnapshotSteps([plain]), closeSnapshotSteps([plain]), snapshotSteps([plain])]).toEqual([[], [], []]);
	});

	it("is read on the host's side once, whatever leads to it", () => {
		expect(openSnapshotSteps(programs).map(({ save }) => save)).toEqual(["snapshot 0", "snapshot 1"]);
		expect(closeSnapshotSteps(programs)).toHaveLength(2);
	});

	it("has its copy's size checked, and the copy closed for writing, before it can run", () => {
		const at = (label: string) => labels.indexOf(label);
		expect(at("check that all of /usr/bin/ls was copied")).toBeGreaterThan(at("copy /usr/bin/ls"));
		expect(at("close the copy of /usr/bin/ls")).toBeGreaterThan(at("copy /usr/bin/ls"));
		expect(at("make copies of programs read-only")).toBeGreaterThan(at("close the copy of /opt/tool"));
		expect(at("lay the copy over /usr/bin/ls")).toBeGreaterThan(at("make copies of programs read-only"));
		expect(labels.at(-1)).toBe("remove the place for copies of programs");
	});

	it("has room: whole pages for each, and one for the folder", () => {
		const [size] = labels.filter((label) => label.startsWith("set size="));
		expect(size).toBe(`set size=${(2 + 1 + 1) * 4096} for tmpfs`);
	});
});
