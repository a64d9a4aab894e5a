import { closeSync, openSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { afterAll, describe, expect, it, vi } from "vitest";
import { run, start } from "../../src/jail/run.ts";
import { closeSession, session } from "../../src/jail/session.ts";
import type { RunOptions } from "../../src/jail/types.ts";
import { childrenOf } from "../executor/peer.ts";
import { leftovers } from "../helpers/clean.ts";
import { SOON } from "../helpers/patience.ts";
import { policyOf } from "../helpers/policy.ts";

const O_PATH = 0o10000000;
const PATH = { env: { pass: [], set: { PATH: "/usr/bin:/bin" } } };
const policy = policyOf({ system: PATH });
const quiet: RunOptions = { policy, stdin: "ignore", stdout: "ignore", stderr: "ignore" };

/** What the jails of this process left; other vmjails may run meanwhile. */
const ownLeftovers = () => leftovers().filter((line) => line.includes(`/vmjail-${process.pid}-`));

afterAll(async () => {
	await closeSession();
	expect(ownLeftovers()).toEqual([]);
});

async function executor(): Promise<number> {
	await session().facts();
	return session().zygote.pid ?? -1;
}

/** The pid 1 of the only jail. */
async function pid1(): Promise<number> {
	const parent = await executor();
	return vi.waitUntil(() => childrenOf(parent)[0], SOON);
}

/** Until the jail's program runs: pid 1 has a child by that name. */
async function runs(pid: number, name: string): Promise<void> {
	const isIt = (child: number) => readFileSync(`/proc/${child}/comm`, "utf8").trim() === name;
	await vi.waitUntil(() => childrenOf(pid).some(isIt), SOON);
}

describe("a stream that a program in a jail may not have", () => {
	it.each([
		["a folder", "/", 0, "USAGE", "stdin is a folder"],
		["an O_PATH descriptor", "/dev/null", O_PATH, "EXECUTOR_FAILED", "pid 1 refused"],
	])("%s is an error", async (_, path, flags, code, message) => {
		const stdin = openSync(path, flags);
		try {
			await expect(run(["true"], { ...quiet, stdin })).rejects.toMatchObject({
				code,
				message: expect.stringContaining(message),
				remedy: expect.any(String),
			});
		} finally {
			closeSync(stdin);
		}
	});

	it.each(["stdin", "stdout", "stderr"])("%s that is not open is an error", async (name) => {
		const descriptor = 9_999;
		await expect(run(["true"], { ...quiet, [name]: descriptor })).rejects.toMatchObject({
			code: "USAGE",
			message: `${name}: descriptor ${descriptor} is not open`,
		});
	});

	it("leaves no jail behind, and the next one runs", async () => {
		const parent = await executor();
		expect(await run(["true"], quiet)).toMatchObject({ kind: "exited", exitCode: 0 });
		await vi.waitUntil(() => childrenOf(parent).length === 0, SOON);
	});
});

describe("a command that cannot run", () => {
	it.each([
		["does-not-exist", "COMMAND_NOT_FOUND"],
		["/etc/passwd", "COMMAND_NOT_EXECUTABLE"],
		["/etc", "COMMAND_NOT_EXECUTABLE"],
	])("%s is %s", async (program, code) => {
		await expect(run([program], quiet)).rejects.toMatchObject({ code, remedy: expect.any(String) });
	});

	it("is told from the working folder, where that is what is missing", async () => {
		const elsewhere = policyOf({ system: { ...PATH, cwd: "/no/such/folder" } });
		await expect(run(["true"], { ...quiet, policy: elsewhere })).rejects.toMatchObject({
			message: expect.stringContaining("/no/such/folder"),
		});
	});

	it("has more arguments than its stack may hold", async () => {
		const small = policyOf({ system: { ...PATH, rlimits: { stack: 1 << 20 } } });
		const args = Array<string>(300).fill("x".repeat(2000));
		await expect(run(["true", ...args], { ...quiet, policy: small })).rejects.toMatchObject({
			code: "COMMAND_NOT_EXECUTABLE",
			message: "true: cannot be executed: E2BIG",
			remedy: expect.stringContaining("split them"),
		});
	});

	it("gets every argument where they are very many", async () => {
		const args = Array.from({ length: 60_000 }, (_, i) => String(i));
		const script = "echo $#; shift 59999; echo $1";
		const { stdout } = await run(["sh", "-c", script, "sh", ...args], {
			...quiet,
			stdout: "collect",
		});
		expect(stdout?.toString()).toBe("60000\n59999\n");
	});
});

describe("what happens to a jail from outside", () => {
	it("pid 1 is killed: the program is gone with it, and that is its end", async () => {
		const running = await start(["sleep", "1000"], quiet);
		const pid = await pid1();
		await runs(pid, "sleep");
		process.kill(pid, "SIGKILL");
		expect(await running.result).toMatchObject({ kind: "signaled", signal: "SIGKILL" });
	});

	it("the executor is killed: the jail is gone with it, which is an error, and the next run starts another", async () => {
		const running = await start(["sleep", "1000"], quiet);
		const pid = await pid1();
		await runs(pid, "sleep");
		const killed = await executor();
		process.kill(killed, "SIGKILL");
		await expect(running.result).rejects.toMatchObject({
			code: "EXECUTOR_FAILED",
			message: expect.stringContaining("executor died"),
		});
		await vi.waitUntil(() => !readdirSync("/proc").includes(String(pid)), SOON);
		expect(await run(["true"], quiet)).toMatchObject({ kind: "exited", exitCode: 0 });
		expect(await executor()).not.toBe(killed);
		// Nobody was left to remove the jail's control groups: the next vmjail does, once this process is gone.
		for (const line of ownLeftovers()) rmdirSync(line.replace(/^cgroup /, ""));
	});

	it("the caller cancels: at once, before the start, and after the end", async () => {
		const abort = new AbortController();
		const running = await start(["sleep", "1000"], { ...quiet, signal: abort.signal });
		await runs(await pid1(), "sleep");
		abort.abort();
		expect(await running.result).toMatchObject({ kind: "cancelled" });
		expect(await run(["sleep", "1000"], { ...quiet, signal: abort.signal })).toMatchObject({ kind: "cancelled" });
		const late = await start(["true"], quiet);
		const outcome = await late.result;
		late.cancel();
		late.signal(9);
		late.resize(1, 1);
		expect(outcome).toMatchObject({ kind: "exited", exitCode: 0 });
	});

	it("an AbortSignal that serves many runs is let go by each", async () => {
		const { signal } = new AbortController();
		const added = vi.spyOn(signal, "addEventListener");
		const removed = vi.spyOn(signal, "removeEventListener");
		for (let i = 0; i < 3; i++) await run(["true"], { ...quiet, signal });
		await vi.waitFor(
			() =>
				expect(removed.mock.calls.map(([, listener]) => listener)).toEqual(
					added.mock.calls.map(([, listener]) => listener),
				),
			SOON,
		);
		expect(added).toHaveBeenCalledTimes(3);
	});
});

describe("streams", () => {
	it("bring what was given and collect what was written, each by itself", async () => {
		const input = "line\n".repeat(50_000);
		const script = "cat; echo oops >&2; exit 3";
		const result = await run(["sh", "-c", script], {
			policy,
			stdin: { content: input },
			stdout: "collect",
			stderr: "collect",
		});
		expect(result).toMatchObject({ kind: "exited", exitCode: 3 });
		expect([result.stdout?.toString() === input, result.stderr?.toString()]).toEqual([true, "oops\n"]);
	});

	it("are cut at the limit of output, which ends the program", async () => {
		const limited = policyOf({ system: { ...PATH, output: { maxBytes: 1000 } } });
		const result = await run(["yes"], { ...quiet, policy: limited, stdout: "collect" });
		expect(result).toMatchObject({ kind: "limit", limit: "output" });
		expect(result.stdout).toHaveLength(1000);
	});

	it("close no descriptor of the caller's", async () => {
		const stdout = openSync("/dev/null", "w");
		await run(["echo", "x"], { ...quiet, stdout });
		closeSync(stdout);
	});

	it("leave no descriptor open in this process", async () => {
		const open = () => readdirSync("/proc/self/fd").length;
		await run(["true"], { ...quiet, stdout: "collect" });
		const count = open();
		for (let i = 0; i < 5; i++) {
			await run(["true"], { ...quiet, stdin: { content: "x" }, stdout: "collect", stderr: "collect" });
			await expect(run(["does-not-exist"], { ...quiet, stdout: "collect" })).rejects.toThrow();
		}
		await vi.waitFor(() => expect(open()).toBeLessThanOrEqual(count), SOON);
	});
});
