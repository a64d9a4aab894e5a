/** Between two programs a process waits for the next one: what it is, what it is not, and that no request shows in another. */

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, vi } from "vitest";
import type { ExecOptions, ExecResult } from "../../src/jail/execution.ts";
import { Jail } from "../../src/jail/jail.ts";
import { closeSession, session } from "../../src/jail/session.ts";
import { childrenOf, nameOf, WAITING } from "../executor/peer.ts";
import { leftovers } from "../helpers/clean.ts";
import { SOON } from "../helpers/patience.ts";
import { policyOf } from "../helpers/policy.ts";
import { requireOr } from "../helpers/requirement.ts";
import { missingCaller, USER } from "../system/caller.ts";
import { MIB, ownLeftovers, policy, QUIET } from "./acts.ts";

const MAIN = join(import.meta.dirname, "waiting-main.mjs");
const textOf = ({ stdout }: ExecResult) => stdout?.toString();
const sh = (jail: Jail, script: string, options: ExecOptions = {}) =>
	jail.exec(["sh", "-c", script], { ...QUIET, ...options });

afterAll(async () => {
	await closeSession();
	expect(ownLeftovers()).toEqual([]);
});

/** The process that waits in the only jail. */
function waiting(): Promise<number> {
	const zygote = session().zygote.pid ?? -1;
	const isConfined = (pid: number) => {
		try {
			return /^Seccomp:\s2$/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
		} catch {
			return false; // it has ended
		}
	};
	const find = () =>
		childrenOf(zygote)
			.flatMap((pid1) => childrenOf(pid1))
			.find((pid) => nameOf(pid) === WAITING && isConfined(pid));
	return vi.waitUntil(find, SOON);
}

describe.each([
	["the caller", [], undefined],
	["an ordinary user", USER.prefix, missingCaller(USER)],
] as const)("a process that waits, of %s", (who, prefix, missing) => {
	const command = (...args: readonly string[]) => [...prefix, process.execPath, MAIN, ...args];

	it.skipIf(requireOr(missing))("is confined, holds nothing, and another takes its place when it is killed", () => {
		const [program = "", ...args] = command();
		const { stdout, stderr } = spawnSync(program, args, { cwd: "/", encoding: "utf8" });
		expect(stderr).toBe("");
		const uid = prefix.length === 0 ? process.getuid?.() : USER.uid;
		const run = (stack: number) => ({ kind: "exited", exitCode: 0, stdout: `${uid}\n${stack}\n` });
		const { state, runs, atOnce, again, left } = JSON.parse(stdout);
		const none = "0000000000000000";
		expect(state).toMatchObject({ NoNewPrivs: "1", Seccomp: "2", CapEff: none, CapPrm: none, CapBnd: none, inside: 2 });
		// Nobody may look at the descriptors of what is not dumpable but root: streams, and the socket it waits on.
		expect(state.descriptors).toBe(uid === 0 ? 4 : "EACCES");
		expect(runs).toEqual([run(8192), run(1024), run(8192), run(8192)]);
		// Killed while it was told of its program, the program counts as killed.
		expect([run(8192), { kind: "signaled", signal: "SIGKILL", stdout: "" }]).toContainEqual(atOnce);
		expect(again).toEqual(run(8192));
		expect(left).toEqual([]);
	});

	it.skipIf(requireOr(missing))("ends with vmjail, however that ends", async () => {
		const [program = "", ...args] = command("stay");
		const child = spawn(program, args, { cwd: "/", stdio: ["ignore", "pipe", "inherit"] });
		const [line] = await once(child.stdout, "data");
		const { pids } = JSON.parse(String(line));
		expect(pids).toHaveLength(3);
		expect(
			pids.every((pid: string) => existsSync(`/proc/${pid}`)),
			who,
		).toBe(true);
		child.kill("SIGKILL");
		const vmjail = Number(readFileSync(`/proc/${pids[0]}/status`, "utf8").match(/^PPid:\s(\d+)/m)?.[1]);
		if (vmjail > 1) process.kill(vmjail, "SIGKILL");
		const isLeft = () => pids.filter((pid: string) => existsSync(`/proc/${pid}`));
		await vi.waitFor(() => expect(isLeft()).toEqual([]), SOON);
		// Init's, where it has taken the executor over, are somebody else's.
		const ids = [vmjail, child.pid].filter((pid) => pid !== 1).map((pid) => `/vmjail-${pid}-`);
		const groups = () => leftovers().filter((one) => ids.some((id) => one.includes(id)));
		await vi.waitFor(() => expect(groups()).toEqual([]), SOON);
	});
});

describe("requests that differ", () => {
	it("each gets its own arguments, environment, folder, streams and limits, in any order", async () => {
		await using jail = await Jail.open(policy);
		const ask = async (options: ExecOptions, script = "pwd; echo $A; ulimit -s; ulimit -f; cat") =>
			textOf(await sh(jail, script, options));
		const plain = "/tmp\n\n8192\nunlimited\n";
		expect(await ask({})).toBe(plain);
		const requests: readonly (readonly [ExecOptions, string])[] = [
			[{ env: { A: "1", PATH: "/bin" } }, "/tmp\n1\n8192\nunlimited\n"],
			[{ cwd: "/usr" }, "/usr\n\n8192\nunlimited\n"],
			[{ stdin: { content: "in" } }, "/tmp\n\n8192\nunlimited\nin"],
			[{ limits: { stackBytes: MIB } }, "/tmp\n\n1024\nunlimited\n"],
			[{ limits: { fileSizeBytes: MIB } }, "/tmp\n\n8192\n2048\n"],
			[{ limits: { cpuCores: 0.5, memoryBytes: 64 * MIB } }, plain],
		];
		for (const [options, answer] of [...requests, ...requests.toReversed()]) {
			expect(await ask(options)).toBe(answer);
			expect(await ask({})).toBe(plain);
		}
	});

	it("arguments that fit into no message, a program that is not there: the next is as if nothing had been", async () => {
		await using jail = await Jail.open(policy);
		const large = Array.from({ length: 10 }, () => "x".repeat(100_000));
		const counted = await jail.exec(["sh", "-c", 'echo "$*" | wc -c', "sh", ...large], QUIET);
		expect(textOf(counted)).toBe("1000010\n");
		expect(textOf(await sh(jail, "echo 1"))).toBe("1\n");
		await expect(jail.exec(["missing"], QUIET)).rejects.toMatchObject({ code: "COMMAND_NOT_FOUND" });
		await expect(jail.exec(["/etc/passwd"], QUIET)).rejects.toMatchObject({ code: "COMMAND_NOT_EXECUTABLE" });
		await expect(jail.exec(["true"], { ...QUIET, cwd: "/missing" })).rejects.toMatchObject({ code: "LAUNCH_FAILED" });
		expect(textOf(await sh(jail, "echo 2"))).toBe("2\n");
	});

	it("a limit of open files that leaves the process that waits no room: another one runs the program", async () => {
		for (const nofile of [4, 15, 16]) {
			await using jail = await Jail.open({ ...policy, system: { ...policy.system, rlimits: { nofile } } });
			for (let i = 0; i < 2; i++) expect(textOf(await sh(jail, "ulimit -n"))).toBe(`${nofile}\n`);
		}
	});

	it("a working folder that somebody replaced meanwhile is the new one", async () => {
		const shared = mkdtempSync(join(tmpdir(), "vmjail-waiting-"));
		const folder = join(shared, "work");
		mkdirSync(folder);
		const own = policyOf({
			system: { env: { pass: [], set: { PATH: "/usr/bin:/bin" } }, cwd: folder },
			file: { writablePaths: [shared] },
		});
		try {
			await using jail = await Jail.open(own);
			for (let i = 0; i < 3; i++) {
				expect(await sh(jail, "echo x > file; ls")).toMatchObject({ exitCode: 0 });
				await new Promise((resolve) => setTimeout(resolve, 20));
				rmSync(folder, { recursive: true });
				const gone = { code: "LAUNCH_FAILED", message: expect.stringContaining("go to") };
				await expect(sh(jail, "true")).rejects.toMatchObject(gone);
				mkdirSync(folder);
				expect(textOf(await sh(jail, "ls -A; echo x > file && cat file"))).toBe("x\n");
				expect(readFileSync(join(folder, "file"), "utf8")).toBe("x\n");
			}
		} finally {
			rmSync(shared, { recursive: true });
		}
	});

	it("a program sees no process but pid 1 and its own", async () => {
		await using jail = await Jail.open(policy);
		for (let i = 0; i < 3; i++) {
			await waiting();
			expect(textOf(await jail.exec(["sh", "-c", "set -- /proc/[0-9]*; echo $#"], QUIET))).toBe("2\n");
		}
	});
});

describe("the exec allow-list", () => {
	it("holds for the process that waited", async () => {
		const list = policyOf({
			system: { env: { pass: [], set: { PATH: "/usr/bin:/bin" } }, cwd: "/tmp" },

			file: { tmpfs: [{ path: "/tmp", sizeBytes: MIB }] },
			allow: ["/bin/sh", "/bin/cat"],
		});
		await using jail = await Jail.open(list);
		for (let i = 0; i < 3; i++) {
			const ran = await jail.exec(["sh", "-c", "echo allowed; ls / || echo refused"], QUIET);
			expect(textOf(ran)).toBe("allowed\nrefused\n");
			expect(ran.denials.length).toBeGreaterThan(0);
			await waiting();
			await expect(jail.exec(["ls"], QUIET)).rejects.toMatchObject({ code: "COMMAND_NOT_EXECUTABLE" });
			// Who is killed just when its program arrives takes that along.
			const killed = await waiting();
			process.kill(killed, "SIGKILL");
			await vi.waitUntil(() => nameOf(killed) !== WAITING, SOON);
		}
	});
});
