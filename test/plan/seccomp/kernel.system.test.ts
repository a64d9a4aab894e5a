import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Architecture } from "../../../src/host/types.ts";
import { defaultProfile, strictProfile } from "../../../src/oci/seccomp/profiles.ts";
import { compileSeccomp } from "../../../src/plan/seccomp/compile.ts";
import { type SyscallName, syscallNumber } from "../../../src/plan/syscalls.ts";
import { removeFolder } from "../../helpers/folder.ts";
import { requireOr } from "../../helpers/requirement.ts";

const arch: Architecture = process.arch === "arm64" ? "aarch64" : "x86_64";
const SOURCE = fileURLToPath(new URL("./run-filtered.c", import.meta.url));
const BUILD = fileURLToPath(new URL("../../../build/", import.meta.url));
const RUNNER = `${BUILD}run-filtered`;
const PROFILES = { default: defaultProfile, strict: strictProfile } as const;

function missing(...programs: string[]): string | undefined {
	const lacking = programs.filter((program) => spawnSync("which", [program]).status !== 0);
	return lacking.length === 0 ? undefined : `not installed: ${lacking.join(", ")}`;
}

describe.skipIf(requireOr(missing("cc")))("under the kernel", () => {
	let folder = "";
	beforeAll(() => {
		folder = mkdtempSync(join(tmpdir(), "vmjail-seccomp-"));
		mkdirSync(BUILD, { recursive: true });
		execFileSync("cc", ["-Wall", "-Wextra", "-Werror", "-O1", "-o", RUNNER, SOURCE]);
		for (const [name, profile] of Object.entries(PROFILES)) {
			writeFileSync(join(folder, name), compileSeccomp(profile(arch), arch).bytes);
		}
	});
	afterAll(() => removeFolder(folder));

	function filtered(filter: string, ...command: string[]): string {
		const path = filter === "none" ? filter : join(folder, filter);
		const { status, stdout, stderr } = spawnSync(RUNNER, [path, ...command], {
			encoding: "utf8",
			cwd: folder,
			input: "",
		});
		if (status !== 0) throw new Error(`${command.join(" ")}: status ${status}\n${stdout}${stderr}`);
		return stdout;
	}
	function errnoOf(filter: string, name: SyscallName, ...args: number[]): number {
		const nr = syscallNumber(arch, name);
		if (nr === undefined) throw new Error(`${arch} has no ${name}`);
		return Number(filtered(filter, "--call", String(nr), ...args.map(String)));
	}

	const EPERM = 1;
	const ENOTTY = 25;
	const ENOSYS = 38;
	const EAFNOSUPPORT = 97;
	const CLONE_NEWUSER = 0x10000000;
	// What the call answers without a filter shows that it reaches the kernel's code; under one it does not.
	it.each<[string, SyscallName, number[], number, number]>([
		["a user namespace", "unshare", [CLONE_NEWUSER], EPERM, EPERM],
		["being traced", "ptrace", [0], EPERM, EPERM],
		["kcmp of itself", "kcmp", [process.pid, process.pid, 0], EPERM, EPERM],
		["TIOCSTI", "ioctl", [0, 0x5412, 0], EPERM, ENOTTY],
		["TIOCSTI behind a high bit", "ioctl", [0, 0x1_0000_5412, 0], EPERM, ENOTTY],
		["a packet socket", "socket", [17, 3, 0], EAFNOSUPPORT, EPERM],
		["an audit socket", "socket", [16, 3, 9], EAFNOSUPPORT, EPERM],
		["no address randomisation", "personality", [0x40000], EPERM, EPERM],
		["clone3", "clone3", [0, 0], ENOSYS, ENOSYS],
	])("refuses %s", (_, name, args, byDefault, strict) => {
		expect([errnoOf("default", name, ...args), errnoOf("strict", name, ...args)]).toEqual([byDefault, strict]);
		const without = errnoOf("none", name, ...args);
		expect([ENOSYS, byDefault]).not.toContain(without);
	});

	it("answers ENOSYS for a call of the future", () => {
		for (const filter of Object.keys(PROFILES)) {
			expect(Number(filtered(filter, "--call", "1000"))).toBe(ENOSYS);
		}
	});

	const PYTHON = [
		"import threading, subprocess, asyncio, tempfile",
		"seen = []",
		"threads = [threading.Thread(target=seen.append, args=(n,)) for n in range(8)]",
		"[t.start() for t in threads]; [t.join() for t in threads]",
		"asyncio.run(asyncio.sleep(0.001))",
		"tempfile.TemporaryFile().write(b'x')",
		"print(len(seen), subprocess.run(['echo', 'child'], capture_output=True, text=True).stdout.strip())",
	].join("\n");
	const NODE = `const { Worker } = require("node:worker_threads");
		new Worker("require('node:worker_threads').parentPort.postMessage(1)", { eval: true }).on("message", () => {
			const child = require("node:child_process").execFileSync("echo", ["child"], { encoding: "utf8" }).trim();
			const server = require("node:net").createServer((it) => it.end("net")).listen(0, "127.0.0.1", () =>
				require("node:net").connect(server.address().port, "127.0.0.1").on("data", (data) => {
					console.log(child + " " + data);
					server.close();
				}));
		});`;
	const CPP = '#include <thread>\\n#include <cstdio>\\nint main() { std::thread([] { puts("thread"); }).join(); }\\n';
	const both = ["default", "strict"] as const;
	it.each<[string, readonly string[], readonly string[], string]>([
		["python3", both, ["python3", "-c", PYTHON], "8 child"],
		["node", ["default"], [process.execPath, "-e", NODE], "child net"],
		["g++", both, ["sh", "-c", `printf '${CPP}' > t.cc && g++ -pthread -o t t.cc && ./t`], "thread"],
		[
			"git",
			both,
			[
				"sh",
				"-c",
				"rm -rf g && git init -q g && cd g && echo a > a && git add a && git -c user.name=a -c user.email=a@b commit -qm done && git log --format=%s",
			],
			"done",
		],
		[
			"tar",
			["default"],
			["sh", "-c", "mkdir -p s d && ln -sf x s/l && tar -czf s.tgz s && tar -xzf s.tgz -C d && readlink d/s/l"],
			"x",
		],
		["bash", both, ["bash", "-ic", "echo $((6 * 7)) | cat"], "42"],
	])("lets %s work", (program, filters, command, output) => {
		if (requireOr(missing(program))) return;
		for (const filter of filters) expect([filter, filtered(filter, ...command).trim()]).toEqual([filter, output]);
	});
});
