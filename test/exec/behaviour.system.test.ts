/** Under the guard a program behaves as without: processes, threads, signals, stops, terminals; and nothing runs past it. */

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { PATIENCE } from "../helpers/patience.ts";
import { requireOr } from "../helpers/requirement.ts";
import { CALLERS, missingCaller, missingPrograms, Place, VMJAIL, vmjail } from "../system/caller.ts";
import { Terminal } from "../system/tmux.ts";
import { allowing, buildPrograms, FENCES, put } from "./programs.ts";

const missingTools = buildPrograms();

function childrenOf(pid: number): readonly number[] {
	const tasks = `/proc/${pid}/task`;
	const lists = readdirSync(tasks).map((task) => readFileSync(join(tasks, task, "children"), "utf8"));
	return lists.flatMap((list) => list.split(" ").filter(Boolean).map(Number));
}

function descendantsOf(pid: number): readonly number[] {
	return childrenOf(pid).flatMap((child) => [child, ...descendantsOf(child)]);
}

function is(read: () => boolean): boolean {
	try {
		return read();
	} catch {
		return false; // it has ended meanwhile
	}
}

const stateOf = (pid: number) => /^State:\t(\S)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
const innerPidOf = (pid: number) => /^NSpid:.*\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];

/** Stopped, or held by the guard's filter: proc_pid_wchan(5). */
const awaitsGuard = (pid: number) =>
	stateOf(pid) === "t" || readFileSync(`/proc/${pid}/wchan`, "utf8").startsWith("seccomp_do_user_notification");

async function until<T>(find: () => T | undefined): Promise<T> {
	for (let tries = 0; tries < 1000 * PATIENCE; tries++) {
		const found = find();
		if (found !== undefined) return found;
		await sleep(10);
	}
	throw new Error("did not come to pass");
}

for (const caller of CALLERS) {
	describe.skipIf(requireOr(missingTools ?? missingCaller(caller)))(`under the guard as ${caller.name}`, () => {
		const place = new Place(caller);
		afterAll(() => place.remove());

		it.each(FENCES)("the same happens as without: %s", async (fence) => {
			const [behave, listed] = [put(place, "behave"), put(place, "listed")];
			const jailed = await vmjail(place, ["-q", "--rw", place.work, "--", behave, listed]);
			expect(jailed.stdout.split("\n").length).toBeGreaterThan(40);
			const guarded = await allowing(place, fence, [behave, listed, "/bin/sh"], ["-q", "--", behave, listed]);
			expect(guarded).toEqual(jailed);
		});

		it("while pid 1 is stopped nothing new runs; then it does", async () => {
			put(place, "listed");
			const listed = join(place.work, "listed");
			const go = join(place.work, "go");
			const script = `echo ready; while [ ! -e ${go} ]; do :; done; ${listed}; echo $?`;
			const ran = { output: "" };
			const result = await allowing(
				place,
				"guard and Landlock",
				["/bin/sh", listed],
				["-q", "--", "sh", "-c", script],
				{
					onOutput: (soFar) => {
						ran.output = soFar;
					},
					onStart: (vmjailProcess) => {
						void (async () => {
							await until(() => (ran.output === "ready\n" ? true : undefined));
							const all = () => descendantsOf(vmjailProcess.pid ?? 0);
							const pid1 = await until(() => all().find((pid) => is(() => innerPidOf(pid) === "1")));
							process.kill(pid1, "SIGSTOP");
							await until(() => (stateOf(pid1) === "T" ? true : undefined));
							place.write("go", "");
							// The shell's child stands still in its execve.
							await until(() => all().find((pid) => pid !== pid1 && is(() => awaitsGuard(pid))));
							ran.output += all()
								.filter((pid) => is(() => readlinkSync(`/proc/${pid}/exe`) === listed))
								.join();
							process.kill(pid1, "SIGCONT");
						})();
					},
				},
			);
			expect(ran.output).toBe("ready\n7\n");
			expect(result).toMatchObject({ status: 0, stdout: "ready\n7\n" });
		});

		it("a program that the guard ended: outcome and status", async () => {
			const policy = place.write("any.json", '{ "security": { "syscalls": { "defaultAction": "SCMP_ACT_ALLOW" } } }');
			const script = place.write("changing", "#!/bin/sh\nexit 7\n", 0o755);
			const canary = put(place, "canary");
			const command = `echo '#!${canary}' > ${script}; exec ${script}`;
			const result = join(place.work, "result.json");
			const flags = ["-c", policy, "--result", result, "--", "sh", "-c", command];
			const ran = await allowing(place, "guard alone", ["/bin/sh", script], flags);
			expect(ran.status).toBe(126);
			expect(ran.stderr.match(/is not in security.process.allow/g)).toHaveLength(1);
			expect(JSON.parse(readFileSync(result, "utf8"))).toMatchObject({
				kind: "denied",
				control: "exec",
				detail: expect.stringContaining("killed before it ran"),
			});
		});

		describe.skipIf(requireOr(missingPrograms("tmux", "bash")))("job control", () => {
			let terminal: Terminal;
			beforeEach(async () => {
				terminal = new Terminal(place);
				await terminal.sees(/^outer>$/m);
			});
			afterEach(() => terminal.close());

			it("Ctrl-Z, jobs, fg, Ctrl-C", async () => {
				const lists = ["bash", "cat", "clear"].map((name) => `--exec /usr/bin/${name}`).join(" ");
				terminal.type(`${VMJAIL} -q ${lists} --env PS1='inner> ' -- bash --norc --noprofile`);
				await terminal.sees(/^inner>$/m);
				terminal.type("cat");
				terminal.type("one");
				await terminal.sees(/^one\none$/m);
				terminal.press("C-z");
				await terminal.sees(/Stopped +cat\ninner>$/m);
				await terminal.clear();
				terminal.type("jobs");
				await terminal.sees(/^\[1\]\+ +Stopped +cat\ninner>$/m);
				terminal.type("fg");
				terminal.type("two");
				await terminal.sees(/^two\ntwo$/m);
				terminal.press("C-c");
				await terminal.sees(/\^C\ninner>$/m);
				terminal.type("sleep 1");
				await terminal.sees(/sleep: Permission denied$/m);
			});
		});
	});
}
