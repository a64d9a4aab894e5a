/** The exec allow-list as a user meets it: what runs, what does not, and what is said. */

import { createHash } from "node:crypto";
import { chmodSync, copyFileSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { requireOr } from "../helpers/requirement.ts";
import {
	CALLERS,
	missingCaller,
	missingPrograms,
	Place,
	type Ran,
	ROOT,
	type RunOptions,
	run,
	VMJAIL,
	vmjail,
} from "../system/caller.ts";
import { elf32 } from "./elf32.ts";
import { allowing, buildPrograms, FENCES, put, refusals, withoutCalls } from "./programs.ts";

const missingTools = buildPrograms();
const BOTH = FENCES[0];
const ENOSYS = 38;
const SECCOMP_AND_PRCTL_FILTER = process.arch === "arm64" ? "277" : "317";

function sha256(file: string): string {
	return createHash("sha256").update(readFileSync(file)).digest("hex");
}

for (const caller of CALLERS) {
	describe.skipIf(requireOr(missingTools ?? missingCaller(caller)))(`the exec allow-list as ${caller.name}`, () => {
		const place = new Place(caller);
		beforeAll(() => {
			put(place, "listed");
			put(place, "canary");
		});
		afterAll(() => place.remove());
		const at = (name: string) => join(place.work, name);

		it("the talk's: only ls runs; each refusal is one line", async () => {
			const only = (...command: readonly string[]) => allowing(place, BOTH, ["/usr/bin/ls"], ["--", ...command]);
			expect((await only("ls", "-d", "/usr")).stdout).toBe("/usr\n");
			const copy = at("ls");
			copyFileSync("/usr/bin/ls", copy);
			for (const command of [["sh", "-c", "ls"], [copy], ["env", "ls"]]) {
				const { status, stdout, stderr } = await only(...command);
				expect({ status, stdout }).toEqual({ status: 126, stdout: "" });
				expect(refusals(stderr)).toEqual([
					expect.stringMatching(/^vmjail: refused: \/\S+ is not in security.process.allow$/),
				]);
			}
		});

		it.skipIf(requireOr(missingPrograms("busybox")))("busybox ls is not ls", async () => {
			expect((await vmjail(place, ["-q", "--", "busybox", "ls", "-d", "/usr"])).stdout).toBe("/usr\n");
			expect(await allowing(place, BOTH, ["/usr/bin/ls"], ["--", "busybox", "ls", "-d", "/usr"])).toMatchObject({
				status: 126,
				stdout: "",
			});
		});

		it("a shell gets a permission error, and says so", async () => {
			const script = "ls -d /usr; id; id; echo end";
			const { status, stdout, stderr } = await allowing(
				place,
				BOTH,
				["/bin/sh", "/usr/bin/ls"],
				["--env", "PATH=/usr/bin", "--", "sh", "-c", script],
			);
			expect({ status, stdout }).toEqual({ status: 0, stdout: "/usr\nend\n" });
			expect(stderr.match(/id: Permission denied/g)).toHaveLength(2);
			expect(refusals(stderr)).toEqual([
				expect.stringMatching(
					/^vmjail: refused: \/usr\/bin\/id \(process \d+\) is not in security.process.allow \(allow it: --exec \/usr\/bin\/id\)$/,
				),
			]);
		});

		it.each(FENCES)("ld.so by an allowed shell: %s", async (fence) => {
			const loader = process.arch === "arm64" ? "/lib/ld-linux-aarch64.so.1" : "/lib64/ld-linux-x86-64.so.2";
			const command = ["--", "sh", "-c", `${loader} ${at("canary")}`];
			expect((await vmjail(place, ["-q", ...command])).status).toBe(222);
			expect((await allowing(place, fence, ["/bin/sh"], ["-q", ...command])).status).toBe(126);
		});

		it("scripts: listed with their interpreter; else not, whatever interprets them", async () => {
			const listed = place.write("listed.sh", "#!/bin/sh\necho script\n", 0o755);
			const other = place.write("other.sh", "#!/bin/sh\necho script\n", 0o755);
			const foreign = place.write("foreign", `#!${at("canary")}\n`, 0o755);
			expect((await allowing(place, BOTH, [listed], ["-q", "--", listed])).stdout).toBe("script\n");
			for (const command of [other, foreign]) {
				expect((await run(place, [command])).status).toBe(command === other ? 0 : 222);
				expect(await allowing(place, BOTH, ["/bin/sh"], ["-q", "--", command])).toMatchObject({
					status: 126,
					stdout: "",
				});
			}
		});

		it.each(FENCES)("a listed script that gets another interpreter while the jail runs: %s", async (fence) => {
			const script = place.write("changing", "#!/bin/sh\nexit 7\n", 0o755);
			const command = [
				"--",
				"sh",
				"-c",
				`${script}; echo $?; echo '#!${at("canary")}' > ${script}; ${script}; echo $?`,
			];
			expect((await vmjail(place, ["-q", "--rw", place.work, ...command])).stdout).toBe("7\n222\n");
			place.write("changing", "#!/bin/sh\nexit 7\n", 0o755);
			const { stdout } = await allowing(place, fence, ["/bin/sh", script], ["-q", ...command]);
			expect(stdout).toMatch(/^7\n(126|137)\n$/);
		});

		it.each(FENCES)("a library that executes a program in place of its own: %s", async (fence) => {
			const library = put(place, "preload.so");
			const flags = ["-q", "--env", `LD_PRELOAD=${library}`, "--env", `CANARY=${at("static-canary")}`];
			put(place, "static-canary");
			const command = [...flags, "--", "/usr/bin/true"];
			expect((await vmjail(place, ["--rw", place.work, ...command])).status).toBe(222);
			expect((await allowing(place, fence, ["/usr/bin/true"], command)).status).toBe(0);
			// With a listed program beside it the library may be mapped, and the guard decides.
			expect((await allowing(place, fence, ["/usr/bin/true", at("listed")], command)).status).toBe(0);
		});

		it.skipIf(requireOr(process.arch === "x64" ? undefined : "no 32-bit x86 here"))("a 32-bit program", async () => {
			const program = place.write("elf32", elf32(222), 0o755);
			expect((await run(place, [program])).status).toBe(222);
			expect((await allowing(place, BOTH, [at("listed")], ["-q", "--", program])).status).toBe(126);
			// Listed it is loaded, and ended at its first system call: filters let only 64-bit calls in.
			expect((await allowing(place, BOTH, [program], ["-q", "--", program])).status).toBe(128 + 31);
		});

		it("what is no program is no business of the list", async () => {
			await run(place, ["mkfifo", at("fifo")]);
			await run(place, ["chmod", "755", at("fifo")]);
			const script = `${at("fifo")}; echo $?; /dev/null; echo $?; ${place.work}; echo $?; ${at("missing")}; echo $?`;
			const { stdout, stderr } = await allowing(place, BOTH, ["/bin/sh"], ["--", "sh", "-c", script]);
			expect(stdout).toBe("126\n126\n126\n127\n");
			expect(refusals(stderr)).toEqual([]);
		});

		it("without seccomp nothing starts", async () => {
			const args = ["--optional", "memory", "--optional", "pids", "--exec", "/usr/bin/true", "--", "true"];
			expect((await vmjail(place, args)).status).toBe(0);
			const { status, stderr } = await withoutCalls(place, ENOSYS, SECCOMP_AND_PRCTL_FILTER, args);
			expect(status).toBe(125);
			expect(stderr).toMatch(/announce execve to the guard: ENOSYS/);
		});

		it.skipIf(requireOr(missingPrograms("strace", "gdb")))("debuggers are refused", async () => {
			const flags = ["-q", "--env", "PATH=/usr/bin:/bin"];
			const strace = await allowing(
				place,
				BOTH,
				["/usr/bin/strace", at("listed")],
				[...flags, "--", "strace", at("listed")],
			);
			expect(strace.stderr).toMatch(/PTRACE_TRACEME.*Operation not permitted/);
			expect(strace.status).not.toBe(7);
			const command = ["gdb", "-nx", "-batch", "-ex", "set startup-with-shell off", "-ex", "run", at("listed")];
			const gdb = await allowing(place, BOTH, ["/usr/bin/gdb", at("listed")], [...flags, "--", ...command]);
			expect(gdb.stderr).toMatch(/ptrace: Operation not permitted/);
		});

		describe("a program held to its content", () => {
			const change: readonly (readonly [string, (file: string) => void])[] = [
				["overwritten", (file) => writeFileSync(file, readFileSync(at("static-canary")))],
				["replaced by rename", (file) => renameSync(at("static-canary"), file)],
			];

			it.each(FENCES)("runs: %s", async (fence) => {
				const entry = `${at("listed")}@sha256:${sha256(at("listed")).toUpperCase()}`;
				expect((await allowing(place, fence, [entry], ["-q", "--", at("listed")])).status).toBe(7);
			});

			it("of another content is an error, before anything starts", async () => {
				const entry = `${at("listed")}@sha256:${"0".repeat(64)}`;
				const { status, stderr } = await allowing(place, BOTH, [entry, "/bin/sh"], ["--", "sh", "-c", "echo started"]);
				expect(status).toBe(125);
				expect(stderr).toMatch(/is not the file that was listed: its sha256 is [0-9a-f]{64}/);
			});

			describe.each(change)("%s while the jail runs", (what, changeIt) => {
				/** Changes the file once the jail is up; what the shell in it then prints. */
				const played = async (
					jail: (listed: string, options: RunOptions, command: readonly string[]) => Promise<Ran>,
				) => {
					const listed = put(place, "listed", "changing-program");
					put(place, "static-canary");
					rmSync(at("go"), { force: true });
					const onOutput = (soFar: string) => {
						if (soFar !== "ready\n") return;
						changeIt(listed);
						place.write("go", "");
					};
					const script = `echo ready; while [ ! -e ${at("go")} ]; do :; done; ${listed}; echo $?`;
					return (await jail(listed, { onOutput }, ["-q", "--", "sh", "-c", script])).stdout;
				};

				it("without the list the other runs", async () => {
					const open = played((_, options, args) => vmjail(place, ["--rw", place.work, ...args], options));
					expect(await open).toBe("ready\n222\n");
				});

				it("without the digest the file is told by its inode", async () => {
					const listed = played((program, options, args) => allowing(place, BOTH, ["/bin/sh", program], args, options));
					expect(await listed).toBe(`ready\n${what === "overwritten" ? 222 : 126}\n`);
				});

				it.each(FENCES)("with it the other never runs: %s", async (fence) => {
					const listed = played((program, options, args) =>
						allowing(place, fence, ["/bin/sh", `${program}@sha256:${sha256(program)}`], args, options),
					);
					// What is renamed over on the host loses the mounts upon it: then the new file is there to be refused.
					expect(await listed).toBe(`ready\n${what === "overwritten" ? 7 : 126}\n`);
				});
			});
		});
	});
}

describe.skipIf(requireOr(missingTools ?? missingCaller(ROOT)))("a program that may be executed and not read", () => {
	const [, user] = CALLERS;
	const place = new Place(ROOT);
	afterAll(() => place.remove());

	it.skipIf(user === undefined)("is refused where the guard could not tell it", async () => {
		const program = put(place, "listed");
		chmodSync(program, 0o711);
		expect((await run(place, [program])).status).toBe(7);
		const prefix = user?.prefix ?? [];
		const args = ["--optional", "memory", "--optional", "pids", "--ro", place.work, "--exec", program, "--", program];
		const { status, stderr } = await run(place, [...prefix, VMJAIL, ...args]);
		expect(status).toBe(125);
		expect(stderr).toMatch(/may be executed but not read/);
	});

	it("runs for root, and for the user that root names", async () => {
		const program = put(place, "listed");
		chmodSync(program, 0o711);
		const flags = ["-q", "--ro", place.work, "--exec", program];
		expect((await vmjail(place, [...flags, "--", program])).status).toBe(7);
		expect((await vmjail(place, [...flags, "--user", "1234:1234", "--", program])).status).toBe(7);
	});
});
