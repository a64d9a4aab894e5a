import { spawnSync } from "node:child_process";
import {
	chmodSync,
	closeSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	openSync,
	readFileSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { COMMANDS } from "../../src/cli/command-names.ts";
import { POLICY_FLAGS } from "../../src/policy/flag-table.ts";
import { removeFolder } from "../helpers/folder.ts";

const root = join(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "cli-test-"));
chmodSync(folder, 0o755);
afterAll(() => removeFolder(folder));

const PATH = "/usr/local/bin:/usr/bin:/bin";

interface Ran {
	readonly status: number | null;
	readonly stdout: string;
	readonly stderr: string;
}

function vmjail(args: readonly string[], options: { readonly input?: string; readonly cwd?: string } = {}): Ran {
	const { status, stdout, stderr } = spawnSync(join(root, "vmjail"), args, {
		cwd: folder,
		encoding: "utf8",
		env: { PATH: process.env["PATH"] ?? PATH, HOME: "/nonexistent" },
		input: "",
		...options,
	});
	return { status, stdout, stderr };
}

function write(name: string, content: string): string {
	const file = join(folder, name);
	writeFileSync(file, content);
	return file;
}

describe("vmjail --help", () => {
	const { status, stdout } = vmjail(["--help"]);

	it("names every flag, every command, the exit statuses and examples", () => {
		expect(status).toBe(0);
		expect(POLICY_FLAGS.filter(({ name }) => !stdout.includes(`--${name} `))).toEqual([]);
		expect(Object.keys(COMMANDS).filter((name) => !new RegExp(`^ {2}${name} +\\S`, "m").test(stdout))).toEqual([]);
		expect(stdout).toMatch(/^Usage: vmjail \[run\] \[flags\] \[--\] PROGRAM/);
		expect(stdout).toMatch(/124 time limit.*125.*126.*127.*\n?.*137/);
		expect(stdout).toContain("vmjail -c security.json -- sh -c");
	});

	it("fits a terminal", () => {
		expect(stdout.split("\n").filter((line) => line.length > 110)).toEqual([]);
	});

	it("is what vmjail says without arguments", () => {
		expect(vmjail([])).toEqual({ status: 0, stdout, stderr: "" });
	});

	it.each(Object.keys(COMMANDS).filter((name) => name !== "run"))("of %s is its own", (name) => {
		const own = vmjail([name, "--help"]);
		expect(own.status).toBe(0);
		expect(own.stdout).toContain(`Usage: vmjail ${name}`);
	});

	it("after the program is the program's", () => {
		expect(vmjail(["--", "echo", "--help", "-c", "x"]).stdout).toBe("--help -c x\n");
		expect(vmjail(["echo", "--version", "--mem"]).stdout).toBe("--version --mem\n");
	});
});

describe("vmjail --version", () => {
	it("is that of the package", () => {
		const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
		expect(vmjail(["--version"])).toEqual({ status: 0, stdout: `${version}\n`, stderr: "" });
	});
});

describe("words that name a command", () => {
	it("are programs after --", () => {
		mkdirSync(join(folder, "bin"));
		const program = write("bin/check", "#!/bin/sh\necho checked $#\n");
		chmodSync(program, 0o755);
		const args = ["--env", `PATH=${folder}/bin:/bin:/usr/bin`, "--", "check", "a"];
		expect(vmjail(args)).toMatchObject({ status: 0, stdout: "checked 1\n" });
		expect(vmjail(["run", ...args])).toMatchObject({ status: 0, stdout: "checked 1\n" });
	});

	it("are not the names of an object's own properties", () => {
		expect(vmjail(["toString"])).toMatchObject({ status: 127, stderr: expect.stringContaining("toString: not found") });
	});
});

describe("a command line that is wrong", () => {
	it.each<[string, readonly string[], string]>([
		["has a flag that there is not", ["--wal", "1s", "--", "true"], "unknown option '--wal'"],
		["lacks a value", ["--wall"], "argument missing"],
		["has a value that is none", ["--wall", "soon", "--", "true"], "soon"],
		["has no program", ["--wall", "1s"], "no program to run"],
		["has an empty program", ["--", ""], "no program to run"],
		["exports to nowhere", ["oci", "export"], "export needs a folder"],
		["asks for another shell", ["completion", "tcsh"], "no completion for"],
		["asks for no shell", ["completion"], "missing required argument"],
		["has a flag that another command has", ["schema", "--wall", "1s"], "unknown option"],
	])("%s", (_, args, message) => {
		const { status, stdout, stderr } = vmjail(args);
		expect([status, stdout]).toEqual([125, ""]);
		expect(stderr).toMatch(/^vmjail: /);
		expect(stderr).toContain(message);
		// A second line says what to do.
		expect(stderr.trimEnd().split("\n").length).toBeGreaterThan(1);
		expect(stderr).not.toContain("    at ");
	});
});

describe("a working directory that has been removed", () => {
	it("is an error with its remedy, and nothing is started", () => {
		const gone = join(folder, "gone");
		mkdirSync(gone);
		const script = 'rmdir "$PWD" && exec "$1" -- true';
		const { status, stderr } = spawnSync("sh", ["-c", script, "sh", join(root, "vmjail")], {
			cwd: gone,
			encoding: "utf8",
		});
		expect(status).toBe(125);
		expect(stderr).toMatch(
			/^vmjail: the working directory does not exist any more\n {2}Go to a folder that exists .*\n$/m,
		);
	});
});

describe("a policy file", () => {
	it("may come from standard input, and flags win over it", () => {
		const policy = JSON.stringify({ system: { hostname: "one" } });
		expect(vmjail(["-c", "-", "--", "uname", "-n"], { input: policy }).stdout).toBe("one\n");
		expect(vmjail(["-c", "-", "--hostname", "two", "--", "uname", "-n"], { input: policy }).stdout).toBe("two\n");
	});

	it.each<[string, string, string]>([
		["that is not there", "/no/such/policy.json", "ENOENT"],
		["that is a folder", "/", "EISDIR"],
	])("%s cannot be read", (_, file, reason) => {
		const { status, stderr } = vmjail(["-c", file, "--", "true"]);
		expect(status).toBe(125);
		expect(stderr).toContain(`${file}: cannot read the policy: ${reason}`);
	});

	it.each([
		["empty", ""],
		["cut short", '{ "system": {'],
		["no object", "[]"],
		["with a key that there is not", '{ "system": { "memroy": {} } }'],
	])("that is %s is refused with its name, and nothing runs", (name, content) => {
		const file = write(`${name}.json`, content);
		const marker = join(folder, "ran");
		const { status, stderr } = vmjail(["-c", file, "--rw", folder, "--", "touch", marker]);
		expect(status).toBe(125);
		expect(stderr).toContain(file);
		expect(existsSync(marker)).toBe(false);
	});
});

describe("the exit status", () => {
	it.each<[string, readonly string[], number]>([
		["is the program's", ["--", "sh", "-c", "exit 42"], 42],
		["is 128 and the signal", ["--", "sh", "-c", "kill -TERM $$"], 143],
		["is 124 for time", ["--wall", "200ms", "--", "sleep", "100"], 124],
		["is 124 for CPU time", ["--time", "100ms", "--", "sh", "-c", "while :; do :; done"], 124],
		["is 153 for output", ["--output", "1KiB", "--", "yes"], 153],
		["is 126 for what is no program", ["--", "/etc/passwd"], 126],
		["is 127 for what is not there", ["--", "/no/such/program"], 127],
	])("%s", (_, args, status) => {
		expect(vmjail(args).status).toBe(status);
	});

	it("is 125 for a folder as standard input", () => {
		const stdin = openSync("/", "r");
		const { status, stderr } = spawnSync(join(root, "vmjail"), ["--", "cat"], {
			cwd: folder,
			encoding: "utf8",
			stdio: [stdin, "pipe", "pipe"],
		});
		closeSync(stdin);
		expect([status, stderr]).toEqual([125, expect.stringContaining("stdin is a folder")]);
	});
});

describe("--result", () => {
	const result = join(folder, "result.json");
	const resultOf = (...args: readonly string[]) => {
		vmjail(["--result", result, ...args]);
		return JSON.parse(readFileSync(result, "utf8"));
	};

	it("holds the outcome with what was used", () => {
		expect(resultOf("--", "sh", "-c", "exit 3")).toMatchObject({
			kind: "exited",
			exitCode: 3,
			runtime: "runlc",
			cpuUserMs: expect.any(Number),
			wallMs: expect.any(Number),
			memoryPeakBytes: expect.any(Number),
			denials: [],
		});
		expect(resultOf("--output", "1MiB", "--", "echo", "hello")).not.toHaveProperty("stdout");
		expect(resultOf("--wall", "100ms", "--", "sleep", "100")).toMatchObject({ kind: "limit", limit: "wall-time" });
	});

	it("holds the error where nothing ran", () => {
		expect(resultOf("--", "no-such-program")).toMatchObject({
			kind: "error",
			code: "COMMAND_NOT_FOUND",
			remedy: expect.any(String),
		});
	});

	it("that cannot be written is an error", () => {
		const { status, stderr } = vmjail(["--result", "/no/such/folder/result", "--", "true"]);
		expect([status, stderr]).toEqual([
			125,
			expect.stringContaining("--result /no/such/folder/result: cannot be written: ENOENT"),
		]);
	});
});

describe("what vmjail says", () => {
	it("goes to standard error, and --quiet leaves errors only", () => {
		const loud = vmjail(["--wall", "100ms", "--", "sleep", "100"]);
		expect([loud.stdout, loud.stderr]).toEqual(["", expect.stringContaining("limit of time")]);
		expect(vmjail(["-q", "--wall", "100ms", "--", "sleep", "100"])).toMatchObject({ status: 124, stderr: "" });
		expect(vmjail(["-q", "--", "no-such-program"]).stderr).toContain("not found");
	});
});

describe("vmjail check", () => {
	it("says that a policy is sound", () => {
		expect(vmjail(["check"])).toMatchObject({ status: 0, stdout: expect.stringContaining("The policy is sound") });
		expect(JSON.parse(vmjail(["check", "--json"]).stdout)).toMatchObject({ ok: true, missing: expect.any(Array) });
	});

	it("says why it cannot be enforced", () => {
		const args = ["check", "--rw", "/no/such/folder"];
		expect(vmjail(args)).toMatchObject({ status: 125, stderr: expect.stringContaining("/no/such/folder") });
		expect(JSON.parse(vmjail([...args, "--json"]).stdout)).toMatchObject({
			ok: false,
			error: { code: "PATH_INVALID", remedy: expect.any(String) },
		});
	});

	it("starts nothing", () => {
		const marker = join(folder, "checked");
		expect(vmjail(["check", "--rw", folder, "--", "touch", marker]).status).toBe(0);
		expect(existsSync(marker)).toBe(false);
	});
});

describe("vmjail plan", () => {
	it("prints the calls in order, and starts nothing", () => {
		const marker = join(folder, "planned");
		const { status, stdout } = vmjail(["plan", "--rw", folder, "--", "touch", marker]);
		expect(status).toBe(0);
		const places = ["clone3(", "prctl(", "pivot_root(", "capset(", "execve("].map((call) => stdout.indexOf(call));
		expect(places).toEqual(places.toSorted((a, b) => a - b));
		expect(Math.min(...places)).toBeGreaterThan(0);
		expect(stdout).toContain(`# bind ${folder} to ${folder}`);
		expect(existsSync(marker)).toBe(false);
	});

	it("prints the same as JSON, each step with its label", () => {
		const { sections } = JSON.parse(vmjail(["plan", "--json", "--", "true"]).stdout);
		const steps = sections.flatMap((section: { steps: readonly { label: string; call: string }[] }) => section.steps);
		expect(steps.length).toBeGreaterThan(100);
		expect(steps.filter(({ label, call }: { label: string; call: string }) => !label || !call)).toEqual([]);
	});

	it("prints the filter on request", () => {
		expect(vmjail(["plan", "--", "true"]).stdout).not.toMatch(/^seccomp filter$/m);
		expect(vmjail(["plan", "--filter", "--", "true"]).stdout).toMatch(/^seccomp filter\n +0 {2}A = architecture$/m);
		expect(JSON.parse(vmjail(["plan", "--filter", "--json", "--", "true"]).stdout).filter).toBeTruthy();
	});
});

describe("what vmjail prints", () => {
	const commands = [
		"--help",
		"check --help",
		"check",
		"schema",
		"plan --filter -- true",
		"explain policy.json",
		"doctor",
	];

	write("policy.json", "{}");

	it.each(commands)("by '%s' may be left unread", (command) => {
		const script = `exec 3> >(:); wait "$!"; "$1" ${command} >&3; echo "$?" >&2`;
		const { stderr } = spawnSync("bash", ["-c", script, "bash", join(root, "vmjail")], {
			encoding: "utf8",
			cwd: folder,
		});
		expect(stderr).toBe("0\n");
	});
});

describe("vmjail schema", () => {
	it("prints the file", () => {
		const file = readFileSync(join(root, "schema/policy.schema.json"), "utf8");
		expect(JSON.parse(vmjail(["schema"]).stdout)).toEqual(JSON.parse(file));
	});
});

describe("vmjail completion", () => {
	it("prints a script", () => {
		expect(vmjail(["completion", "bash"])).toMatchObject({ status: 0, stdout: expect.stringContaining("complete ") });
	});
});
