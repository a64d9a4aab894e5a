import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ExecOptions, ExecResult } from "../../src/jail/execution.ts";
import { Jail } from "../../src/jail/jail.ts";
import { closeSession } from "../../src/jail/session.ts";
import { missingCompiler } from "../executor/c-program.ts";
import { requireOr } from "../helpers/requirement.ts";
import { type Acts, compileActs, MIB, ownLeftovers, policy, QUIET } from "./acts.ts";

/** Numbers of setrlimit(2), the same on x86_64 and aarch64. */
const RLIMIT = { fsize: 1, data: 2, stack: 3, as: 9 };

describe.skipIf(requireOr(missingCompiler))("limits of a program in a jail that is used again", () => {
	const made: { acts?: Acts; jail?: Jail } = {};

	beforeAll(async () => {
		made.acts = compileActs();
		made.jail = await Jail.open(policy);
	});

	afterAll(async () => {
		await made.jail?.close();
		made.acts?.remove();
		await closeSession();
		expect(ownLeftovers()).toEqual([]);
	});

	function act(args: readonly (string | number)[], options: ExecOptions = {}): Promise<ExecResult> {
		if (made.jail === undefined || made.acts === undefined) throw new Error("not set up");
		return made.jail.exec([made.acts.program, ...args.map(String)], { ...QUIET, ...options });
	}

	async function isFresh(): Promise<void> {
		expect(await act(["touch", 8])).toMatchObject({ kind: "exited", exitCode: 0, oomKills: 0 });
	}

	it.each([
		["touching", ["touch", 400]],
		["bss", ["bss"]],
		["System V shared memory", ["shm", 400]],
		["a memory file", ["memfd", 400]],
		["many processes", ["together", 400]],
	])("memory: %s", async (_, args) => {
		const result = await act(args);
		expect(result).toMatchObject({ kind: "limit", limit: "memory" });
		expect(result.memoryPeakBytes).toBeGreaterThan(200 * MIB);
		await isFresh();
	});

	it("memory: a narrower limit holds for one program, and the policy's again for the next", async () => {
		const limits = { memoryBytes: 32 * MIB };
		expect(await act(["touch", 64], { limits })).toMatchObject({ kind: "limit", limit: "memory" });
		const next = await act(["touch", 100]);
		expect(next).toMatchObject({ kind: "exited", exitCode: 0 });
		expect(next.memoryPeakBytes / MIB).toBeGreaterThanOrEqual(100);
		expect(next.memoryPeakBytes / MIB).toBeLessThan(104);
	});

	// The kernel frees what is left of an IPC namespace some milliseconds after it: too late for a program that follows at once.
	it.each([
		["shared memory", "shm"],
		["messages", "queues"],
	])("memory: what one program left as %s of System V does not count against the next", async (_, kind) => {
		for (let round = 0; round < 8; round++) {
			const left = await act([kind, 200]);
			expect(left).toMatchObject({ kind: "exited", exitCode: 0 });
			expect(left.memoryPeakBytes).toBeGreaterThan(200 * MIB);
			expect(await act(["touch", 200])).toMatchObject({ kind: "exited", exitCode: 0 });
		}
	});

	it("CPU time: one thread, and two together, end at the limit; what is used is told to the millisecond", async () => {
		const limits = { cpuMs: 300 };
		for (const threads of [1, 2]) {
			const result = await act(["burn", 60_000, threads], { limits });
			expect(result).toMatchObject({ kind: "limit", limit: "cpu-time" });
			expect(result.cpuUserMs + result.cpuSystemMs).toBeGreaterThanOrEqual(300);
			expect(result.cpuUserMs + result.cpuSystemMs).toBeLessThan(400);
		}
		const second = await act(["burn", 1000, 1]);
		expect(second).toMatchObject({ kind: "exited", exitCode: 0 });
		expect(second.cpuUserMs + second.cpuSystemMs).toBeGreaterThan(980);
		expect(second.cpuUserMs + second.cpuSystemMs).toBeLessThan(1050);
	});

	it("CPU time: of children that nobody waits for counts", async () => {
		expect(await act(["unseen", 60_000], { limits: { cpuMs: 200 } })).toMatchObject({ limit: "cpu-time" });
		const result = await act(["unseen", 100]);
		expect(result.cpuUserMs + result.cpuSystemMs).toBeGreaterThan(95);
	});

	it("wall time", async () => {
		const result = await act(["burn", 60_000, 1], { limits: { wallMs: 150 } });
		expect(result).toMatchObject({ kind: "limit", limit: "wall-time" });
		expect(result.wallMs).toBeGreaterThanOrEqual(150);
		expect(await act(["ping", 1], { stdin: "ignore" })).toMatchObject({ kind: "exited" });
	});

	it("processes: a fork bomb is refused, ends, and the next program has its own", async () => {
		const result = await act(["forks"]);
		expect(result).toMatchObject({ kind: "limit", limit: "pids" });
		expect(result.stdout?.toString()).toMatch(/^63\nfork: EAGAIN/);
		const few = await act(["forks"], { limits: { pids: 5 } });
		expect(few).toMatchObject({ kind: "limit", limit: "pids" });
		expect(few.stdout?.toString()).toMatch(/^4\n/);
		await isFresh();
	});

	it("output: of all streams together, and of each that is collected; the writer is not blocked", async () => {
		const { jail } = made;
		const both = await jail?.exec(["sh", "-c", "yes & yes >&2"], { ...QUIET, limits: { outputBytes: 5000 } });
		expect(both).toMatchObject({ kind: "limit", limit: "output" });
		expect((both?.stdout?.length ?? 0) + (both?.stderr?.length ?? 0)).toBe(5000);
		const one = await jail?.exec(["sh", "-c", "echo fine >&2; yes"], { ...QUIET, collectMaxBytes: { stdout: 100 } });
		expect(one).toMatchObject({ kind: "limit", limit: "output" });
		expect([one?.stdout?.length, one?.stderr?.toString()]).toEqual([100, "fine\n"]);
		const fits = await jail?.exec(["echo", "123"], { ...QUIET, collectMaxBytes: { stdout: 4 } });
		expect(fits).toMatchObject({ kind: "exited", exitCode: 0 });
	});

	it("file size: by signal, and where the signal is ignored", async () => {
		const limits = { fileSizeBytes: 10_000 };
		expect(await act(["file", 100_000, 0, "/tmp/x"], { limits })).toMatchObject({ limit: "file-size" });
		expect(await act(["file", 100_000, 1, "/tmp/x"], { limits })).toMatchObject({ limit: "file-size" });
		expect(await act(["file", 8192, 0, "/tmp/x"], { limits })).toMatchObject({ kind: "exited", exitCode: 0 });
		// Without a limit the file system itself is the second bound.
		const full = await act(["file", 100 * MIB, 0, "/tmp/x"]);
		expect(full.stdout?.toString()).toBe("write: ENOSPC\n");
	});

	it.each([
		["stack", { stackBytes: 5 * MIB }, 5 * MIB],
		["data", { dataBytes: 700 * MIB }, 700 * MIB],
		["as", { addressSpaceBytes: 900 * MIB }, 900 * MIB],
		["fsize", { fileSizeBytes: 123 }, 123],
	] as const)("%s is exactly what was asked for", async (name, limits, value) => {
		const result = await act(["limit", RLIMIT[name]], { limits });
		// Nothing can be printed to a file, but a pipe is none.
		expect(result.stdout?.toString()).toBe(`${value} ${value}\n`);
	});

	it("processors: a share of their time, and which of them", async () => {
		const slow = await act(["burn", 60_000, 2], { limits: { cpuCores: 0.25, wallMs: 800 } });
		expect(slow).toMatchObject({ kind: "limit", limit: "wall-time" });
		expect(slow.cpuUserMs + slow.cpuSystemMs).toBeLessThan(400);
		const nproc = async (limits: ExecOptions["limits"]) => {
			const result = await made.jail?.exec(["nproc"], { ...QUIET, ...(limits === undefined ? {} : { limits }) });
			return result?.stdout?.toString();
		};
		const all = await nproc(undefined);
		expect(await nproc({ cpuset: "0" })).toBe("1\n");
		expect(await nproc(undefined)).toBe(all);
		await expect(nproc({ cpuset: "0;rm" })).rejects.toMatchObject({ code: "USAGE" });
	});

	it("cannot be wider than the policy's", async () => {
		await expect(act(["touch", 1], { limits: { memoryBytes: 257 * MIB } })).rejects.toMatchObject({
			code: "USAGE",
			message: expect.stringContaining("limits.memoryBytes"),
		});
		await expect(act(["touch", 1], { limits: { pids: 0 } })).rejects.toMatchObject({ code: "USAGE" });
		await isFresh();
	});
});
