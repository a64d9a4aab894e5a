import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
	chmodSync,
	copyFileSync,
	mkdirSync,
	mkdtempSync,
	rmSync,
	symlinkSync,
	utimesSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const launcher = join(import.meta.dirname, "../vmjail");
const fakeCli = `
	const chunks = []; for await (const chunk of process.stdin) chunks.push(chunk);
	console.log(JSON.stringify({ args: process.argv.slice(2), cwd: process.cwd(), stdin: Buffer.concat(chunks).toString() }));
	process.exitCode = 42;
`;

let root = "";

function file(path: string, text: string, mode = 0o644): void {
	mkdirSync(join(root, path, ".."), { recursive: true });
	writeFileSync(join(root, path), text);
	chmodSync(join(root, path), mode);
}

/** Lets the build begin this many seconds from now (negative: ago). */
function built(seconds: number): void {
	file("build/stamp", "");
	const time = Date.now() / 1000 + seconds;
	utimesSync(join(root, "build/stamp"), time, time);
}

function run(program: string, args: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}) {
	const { status, stdout, stderr } = spawnSync(program, args, {
		input: "the job's input",
		encoding: "utf8",
		...options,
	});
	return { status, stderr, job: stdout === "" ? undefined : JSON.parse(stdout) };
}

beforeEach(() => {
	root = mkdtempSync(join(tmpdir(), "launcher-test-"));
	copyFileSync(launcher, join(root, "vmjail"));
	file("dist/cli.cjs", fakeCli);
	file("dist/package.json", '{ "type": "module" }');
	file("build/vmjail-executor", "", 0o755);
	file("build/addon.node", "");
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe("vmjail, as a package", () => {
	it("passes arguments, standard input and the exit status through", () => {
		const args = ["-c", "a b", "", "--", "*", "$HOME", "'"];
		const { status, job } = run(join(root, "vmjail"), args);
		expect({ status, ...job }).toMatchObject({ status: 42, args, stdin: "the job's input" });
	});

	it("works from any directory, through links, and by a relative path", () => {
		symlinkSync("../vmjail", join(root, "dist/first"));
		symlinkSync(join(root, "dist/first"), join(root, "second"));
		expect(run(join(root, "second"), ["x"], { cwd: "/" })).toMatchObject({
			status: 42,
			job: { args: ["x"], cwd: "/" },
		});
		expect(run("sh", ["vmjail", "x"], { cwd: root })).toMatchObject({ status: 42, job: { args: ["x"] } });
		expect(run("../vmjail", ["x"], { cwd: join(root, "dist") })).toMatchObject({ status: 42, job: { args: ["x"] } });
	});

	it("becomes Node, so that signals arrive", async () => {
		file("dist/cli.cjs", 'process.stdout.write("ready"); setInterval(() => {}, 1000);');
		const child = spawn(join(root, "vmjail"), { stdio: ["ignore", "pipe", "inherit"] });
		await once(child.stdout, "data");
		child.kill("SIGTERM");
		expect(await once(child, "exit")).toEqual([null, "SIGTERM"]);
	});

	it("says that Node is missing, with status 125", () => {
		const { status, stderr } = run(join(root, "vmjail"), [], { env: { PATH: "/nonexistent" } });
		expect(status).toBe(125);
		expect(stderr).toMatch(/node is not in PATH/);
	});
});

describe("vmjail, in a git checkout", () => {
	beforeEach(() => {
		for (const path of ["src/a.ts", "native/a.c", "package.json", "package-lock.json", ".git"]) file(path, "");
		file("scripts/setup.sh", "echo set up; cat; touch build/called; exit $FAKE_SETUP_STATUS\n");
	});
	const env = (extra: Record<string, string> = {}): NodeJS.ProcessEnv => ({ ...process.env, ...extra });

	it("does not set up where the build is newer than the sources", () => {
		built(+10);
		expect(run(join(root, "vmjail"), ["x"], { cwd: root })).toMatchObject({
			status: 42,
			stderr: "",
			job: { args: ["x"] },
		});
	});

	it.each([
		["a source is newer than the build", () => built(-10)],
		["it was never built", () => undefined],
		[
			"the executor is missing",
			() => {
				built(+10);
				rmSync(join(root, "build/vmjail-executor"));
			},
		],
	])("sets up first where %s, on standard error, leaving the job its input", (_when, arrange) => {
		arrange();
		const { status, stderr, job } = run(join(root, "vmjail"), ["x"], { cwd: root });
		expect({ status, stderr }).toEqual({ status: 42, stderr: "set up\n" });
		expect(job).toMatchObject({ args: ["x"], stdin: "the job's input" });
	});

	it("runs nothing where setting up fails, with status 125", () => {
		built(-10);
		const { status, job } = run(join(root, "vmjail"), ["x"], { cwd: root, env: env({ FAKE_SETUP_STATUS: "1" }) });
		expect({ status, job }).toEqual({ status: 125, job: undefined });
	});
});
