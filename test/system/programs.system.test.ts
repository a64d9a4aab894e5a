/** Real programs under the default policy, and everything that a command line owes them. */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { requireOr } from "../helpers/requirement.ts";
import { CALLERS, type Caller, missingCaller, missingPrograms, Place, ROOT, run, VMJAIL, vmjail } from "./caller.ts";

const MIB = 1 << 20;

/** Tests for one caller, with a place of its own. */
function asCaller(caller: Caller, name: string, tests: (place: Place) => void): void {
	describe.skipIf(requireOr(missingCaller(caller)))(`${name} as ${caller.name}`, () => {
		const place = new Place(caller);
		afterAll(() => place.remove());
		tests(place);
	});
}

/** Pseudorandom bytes (xorshift32): the same each time, and every byte value occurs. */
function noise(size: number): Buffer {
	const words = new Uint32Array(Math.ceil(size / 4));
	let state = 0x9e3779b9;
	for (let i = 0; i < words.length; i++) {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		words[i] = state;
	}
	return Buffer.from(words.buffer, 0, size);
}

for (const caller of CALLERS) {
	asCaller(caller, "programs", (place) => {
		const quiet = (...command: readonly string[]) => vmjail(place, ["-q", "--", ...command]);

		it.skipIf(requireOr(missingPrograms("python3")))("python3 with threads and subprocesses", async () => {
			const script = `
import subprocess, threading, multiprocessing
out = []
def work(n): out.append(subprocess.check_output(["echo", str(n)]).strip())
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
for t in threads: t.start()
for t in threads: t.join()
print(sorted(out))
with multiprocessing.Pool(2) as pool: print(pool.map(abs, range(-3, 0)))
`;
			expect(await quiet("python3", "-c", script)).toMatchObject({
				status: 0,
				stdout: `[${[..."01234567"].map((n) => `b'${n}'`).join(", ")}]\n[3, 2, 1]\n`,
				stderr: "",
			});
		});

		it("node with worker threads", async () => {
			const script = `
				const { Worker } = require("node:worker_threads");
				const worker = new Worker("require('node:worker_threads').parentPort.postMessage(6 * 7)", { eval: true });
				worker.on("message", (answer) => console.log(answer));`;
			expect(await quiet(process.execPath, "-e", script)).toMatchObject({ status: 0, stdout: "42\n", stderr: "" });
		});

		it.skipIf(requireOr(missingPrograms("gcc")))("gcc, in a writable folder, and what it compiles", async () => {
			place.write("hello.c", '#include <stdio.h>\nint main(void) { puts("compiled"); return 5; }\n');
			const command = ["--rw", place.work, "--", "sh", "-c", "gcc -o hello hello.c && ./hello"];
			expect(await vmjail(place, ["-q", ...command])).toMatchObject({ status: 5, stdout: "compiled\n", stderr: "" });
			expect((await run(place, ["./hello"])).status).toBe(5);
		});

		it.skipIf(requireOr(missingPrograms("git")))("git clone of a local repository", async () => {
			const identity = "-c user.name=t -c user.email=t@localhost";
			const make = `git init -q origin && cd origin && echo text > file && git add file && git ${identity} commit -qm first`;
			expect(await run(place, ["sh", "-c", make])).toMatchObject({ status: 0, stderr: "" });
			const clone = await quiet("sh", "-c", "git clone -q origin /tmp/copy && cat /tmp/copy/file");
			expect(clone).toMatchObject({ status: 0, stdout: "text\n", stderr: "" });
		});

		it("tar packs and unpacks", async () => {
			place.write("packed", "packed content\n");
			const script = "tar czf /tmp/a.tgz packed && mkdir /tmp/x && tar xzf /tmp/a.tgz -C /tmp/x && cat /tmp/x/packed";
			expect(await quiet("sh", "-c", script)).toMatchObject({ status: 0, stdout: "packed content\n", stderr: "" });
		});

		it.skipIf(requireOr(missingPrograms("apt")))("apt list", async () => {
			const { status, stdout } = await quiet("apt", "list", "--installed");
			expect(status).toBe(0);
			expect(stdout).toMatch(/^bash\//m);
		});
	});

	asCaller(caller, "streams", (place) => {
		it("pipes, inside and around", async () => {
			const line = `seq 10 | ${VMJAIL} -q -- sh -c 'sort -rn | head -3' | tac`;
			expect(await run(place, ["sh", "-c", line])).toMatchObject({ status: 0, stdout: "8\n9\n10\n", stderr: "" });
		});

		it.each([
			["straight", []],
			["counted against a limit", ["--output", "101MiB"]],
		])("100 MiB in and out, %s", async (_, flags) => {
			const input = noise(100 * MIB);
			const { status, bytes, stderr } = await vmjail(place, ["-q", ...flags, "--", "cat"], { input });
			expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
			expect(bytes.equals(input)).toBe(true);
		});

		it("100 MiB from a file to a file", async () => {
			const big = place.write("big", noise(100 * MIB));
			expect((await run(place, ["sh", "-c", `${VMJAIL} -q -- cat < big > copy`])).status).toBe(0);
			expect(readFileSync(join(place.work, "copy")).equals(readFileSync(big))).toBe(true);
		});

		it("every byte value, on both outputs", async () => {
			const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
			const script = "cat > /tmp/all; cat /tmp/all; cat /tmp/all >&2";
			const { bytes, stderr } = await vmjail(place, ["-q", "--", "sh", "-c", script], { input: all });
			expect(bytes).toEqual(all);
			expect(stderr).toBe(all.toString());
		});

		it("closed standard input reads as empty", async () => {
			const { status, stdout } = await run(place, ["sh", "-c", `${VMJAIL} -q -- sh -c 'cat; echo end' <&-`]);
			expect({ status, stdout }).toEqual({ status: 0, stdout: "end\n" });
		});

		it("closed standard output and error do not stop the program", async () => {
			const { status } = await run(place, ["sh", "-c", `${VMJAIL} -q -- sh -c 'echo x; exit 4' >&- 2>&-`]);
			expect(status).toBe(4);
		});

		it.each([
			["straight", ""],
			["counted against a limit", "--output 1GiB"],
		])("a reader that has gone ends the program as it does without vmjail, %s", async (_, flags) => {
			const ends = (command: string) => `${command} | head -n 1; echo "\${PIPESTATUS[0]}"`;
			const bare = await run(place, ["bash", "-c", ends("yes")]);
			const jailed = await run(place, ["bash", "-c", ends(`${VMJAIL} -q ${flags} -- yes`)]);
			expect(bare.stdout).toBe("y\n141\n");
			expect(jailed.stdout).toBe(bare.stdout);
		});
	});

	asCaller(caller, "ends", (place) => {
		it.each([
			[0, ["true"]],
			[7, ["sh", "-c", "exit 7"]],
			[126, ["/etc/passwd"]],
			[127, ["no-such-program"]],
			[127, ["/no/such/program"]],
			[143, ["sh", "-c", "kill -TERM $$"]],
			[137, ["sh", "-c", "kill -KILL $$"]],
			[139, ["sh", "-c", "kill -SEGV $$"]],
		])("exit status %i", async (status, command) => {
			expect((await vmjail(place, ["-q", "--", ...command])).status).toBe(status);
		});

		it("exit status 124 at the limit of time, of the clock and of the CPU", async () => {
			expect((await vmjail(place, ["-q", "--wall", "200ms", "--", "sleep", "50"])).status).toBe(124);
			const busy = "while :; do :; done";
			expect((await vmjail(place, ["-q", "--time", "200ms", "--", "sh", "-c", busy])).status).toBe(124);
		});

		it.each([
			["SIGTERM", "TERM"],
			["SIGINT", "INT"],
			["SIGHUP", "HUP"],
			["SIGUSR1", "USR1"],
		] as const)("%s reaches the program, which may handle it", async (signal, name) => {
			const script = `trap 'echo got ${name}; exit 3' ${name}; echo ready; while :; do sleep 0.02; done`;
			const result = await vmjail(place, ["-q", "--", "sh", "-c", script], {
				onOutput: (soFar, child) => soFar === "ready\n" && child.kill(signal),
			});
			expect(result).toMatchObject({ status: 3, stdout: `ready\ngot ${name}\n` });
		});

		it.each([
			["SIGTERM", 143],
			["SIGINT", 130],
		] as const)("%s ends a program that does not handle it", async (signal, status) => {
			const result = await vmjail(place, ["-q", "--", "sh", "-c", "echo ready; exec sleep 50"], {
				onOutput: (_, child) => child.kill(signal),
			});
			expect(result.status).toBe(status);
		});

		it("--result: what became of the program, as JSON", async () => {
			const file = join(place.work, "result.json");
			const outcome = async (...args: readonly string[]) => {
				await vmjail(place, ["-q", "--result", file, ...args]);
				return JSON.parse(readFileSync(file, "utf8"));
			};
			expect(await outcome("--", "sh", "-c", "exit 9")).toMatchObject({
				kind: "exited",
				exitCode: 9,
				runtime: "runlc",
			});
			expect(await outcome("--", "sh", "-c", "kill -KILL $$")).toMatchObject({ kind: "signaled", signal: "SIGKILL" });
			expect(await outcome("--wall", "100ms", "--", "sleep", "9")).toMatchObject({ kind: "limit", limit: "wall-time" });
			expect(await outcome("--", "no-such-program")).toMatchObject({ kind: "error", code: "COMMAND_NOT_FOUND" });
		});
	});

	asCaller(caller, "arguments", (place) => {
		it("40 KiB and 1 MiB of them", async () => {
			const script = 'printf "%s " $#; printf %s "$@" | wc -c';
			const sized = (count: number, size: number) => Array.from({ length: count }, () => "x".repeat(size));
			const one = await vmjail(place, ["-q", "--", "sh", "-c", script, "sh", ...sized(1, 40 * 1024)]);
			expect(one).toMatchObject({ status: 0, stdout: "1 40960\n" });
			const many = await vmjail(place, ["-q", "--", "sh", "-c", script, "sh", ...sized(1024, 1024)]);
			expect(many).toMatchObject({ status: 0, stdout: `1024 ${MIB}\n` });
		});

		it("pass unchanged: empty, blanks, new lines, UTF-8, flags of the program's own", async () => {
			const odd = ["", " ", "a\nb", "ü€", "--rw", "-c", "--", "$HOME"];
			const { stdout } = await vmjail(place, ["-q", "--", "printf", "[%s]", ...odd]);
			expect(stdout).toBe(odd.map((text) => `[${text}]`).join(""));
			expect((await vmjail(place, ["-q", "echo", "--rw", "x", "-q"])).stdout).toBe("--rw x -q\n");
		});

		it("secrets of the caller's environment are not passed, nor to be found", async () => {
			const env = { AWS_SECRET_ACCESS_KEY: "sesame-1", GITHUB_TOKEN: "sesame-2", LD_PRELOAD_X: "sesame-3" };
			const search = "env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n'";
			const bare = await run(place, ["sh", "-c", search], { env });
			expect(bare.stdout).toMatch(/sesame-2/);
			const { stdout } = await vmjail(place, ["-q", "--", "sh", "-c", search], { env });
			expect(stdout).toMatch(/^HOME=\/tmp$/m);
			expect(stdout).not.toMatch(/sesame/);
		});

		it("--env, --pass-env", async () => {
			const flags = ["--env", "A=1 2", "--env", "B=", "--pass-env", "TOKEN"];
			const { stdout } = await vmjail(place, ["-q", ...flags, "--", "env"], { env: { TOKEN: "t", OTHER: "o" } });
			expect(stdout.split("\n")).toEqual(expect.arrayContaining(["A=1 2", "B=", "TOKEN=t"]));
			expect(stdout).not.toMatch(/OTHER/);
		});

		it("--cwd, and the caller's own folder without it", async () => {
			expect((await vmjail(place, ["-q", "--", "pwd"])).stdout).toBe(`${place.work}\n`);
			expect((await vmjail(place, ["-q", "--cwd", "/usr/lib", "--", "pwd"])).stdout).toBe("/usr/lib\n");
			expect((await vmjail(place, ["-q", "--cwd", "/no/where", "--", "pwd"])).status).toBe(125);
		});

		it("--rw writes through, --ro and the default do not", async () => {
			const file = place.write("data", "old\n");
			const append = ["--", "sh", "-c", `echo new >> ${file}`];
			for (const flags of [[], ["--ro", place.work], ["--ro", file]]) {
				const { status, stderr } = await vmjail(place, ["-q", ...flags, ...append]);
				expect({ status, stderr }).toMatchObject({ status: 2, stderr: expect.stringMatching(/Read-only file system/) });
			}
			expect(readFileSync(file, "utf8")).toBe("old\n");
			expect((await vmjail(place, ["-q", "--rw", file, ...append])).status).toBe(0);
			expect(readFileSync(file, "utf8")).toBe("old\nnew\n");
		});

		it("--ro shows what a mask hides", async () => {
			writeFileSync(join(place.home, "shown"), "shown\n");
			const args = ["--", "cat", join(place.home, "shown")];
			expect((await vmjail(place, ["-q", ...args])).stderr).toMatch(/No such file or directory/);
			expect((await vmjail(place, ["-q", "--ro", place.home, ...args])).stdout).toBe("shown\n");
		});

		it("--tmpfs is empty, writable, and of its size", async () => {
			const script = "ls -A; echo x > x && cat x; df -k --output=size . | tail -n 1";
			place.write("outside", "");
			const flags = ["--tmpfs", `${place.work}:8MiB`];
			const { stdout } = await vmjail(place, ["-q", ...flags, "--", "sh", "-c", `cd ${place.work}; ${script}`]);
			expect(stdout.trim().split(/\s+/)).toEqual(["x", "8192"]);
		});
	});
}

asCaller(ROOT, "--user", (place) => {
	it("runs as another, with nothing of root's", async () => {
		const secret = place.write("root-only", "secret\n", 0o600);
		const script = `id -u; id -g; id -G; cat ${secret}; grep -E 'Cap(Prm|Eff|Bnd|Amb)' /proc/self/status`;
		const { stdout, stderr } = await vmjail(place, ["-q", "--user", "1234:2345", "--", "sh", "-c", script]);
		expect(stdout.split("\n").slice(0, 3)).toEqual(["1234", "2345", "2345"]);
		expect(stdout).not.toMatch(/secret/);
		expect(stderr).toMatch(/Permission denied/);
		expect(stdout.match(/:\t0{16}$/gm)).toHaveLength(4);
	});
});
