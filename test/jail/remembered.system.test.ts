import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { run } from "../../src/jail/run.ts";
import { closeSession } from "../../src/jail/session.ts";
import { removeFolder } from "../helpers/folder.ts";
import { policyOf } from "../helpers/policy.ts";

const at = { folder: "" };
const inside = (name: string) => join(at.folder, name);
const PATH = { env: { pass: [], set: { PATH: "/usr/bin:/bin" } } };

beforeEach(() => {
	at.folder = mkdtempSync(join(tmpdir(), "remembered-test-"));
	mkdirSync(inside("writable"));
	mkdirSync(inside("other"));
	writeFileSync(inside("other/file"), "untouched");
});
afterAll(closeSession);

const policy = () => policyOf({ system: PATH, file: { writablePaths: [inside("writable")] } });
const quiet = { stdin: "ignore", stdout: "ignore", stderr: "ignore" } as const;
const write = (path: string) => run(["sh", "-c", `echo written >${path}`], { policy: policy(), ...quiet });

describe("between two runs of one policy in one process", () => {
	it("a writable folder that was replaced by another is the one that is written to", async () => {
		await write(inside("writable/file"));
		expect(readFileSync(inside("writable/file"), "utf8")).toBe("written\n");
		renameSync(inside("writable"), inside("before"));
		mkdirSync(inside("writable"));
		await write(inside("writable/file"));
		expect(readFileSync(inside("writable/file"), "utf8")).toBe("written\n");
		removeFolder(at.folder);
	});

	it("a link that took the place of a writable folder gives nothing away, as it would not for a first run", async () => {
		const attempt = async () => {
			await write(inside("writable/file")).catch((error: unknown) => error);
			await write(inside("other/file")).catch((error: unknown) => error);
			return readFileSync(inside("other/file"), "utf8");
		};
		await write(inside("writable/file"));
		rmSync(inside("writable"), { recursive: true });
		symlinkSync(inside("other"), inside("writable"));
		// The caller's own link, in a folder of the caller's: followed, and planned anew. What it leads to is writable now.
		expect(await attempt()).toBe("written\n");
		rmSync(inside("writable"));
		mkdirSync(inside("writable"));
		writeFileSync(inside("other/file"), "untouched");
		expect(await attempt()).toBe("untouched");
		removeFolder(at.folder);
	});

	it("a working folder that is gone is an error", async () => {
		const cwd = inside("writable");
		const asked = policyOf({ system: { ...PATH, cwd } });
		const pwd = () => run(["pwd"], { policy: asked, ...quiet, stdout: "collect" });
		expect((await pwd()).stdout?.toString()).toBe(`${cwd}\n`);
		expect((await pwd()).stdout?.toString()).toBe(`${cwd}\n`);
		removeFolder(cwd);
		await expect(pwd()).rejects.toMatchObject({ remedy: expect.any(String) });
		removeFolder(at.folder);
	});

	it("the environment that is passed on is the present one", async () => {
		const asked = policyOf({ system: { env: { pass: ["REMEMBERED_TEST"], set: { PATH: "/usr/bin:/bin" } } } });
		const shown = () => run(["printenv", "REMEMBERED_TEST"], { policy: asked, ...quiet, stdout: "collect" });
		for (const value of ["a", "b", "b"]) {
			process.env["REMEMBERED_TEST"] = value;
			expect((await shown()).stdout?.toString()).toBe(`${value}\n`);
		}
		delete process.env["REMEMBERED_TEST"];
		expect((await shown()).stdout?.toString()).toBe("");
		removeFolder(at.folder);
	});
});
