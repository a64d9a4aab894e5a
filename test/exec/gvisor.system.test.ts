/** The exec allow-list inside gVisor: what a user meets there, and that it holds without the host's kernel knowing of it. */

import { createHash } from "node:crypto";
import { copyFileSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { controlSocket, sendSignal } from "../../src/runtime/runsc/control.ts";
import { PATIENCE } from "../helpers/patience.ts";
import { requireOr } from "../helpers/requirement.ts";
import { CALLERS, missingCaller, missingPrograms, Place, ROOT, type RunOptions, VMJAIL } from "../system/caller.ts";
import { Terminal } from "../system/tmux.ts";
import { elf32 } from "./elf32.ts";
import { allowing, buildPrograms, GVISOR, missingGvisor, put, refusals, withoutList } from "./programs.ts";

const missingTools = buildPrograms() ?? missingGvisor;
const SIGSTOP = 19;
const SIGCONT = 18;

const sha256 = (file: string): string => createHash("sha256").update(readFileSync(file)).digest("hex");

/** `--root` and id of the one runsc whose command line names a folder of ours. */
function sentryOf(vmjailPid: number): { readonly state: string; readonly id: string } | undefined {
	const lines = readdirSync("/proc")
		.filter((name) => /^\d+$/.test(name))
		.flatMap((pid) => {
			try {
				return [readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0")];
			} catch {
				return [];
			}
		});
	const own = lines.find((words) => words.includes("run") && words.some((word) => word.includes(`-${vmjailPid}-`)));
	const state = own?.find((word) => word.startsWith("--root="))?.slice("--root=".length);
	const id = own?.filter(Boolean).at(-1);
	return state === undefined || id === undefined ? undefined : { state, id };
}

for (const caller of CALLERS) {
	for (const { fence } of GVISOR) {
		describe.skipIf(requireOr(missingTools ?? missingCaller(caller)))(`${fence} as ${caller.name}`, () => {
			const place = new Place(caller);
			const at = (name: string) => join(place.work, name);
			beforeAll(() => {
				for (const program of ["listed", "canary", "static-canary", "preload.so", "behave"]) put(place, program);
			});
			afterAll(() => place.remove());

			it("the talk's: ls runs; a shell, a copy of ls, another program do not: one line each", async () => {
				const only = (...command: readonly string[]) => allowing(place, fence, ["/usr/bin/ls"], ["--", ...command]);
				expect((await only("ls", "-d", "/usr")).stdout).toBe("/usr\n");
				copyFileSync("/usr/bin/ls", at("ls"));
				for (const command of [["sh", "-c", "ls"], [at("ls")]]) {
					const { status, stdout, stderr } = await only(...command);
					expect({ status, stdout }).toEqual({ status: 126, stdout: "" });
					expect(refusals(stderr)).toEqual([
						expect.stringMatching(/^vmjail: refused: \/\S+ is not in security.process.allow$/),
					]);
				}
			});

			it.skipIf(requireOr(missingPrograms("busybox")))("busybox ls is not ls", async () => {
				const command = ["--", "busybox", "ls", "-d", "/usr"];
				expect((await withoutList(place, fence, ["-q", ...command])).stdout).toBe("/usr\n");
				const { status, stdout } = await allowing(place, fence, ["/usr/bin/ls"], command);
				expect({ status, stdout }).toEqual({ status: 126, stdout: "" });
			});

			/** One shell that tries everything; what each try ended with. */
			it("what an allowed shell cannot do: ld.so, scripts, libraries, 32-bit programs", async () => {
				const loader = process.arch === "arm64" ? "/lib/ld-linux-aarch64.so.1" : "/lib64/ld-linux-x86-64.so.2";
				place.write("plain.sh", "#!/bin/sh\nexit 3\n", 0o755);
				place.write("foreign", `#!${at("canary")}\n`, 0o755);
				place.write("changing", "#!/bin/sh\nexit 7\n", 0o755);
				place.write("elf32", elf32(222), 0o755);
				const preload = `LD_PRELOAD=${at("preload.so")} CANARY=${at("static-canary")} /usr/bin/true`;
				const tries = [
					`${loader} ${at("canary")}`,
					at("plain.sh"),
					at("foreign"),
					preload,
					at("changing"),
					`echo '#!${at("canary")}' > ${at("changing")}; ${at("changing")}`,
					at("elf32"),
					`cat < ${at("plain.sh")} > ${at("copied")}; chmod 755 ${at("copied")}; ${at("copied")}`,
				];
				const command = ["--", "sh", "-c", tries.map((one) => `(${one}); echo $?`).join("; ")];
				const open = await withoutList(place, fence, ["-q", ...command]);
				place.write("changing", "#!/bin/sh\nexit 7\n", 0o755);
				const programs = ["/bin/sh", "/usr/bin/true", "/usr/bin/cat", "/usr/bin/chmod", at("changing")];
				const shut = await allowing(place, fence, programs, ["-q", ...command]);
				// gVisor runs no 32-bit program, listed or not.
				expect(open.stdout.split("\n")).toEqual(["222", "3", "222", "222", "7", "222", "126", "3", ""]);
				expect(shut.stdout.split("\n")).toEqual([
					...["126", "126", "126", "0", "7"],
					expect.stringMatching(/^(126|137)$/),
					...["126", "126", ""],
				]);
			});

			it("the same happens as without", async () => {
				const command = [at("behave"), at("listed")];
				const without = await withoutList(place, fence, ["-q", "--", ...command]);
				const withList = await allowing(place, fence, [...command, "/bin/sh"], ["-q", "--", ...command]);
				// What a parent hears of children that stop and go on (WCONTINUED) is a matter of luck in gVisor, list or not.
				const steady = (output: string) =>
					output.split("\n").filter((line) => !/^(continued|ended|nothing more) /.test(line));
				expect(steady(without.stdout).length).toBeGreaterThan(30);
				expect(steady(withList.stdout)).toEqual(steady(without.stdout));
				expect(withList.status).toBe(without.status);
			});

			describe("while pid 1 stands still", () => {
				it("nothing new runs; then it does", async () => {
					const script = `echo ready; while [ ! -e ${at("go")} ]; do :; done; ${at("listed")}; echo $?`;
					rmSync(at("go"), { force: true });
					const seen = { output: "", before: "" };
					const stopped: RunOptions = {
						onOutput: (soFar) => {
							seen.output = soFar;
						},
						onStart: ({ pid = 0 }) => {
							void (async () => {
								for (let i = 0; i < 1000 * PATIENCE && seen.output !== "ready\n"; i++) await sleep(10);
								const sentry = sentryOf(pid);
								if (sentry === undefined) return;
								const socket = controlSocket(sentry.state, sentry.id);
								await sendSignal(socket, sentry.id, SIGSTOP, () => false);
								place.write("go", "");
								await sleep(500 * PATIENCE);
								seen.before = seen.output;
								await sendSignal(socket, sentry.id, SIGCONT, () => false);
							})();
						},
					};
					const programs = ["/bin/sh", at("listed")];
					const { stdout } = await allowing(place, fence, programs, ["-q", "--", "sh", "-c", script], stopped);
					expect(seen.before).toBe("ready\n");
					expect(stdout).toBe("ready\n7\n");
				});
			});

			describe.each([
				["overwritten", (file: string, other: string) => writeFileSync(file, readFileSync(other))],
				["replaced by rename", (file: string, other: string) => renameSync(other, file)],
			] as const)("a program that is %s while the jail runs", (what, changeIt) => {
				const played = (entry: (file: string) => string) => {
					const file = put(place, "listed", "changing-program");
					const other = put(place, "static-canary", "other-program");
					rmSync(at("go"), { force: true });
					const onOutput = (soFar: string) => {
						if (soFar !== "ready\n") return;
						changeIt(file, other);
						place.write("go", "");
					};
					const script = `echo ready; while [ ! -e ${at("go")} ]; do :; done; ${file}; echo $?`;
					const command = ["-q", "--", "sh", "-c", script];
					return allowing(place, fence, ["/bin/sh", entry(file)], command, { onOutput });
				};

				it("is told by its inode without a digest", async () => {
					const { stdout } = await played((file) => file);
					expect(stdout).toBe(`ready\n${what === "overwritten" ? 222 : 126}\n`);
				});

				it("never runs as another with one", async () => {
					const { stdout } = await played((file) => `${file}@sha256:${sha256(file)}`);
					expect(stdout).toBe(`ready\n${what === "overwritten" ? 7 : 126}\n`);
				});
			});
		});
	}
}

describe.skipIf(requireOr(missingTools ?? missingCaller(ROOT)))("what is asked once", () => {
	const place = new Place(ROOT);
	afterAll(() => place.remove());

	it.skipIf(requireOr(missingPrograms("tmux", "bash")))("job control under the guard: Ctrl-Z, fg, Ctrl-C", async () => {
		const terminal = new Terminal(place);
		onTestFinished(() => terminal.close());
		await terminal.sees(/^outer>$/m);
		const lists = ["bash", "cat"].map((name) => `--exec /usr/bin/${name}`).join(" ");
		const runsc = `--runtime runsc --runsc ${GVISOR[0]?.path}`;
		place.write("inner", `exec ${VMJAIL} -q ${runsc} ${lists} --env PS1='inner> ' -- bash --norc --noprofile\n`);
		terminal.type(". ./inner");
		await terminal.sees(/^inner>$/m);
		terminal.type("cat");
		await terminal.typesUntil("one", /^one\none$/m);
		terminal.press("C-z");
		await terminal.sees(/Stopped +cat\ninner>$/m);
		terminal.type("fg");
		await terminal.typesUntil("two", /^two\ntwo$/m);
		terminal.press("C-c");
		await terminal.sees(/\^C\ninner>$/m);
		terminal.type("/usr/bin/sleep 1");
		await terminal.sees(/sleep: Permission denied$/m);
	});

	it.each(GVISOR)("another user for the program, and not pid 1's: $fence", async ({ fence }) => {
		const programs = ["/bin/sh", "/usr/bin/id", "/usr/bin/grep"];
		const script = "id -u; id -g; grep Uid /proc/1/status; kill -9 1 || echo refused";
		const flags = ["-q", "--user", "1234:4321", "--", "sh", "-c", script];
		const { stdout } = await allowing(place, fence, programs, flags);
		expect(stdout).toMatch(/^1234\n4321\nUid:(\t2147483000){4}\nrefused\n$/);
	});
});
