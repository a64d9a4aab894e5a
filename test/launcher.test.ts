import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
	chmodSync,
	copyFileSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	symlinkSync,
	utimesSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { missingCompiler } from "./executor/c-program.ts";
import { SOON } from "./helpers/patience.ts";
import { requireOr } from "./helpers/requirement.ts";

const checkout = join(import.meta.dirname, "..");
const skip = requireOr(missingCompiler);

/** In the place of the command line: tells what it was started with. */
const fakeCli = `
	const chunks = [];
	process.stdin.on("data", (chunk) => chunks.push(chunk)).on("end", () => {
		const [executor, ...args] = process.argv.slice(2);
		const stdin = Buffer.concat(chunks).toString();
		console.log(JSON.stringify({ executor, args, stdin, cwd: process.cwd(), built: process.env.VMJAIL_BUILT }));
		process.exitCode = 42;
	});
`;

/** In the place of the executor: tells how it was started, in a file beside itself. */
const fakeExecutor = `#!/bin/sh
{ echo "$*"; pwd; env | grep -v '^PWD=\\|^_=\\|^SHLVL=\\|^OLDPWD='; ls -l /proc/self/fd | sed -n 's/.* \\([0-9]*\\) -> \\([a-z/]*\\).*/\\1 \\2/p'
ps -o sid= -p $$ | tr -d ' ' | grep -qx $$ && echo own session; grep SigIgn /proc/$$/status; } >"$0.new" 2>&1; mv "$0.new" "$0.log"
`;

const compiled = mkdtempSync(join(tmpdir(), "launcher-compiled-"));
const launcher = join(compiled, "vmjail-launch");

const at = { root: "" };
const inRoot = (path: string) => join(at.root, path);

function file(path: string, text: string, mode = 0o644): void {
	mkdirSync(inRoot(join(path, "..")), { recursive: true });
	writeFileSync(inRoot(path), text);
	chmodSync(inRoot(path), mode);
}

/** Lets the build begin this many seconds from now (negative: ago). */
function built(seconds: number): void {
	file("build/stamp", "");
	const time = Date.now() / 1000 + seconds;
	utimesSync(inRoot("build/stamp"), time, time);
}

function run(program: string, args: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}) {
	const { status, stdout, stderr } = spawnSync(program, args, {
		input: "the job's input",
		encoding: "utf8",
		...options,
	});
	return { status, stderr, job: stdout === "" ? undefined : JSON.parse(stdout) };
}

beforeAll(() => {
	if (skip) return;
	const folder = join(checkout, "native/launcher");
	const sources = readdirSync(folder).filter((name) => name.endsWith(".c"));
	const flags = ["-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror"];
	execFileSync("cc", [...flags, "-o", launcher, ...sources.map((name) => join(folder, name))]);
});
afterAll(() => rmSync(compiled, { recursive: true, force: true }));

beforeEach(() => {
	at.root = mkdtempSync(join(tmpdir(), "launcher-test-"));
	if (skip) return;
	copyFileSync(join(checkout, "vmjail"), inRoot("vmjail"));
	file("dist/cli.cjs", fakeCli);
	file("build/vmjail-executor", "", 0o755);
	file("build/vmjail-confine", "", 0o755);
	file("build/addon.node", "");
	copyFileSync(launcher, inRoot("build/vmjail-launch"));
});
afterEach(() => rmSync(at.root, { recursive: true, force: true }));

describe.skipIf(skip)("vmjail, as a package", () => {
	it("passes arguments, standard input and the exit status through", () => {
		const args = ["-c", "a b", "", "--", "*", "$HOME", "'"];
		const { status, job } = run(inRoot("vmjail"), args);
		expect({ status, ...job }).toMatchObject({ status: 42, args, stdin: "the job's input" });
	});

	it("works from any directory, through links, and by a relative path", () => {
		symlinkSync("../vmjail", inRoot("dist/first"));
		symlinkSync(inRoot("dist/first"), inRoot("second"));
		expect(run(inRoot("second"), ["x"], { cwd: "/" })).toMatchObject({
			status: 42,
			job: { args: ["x"], cwd: "/" },
		});
		expect(run("sh", ["vmjail", "x"], { cwd: at.root })).toMatchObject({ status: 42, job: { args: ["x"] } });
		expect(run("../vmjail", ["x"], { cwd: inRoot("dist") })).toMatchObject({ status: 42, job: { args: ["x"] } });
	});

	it("becomes Node, so that signals arrive", async () => {
		file("dist/cli.cjs", 'process.stdout.write("ready"); setInterval(() => {}, 1000);');
		const child = spawn(inRoot("vmjail"), { stdio: ["ignore", "pipe", "inherit"] });
		await once(child.stdout, "data");
		child.kill("SIGTERM");
		expect(await once(child, "exit")).toEqual([null, "SIGTERM"]);
	});

	it.each(["<&-", "<&- >&- 2>&-"])("has no descriptor of its own among the standard streams: %s", (closed) => {
		file("dist/cli.cjs", 'require("node:fs").writeFileSync("args", process.argv[2]);');
		spawnSync("sh", ["-c", `exec ./vmjail ${closed}`], { cwd: at.root });
		expect(Number(readFileSync(inRoot("args"), "utf8").replace("--executor=", ""))).toBeGreaterThan(2);
	});

	it("says that Node is missing, with status 125", () => {
		const { status, stderr } = run(inRoot("vmjail"), [], { env: { PATH: "/nonexistent" } });
		expect(status).toBe(125);
		expect(stderr).toMatch(/node is not in PATH/);
	});

	it("starts the executor with a socket and nothing else, and hands over the other end", async () => {
		file("build/vmjail-executor", fakeExecutor, 0o755);
		const script = 'trap "" CHLD PIPE; exec 7</etc/passwd; cd "$1"; exec ./vmjail x';
		const { job } = run("sh", ["-c", script, "sh", at.root], { env: { ...process.env, SECRET: "s" } });
		expect(job).toMatchObject({ executor: expect.stringMatching(/^--executor=[1-9]\d*$/), args: ["x"] });
		const log = await vi.waitUntil(() => {
			const names = readdirSync(inRoot("build"));
			return names.includes("vmjail-executor.log") && readFileSync(inRoot("build/vmjail-executor.log"), "utf8");
		}, SOON);
		const open = log.split("\n").filter((line) => /^\d /.test(line));
		expect(log.split("\n").slice(0, 2)).toEqual(["serve 3", "/"]);
		expect(log).not.toContain("SECRET");
		expect(log).toContain("own session");
		// Node and sh may ignore SIGPIPE by themselves; SIGCHLD (bit 16) must not be.
		expect(Number.parseInt(/SigIgn:\s*(\w+)/.exec(log)?.[1] ?? "ffffff", 16) & (1 << 16)).toBe(0);
		expect(open.filter((line) => line.startsWith("3 "))).toEqual(["3 socket"]);
		expect(open.filter((line) => line.includes("passwd"))).toEqual([]);
	});
});

describe.skipIf(skip)("vmjail, in a git checkout", () => {
	beforeEach(() => {
		for (const path of ["src/a/b.ts", "native/a.c", "package.json", "package-lock.json", ".git"]) file(path, "");
		// Puts back what is missing of the parts, and leaves every time as it is.
		file("backup/cli.cjs", fakeCli);
		copyFileSync(launcher, inRoot("backup/vmjail-launch"));
		const put = (part: string, to: string) => `[ -e ${to}/${part} ] || cp backup/${part} ${to}`;
		const parts = `${put("cli.cjs", "dist")}\n${put("vmjail-launch", "build")}`;
		file("scripts/setup.sh", `echo set up; cat; cd "\${0%/*}/.."\n${parts}\nexit $FAKE_SETUP_STATUS\n`);
	});
	const env = (extra: Record<string, string> = {}): NodeJS.ProcessEnv => ({ ...process.env, ...extra });

	it("does not set up where the build is newer than the sources", () => {
		built(+10);
		expect(run(inRoot("vmjail"), ["x"], { cwd: at.root })).toMatchObject({
			status: 42,
			stderr: "",
			job: { args: ["x"] },
		});
	});

	const newer = (path: string) => () => {
		built(+10);
		utimesSync(inRoot(path), Date.now() / 1000 + 20, Date.now() / 1000 + 20);
	};
	const without = (path: string) => () => {
		built(+10);
		rmSync(inRoot(path), { recursive: true });
	};

	it.each([
		["every source is newer than the build", () => built(-10)],
		["one source is", newer("src/a/b.ts")],
		["a folder is, for something came or went", newer("src/a")],
		["the lock file is", newer("package-lock.json")],
		["a source cannot be looked at", without("native")],
		["it was never built", () => undefined],
		["the launcher is missing", without("build/vmjail-launch")],
		["the executor is missing", without("build/vmjail-executor")],
		["the program that installs filters in gVisor is missing", without("build/vmjail-confine")],
		["the command line is missing", without("dist/cli.cjs")],
	])("sets up first where %s, once, on standard error, leaving the job its input", (_when, arrange) => {
		arrange();
		const { status, stderr, job } = run(inRoot("vmjail"), ["x"], { cwd: at.root });
		expect({ status, stderr }).toEqual({ status: 42, stderr: "set up\n" });
		expect(job).toEqual(expect.objectContaining({ args: ["x"], stdin: "the job's input" }));
		expect(job).not.toHaveProperty("built");
	});

	it("runs nothing where setting up fails, with status 125", () => {
		built(-10);
		const { status, job } = run(inRoot("vmjail"), ["x"], { cwd: at.root, env: env({ FAKE_SETUP_STATUS: "1" }) });
		expect({ status, job }).toEqual({ status: 125, job: undefined });
	});
});
