import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { defaultParent, makeRunDir, writeResolver } from "../../src/runtime/run-dir.ts";

describe("the folder of a run", () => {
	let parent = "";
	beforeEach(() => {
		parent = mkdtempSync(join(tmpdir(), "run-dir-test-"));
	});
	afterEach(() => rmSync(parent, { recursive: true }));

	it("is in memory where there is room, else where temporary files are", () => {
		expect(defaultParent("/proc")).toBe(tmpdir());
		expect(defaultParent("/nonexistent")).toBe(tmpdir());
		expect(["/dev/shm", tmpdir()]).toContain(defaultParent());
	});

	it("shows others nothing but its root, and is gone when it is removed", () => {
		const dir = makeRunDir(parent);
		const mode = (path: string) => statSync(path).mode & 0o777;
		expect([mode(dir.path), mode(dir.root), mode(dir.bundle), mode(dir.state), mode(dir.logs)]).toEqual([
			0o711, 0o711, 0o700, 0o700, 0o700,
		]);
		expect(mode(writeResolver(dir, "nameserver 1.2.3.4\n"))).toBe(0o444);
		dir.remove();
		expect(readdirSync(parent)).toEqual([]);
		dir.remove();
	});

	it("of a process that is gone is removed by the next; of one that runs it is not", () => {
		const own = makeRunDir(parent);
		const [, , namespace, pid, started] = own.path.slice(parent.length + 1).split("-");
		const [dead, reused, foreign] = [
			`${namespace}-4194305-1`,
			`${namespace}-${pid}-${Number(started) + 1}`,
			`1-${pid}-1`,
		].map((owner) => join(parent, `vmjail-run-${owner}-abcdef`)) as [string, string, string];
		for (const path of [dead, reused, foreign]) mkdirSync(path, { mode: 0o711 });
		makeRunDir(parent).remove();
		// Namespace 1 is none: who sees every process knows that its vmjail is gone.
		const seesAll = process.getuid?.() === 0 && namespace === "4026531836";
		expect([own.path, dead, reused, foreign].map((path) => existsSync(path))).toEqual([true, false, false, !seesAll]);
	});
});
