import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { COMMANDS, SHELLS } from "../../src/cli/command-names.ts";
import { completionScript } from "../../src/cli/completion.ts";
import { POLICY_FLAGS } from "../../src/policy/flag-table.ts";

const installed = SHELLS.filter((shell) => spawnSync(shell, ["--version"]).status === 0);

const folder = mkdtempSync(join(tmpdir(), "completion-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** What bash offers for a command line whose last word is being typed. */
function offered(...words: readonly string[]): readonly string[] {
	const script = `${completionScript("bash")}
COMP_WORDS=(vmjail "$@"); COMP_CWORD=$#
_vmjail; printf '%s\\n' "\${COMPREPLY[@]}"`;
	const { stdout, stderr } = spawnSync("bash", ["-c", script, "bash", ...words], { encoding: "utf8", cwd: "/" });
	expect(stderr).toBe("");
	return stdout.split("\n").filter(Boolean);
}

describe("completion scripts", () => {
	it.each(installed)("are syntactically sound: %s", (shell) => {
		const file = join(folder, shell);
		writeFileSync(file, completionScript(shell));
		const { status, stderr } = spawnSync(shell, ["-n", file], { encoding: "utf8" });
		expect([status, stderr]).toEqual([0, ""]);
	});

	it.each(SHELLS)("know every flag and command: %s", (shell) => {
		const script = completionScript(shell);
		const dashes = shell === "fish" ? "-l " : "--";
		expect(POLICY_FLAGS.filter(({ name }) => !script.includes(`${dashes}${name}`))).toEqual([]);
		expect(Object.keys(COMMANDS).filter((name) => !script.includes(name))).toEqual([]);
	});

	it("of another shell are refused", () => {
		expect(() => completionScript("tcsh")).toThrow(
			expect.objectContaining({ code: "USAGE", remedy: expect.stringContaining("bash") }),
		);
	});
});

describe("bash", () => {
	it("offers commands and programs first, flags after a dash", () => {
		expect(offered("doc")).toContain("doctor");
		expect(offered("--wa")).toEqual(["--wall"]);
		expect(offered("run", "--mem")).toEqual(["--mem"]);
	});

	it("offers what a flag can be set to, files for paths, and programs after --", () => {
		expect(offered("--syscalls", "s")).toEqual(["strict"]);
		expect(offered("--rw", "et")).toEqual(["etc"]);
		expect(offered("--", "tru")).toContain("true");
	});
});
