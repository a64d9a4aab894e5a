import { spawnSync } from "node:child_process";
import {
	chmodSync,
	chownSync,
	mkdirSync,
	mkdtempSync,
	renameSync,
	rmSync,
	symlinkSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadAddon } from "../../src/executor/addon.ts";
import { nodeFs } from "../../src/host/fs.ts";
import { probePaths } from "../../src/host/paths.ts";
import { Answers } from "../../src/jail/answers.ts";
import { removeFolder } from "../helpers/folder.ts";

const at = { folder: "" };
const inside = (name: string) => join(at.folder, name);
const asRoot = process.geteuid?.() === 0;

beforeEach(() => {
	at.folder = mkdtempSync(join(tmpdir(), "answers-test-"));
	mkdirSync(inside("folder"));
	writeFileSync(inside("folder/file"), "");
	symlinkSync("folder", inside("link"));
	symlinkSync("\u00e4nother/b", inside("dangling"));
	spawnSync("mkfifo", [inside("fifo")]);
});
afterEach(() => removeFolder(at.folder));

function asked(...paths: readonly string[]): Answers {
	const answers = new Answers(loadAddon(), {});
	probePaths(paths, { fs: answers.fs });
	return answers;
}

describe("the answers to what was asked of the file system", () => {
	it("are the same as long as nothing changes, whatever is there", () => {
		const names = ["folder", "folder/file", "link", "link/file", "dangling", "fifo", "missing", "missing/below"];
		const devices = ["/", "/dev/null", "/dev/tty", "/proc/self/fd", "/proc/kcore", "/tmp", "/var/run"];
		for (const path of [...names.map(inside), ...devices])
			expect([path, asked(path).areStill({})]).toEqual([path, true]);
		expect(asked(...names.map(inside), ...devices).areStill({})).toBe(true);
	});

	it.each<[string, string, () => void]>([
		[
			"a folder becomes a file",
			"folder",
			() => {
				rmSync(inside("folder"), { recursive: true });
				writeFileSync(inside("folder"), "");
			},
		],
		[
			"a folder becomes a link",
			"folder",
			() => {
				renameSync(inside("folder"), inside("moved"));
				symlinkSync("moved", inside("folder"));
			},
		],
		[
			"a folder on the way does",
			"folder/file",
			() => {
				renameSync(inside("folder"), inside("moved"));
				symlinkSync("moved", inside("folder"));
			},
		],
		["a folder may be written by others", "folder/file", () => chmodSync(inside("folder"), 0o777)],
		[
			"a link leads elsewhere",
			"link",
			() => {
				unlinkSync(inside("link"));
				symlinkSync("fifo", inside("link"));
			},
		],
		[
			"a link leads to another name of that length",
			"link",
			() => {
				unlinkSync(inside("link"));
				symlinkSync("foldes", inside("link"));
			},
		],
		["a file goes", "folder/file", () => unlinkSync(inside("folder/file"))],
		["a missing file comes", "missing", () => writeFileSync(inside("missing"), "")],
		[
			"what a link leads to comes",
			"dangling",
			() => {
				mkdirSync(inside("\u00e4nother"));
				writeFileSync(inside("\u00e4nother/b"), "");
			},
		],
		[
			"a pipe becomes a file",
			"fifo",
			() => {
				unlinkSync(inside("fifo"));
				writeFileSync(inside("fifo"), "", { mode: 0o644 });
			},
		],
	])("are others where %s", (_what, name, change) => {
		const answers = asked(inside(name));
		change();
		expect(answers.areStill({})).toBe(false);
		expect(answers.areStill({})).toBe(false);
	});

	it.skipIf(!asRoot)("are others where a folder has another owner, or group", () => {
		for (const [uid, gid] of [
			[7, 0],
			[0, 7],
		] as const) {
			const answers = asked(inside("folder/file"));
			chownSync(inside("folder"), uid, gid);
			expect(answers.areStill({})).toBe(false);
		}
	});

	it("are not known where a question had an error for an answer", () => {
		expect(asked(inside("folder/file/below")).areStill({})).toBe(true); // not asked: a file has nothing below it
		expect(asked(`/${"x".repeat(300)}`).areStill({})).toBe(false);
	});

	it("are not known where something else was asked, or too much to ask again", () => {
		const other = new Answers(loadAddon(), {});
		other.fs.readFile("/proc/self/status");
		expect(other.areStill({})).toBe(false);
		const links = Array.from({ length: 40 }, (_, i) => inside(`l${i}`));
		for (const link of links) symlinkSync("x".repeat(2000), link);
		expect(asked(...links).areStill({})).toBe(false);
	});
});

describe("the answers to what was asked of the environment", () => {
	const env = { A: "a" };
	const answers = () => {
		const fresh = new Answers(loadAddon(), env, nodeFs);
		expect([fresh.env["A"], fresh.env["B"]]).toEqual(["a", undefined]);
		return fresh;
	};

	it("are those of the variables that were asked for", () => {
		expect(answers().areStill({ A: "a", C: "c" })).toBe(true);
		expect(answers().areStill({ A: "b" })).toBe(false);
		expect(answers().areStill({})).toBe(false);
		expect(answers().areStill({ A: "a", B: "" })).toBe(false);
	});

	it("are not known where all of it was looked at", () => {
		const listed = answers();
		expect(Object.keys(listed.env)).toEqual(["A"]);
		expect(listed.areStill(env)).toBe(false);
		const tested = answers();
		expect("A" in tested.env).toBe(true);
		expect(tested.areStill(env)).toBe(false);
	});
});
