import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { removeFolder } from "../helpers/folder.ts";
import { requireOr } from "../helpers/requirement.ts";
import { missingPrograms } from "../system/caller.ts";

const checkout = join(import.meta.dirname, "../..");
const at = { root: "" };
const cache = () => join(at.root, "build/code-cache");

beforeAll(() => {
	at.root = mkdtempSync(join(tmpdir(), "code-cache-test-"));
	for (const part of ["package.json", "dist/cli.cjs", "build/vmjail-executor", "build/addon.node"]) {
		cpSync(join(checkout, part), join(at.root, part));
	}
	cpSync(join(checkout, "dist", script()), join(at.root, "dist", script()));
});
beforeEach(() => {
	removeFolder(cache());
	cpSync(join(checkout, "build/code-cache"), cache(), { recursive: true });
});
afterAll(() => removeFolder(at.root));

/** The script that the command line consists of. */
function script(): string {
	return /main-[0-9a-f]{16}\.script/.exec(readFileSync(join(checkout, "dist/cli.cjs"), "utf8"))?.[0] ?? "";
}

function putFolder(place: string): void {
	rmSync(place);
	mkdirSync(place);
}

/** The file with its compiled code for Node with these options. */
function code(options = ""): string {
	const name = readdirSync(cache()).find((entry) => entry.endsWith(`-${process.arch}${options}`)) ?? "";
	return join(cache(), name);
}

/** The option that native/launcher starts Node with. */
const YOUNG = "--min-semi-space-size=8";

function echo(options: readonly string[] = []) {
	const args = [...options, join(at.root, "dist/cli.cjs"), "--", "/bin/echo", "started"];
	const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", input: "" });
	return { status, stdout, stderr };
}

const STARTED = { status: 0, stdout: "started\n", stderr: "" };

describe("V8's code for the command line", () => {
	it.each([[[]], [[YOUNG]]])("is there after a build, and V8 takes it: node %s", (options) => {
		const program = `
			const { readFileSync } = require("node:fs");
			const [text, cachedData] = [readFileSync(process.argv[1], "latin1"), readFileSync(process.argv[2])];
			const script = new (require("node:vm").Script)(text, { cachedData });
			process.stdout.write(String(script.cachedDataRejected));
		`;
		const made = code(options.map((option) => `-${option}`).join(""));
		const args = [...options, "-e", program, join(at.root, "dist", script()), made];
		expect(execFileSync(process.execPath, args, { encoding: "utf8" })).toBe("false");
		expect(echo(options)).toEqual(STARTED);
	});

	it.skipIf(requireOr(missingPrograms("strace")))("is there for the options that the launcher gives Node", () => {
		const traced = spawnSync("strace", ["-f", "-e", "trace=openat", join(checkout, "vmjail"), "schema"], {
			encoding: "utf8",
		});
		expect(traced.stderr).toMatch(new RegExp(`build/code-cache/main-[^"]*-${YOUNG}", [^)]*\\) = \\d`));
	});

	it.each<[string, () => void]>([
		["is missing", () => removeFolder(cache())],
		["is that of another version of Node", () => renameSync(code(), code().replace(process.version, "v20.0.0"))],
		["is empty", () => writeFileSync(code(), "")],
		["is cut short", () => writeFileSync(code(), readFileSync(code()).subarray(0, 1000))],
		["is something else", () => writeFileSync(code(), "no code at all ".repeat(1000))],
		["is of another script", () => writeFileSync(code(), otherCode())],
		["may not be read", () => putFolder(code())],
	])("is done without where it %s", (_what, arrange) => {
		arrange();
		expect(echo()).toEqual(STARTED);
	});

	it("is done without where Node was started with options that change what V8 makes", () => {
		expect(echo(["--no-lazy-feedback-allocation"])).toEqual(STARTED);
	});
});

function otherCode(): Buffer {
	const program = `process.stdout.write(new (require("node:vm").Script)("1 + 1").createCachedData())`;
	return execFileSync(process.execPath, ["-e", program]);
}
