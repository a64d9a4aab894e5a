import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { Jail } from "../../src/jail/jail.ts";
import { pipe } from "../../src/jail/pipe.ts";
import { Pool } from "../../src/jail/pool.ts";
import { closeSession, session } from "../../src/jail/session.ts";
import { missingCompiler } from "../executor/c-program.ts";
import { childrenOf, nameOf, WAITING } from "../executor/peer.ts";
import { leftovers } from "../helpers/clean.ts";
import { SOON } from "../helpers/patience.ts";
import { requireOr } from "../helpers/requirement.ts";
import { type Acts, compileActs, ownLeftovers, policy, QUIET } from "./acts.ts";

const OK = { kind: "exited", exitCode: 0 };

async function pid1s(): Promise<readonly number[]> {
	await session().facts();
	return childrenOf(session().zygote.pid ?? -1);
}

describe.skipIf(requireOr(missingCompiler))("cancelling, breaking, pools", () => {
	const made: { acts?: Acts } = {};

	beforeAll(() => {
		made.acts = compileActs();
	});

	afterAll(async () => {
		made.acts?.remove();
		await closeSession();
		expect(ownLeftovers()).toEqual([]);
	});

	const program = () => made.acts?.program ?? "";

	it("a cancelled program is gone with all its processes, and the jail runs the next", async () => {
		await using jail = await Jail.open(policy);
		const before = AbortSignal.abort();
		expect(await jail.exec(["sleep", "100"], { ...QUIET, signal: before })).toMatchObject({ kind: "cancelled" });
		for (let i = 0; i < 3; i++) {
			const abort = new AbortController();
			const running = jail.exec(["sh", "-c", "trap '' TERM INT; sleep 100 & setsid sleep 100 & wait; wait"], {
				...QUIET,
				signal: abort.signal,
			});
			setTimeout(() => abort.abort(), i * 20);
			expect(await running).toMatchObject({ kind: "cancelled" });
			const [pid] = await pid1s();
			expect(childrenOf(pid ?? -1).filter((child) => nameOf(child) !== WAITING)).toEqual([]);
		}
		expect(await jail.exec(["sh", "-c", "kill -INT 1; kill -TERM 1; kill -9 1; true"], QUIET)).toMatchObject(OK);
		expect(await jail.exec(["true"], QUIET)).toMatchObject(OK);
	});

	it("an AbortSignal that serves many programs is let go by each", async () => {
		const { signal } = new AbortController();
		const [added, removed] = [vi.spyOn(signal, "addEventListener"), vi.spyOn(signal, "removeEventListener")];
		await using jail = await Jail.open(policy);
		for (let i = 0; i < 3; i++) await jail.exec(["true"], { ...QUIET, signal });
		expect(removed.mock.calls.length).toBe(added.mock.calls.length);
	});

	it("opening can be given up", async () => {
		const abort = new AbortController();
		const opening = Jail.open(policy, { signal: abort.signal });
		abort.abort();
		await expect(opening).rejects.toMatchObject({ code: "JAIL_CLOSED" });
		await vi.waitFor(() => expect(ownLeftovers()).toEqual([]), SOON);
	});

	it("pid 1 is killed: the program ends with it, the jail is broken and says so", async () => {
		const jail = await Jail.open(policy);
		const running = jail.exec(["sleep", "100"], QUIET);
		const [pid] = await pid1s();
		await vi.waitFor(() => expect(childrenOf(pid ?? -1)).toHaveLength(1), SOON);
		process.kill(pid ?? -1, "SIGKILL");
		expect(await running).toMatchObject({ kind: "signaled", signal: "SIGKILL" });
		await expect(jail.exec(["true"], QUIET)).rejects.toMatchObject({ code: "JAIL_CLOSED" });
		await jail.close();
		expect(ownLeftovers()).toEqual([]);
	});

	it("an idle jail whose pid 1 is killed is broken too, and closing it is no error", async () => {
		const jail = await Jail.open(policy);
		const [pid] = await pid1s();
		process.kill(pid ?? -1, "SIGKILL");
		await vi.waitFor(() => expect(jail.broken).toBe(true), SOON);
		await jail.close();
	});

	it("a pool replaces broken and worn jails, serves in turn, and cancels what waits", async () => {
		await using pool = new Pool(policy, { size: 2, maxUses: 3 });
		await pool.open();
		const firsts = await pid1s();
		expect(firsts).toHaveLength(2);
		const doomed = [pool.exec(["sleep", "100"], QUIET), pool.exec(["sleep", "100"], QUIET)];
		const abort = new AbortController();
		const waiting = pool.exec(["true"], { ...QUIET, signal: abort.signal });
		const last = pool.exec(["echo", "last"], QUIET);
		expect([pool.running, pool.waiting]).toEqual([2, 2]);
		abort.abort();
		expect(await waiting).toMatchObject({ kind: "cancelled" });
		await vi.waitFor(() => expect(firsts.flatMap(childrenOf)).toHaveLength(2), SOON);
		for (const pid of firsts) process.kill(pid, "SIGKILL");
		expect(await Promise.all(doomed)).toMatchObject([{ kind: "signaled" }, { kind: "signaled" }]);
		expect((await last).stdout?.toString()).toBe("last\n");
		const many = await Promise.all(Array.from({ length: 20 }, () => pool.exec(["true"], QUIET)));
		for (const one of many) expect(one).toMatchObject(OK);
		expect((await pid1s()).length).toBeLessThanOrEqual(3);
	});

	it("a closed pool ends what runs, refuses what waits and what comes", async () => {
		const pool = new Pool(policy, { size: 1 });
		const running = pool.exec(["sleep", "100"], QUIET);
		const waiting = pool.exec(["true"], QUIET).catch((error: unknown) => error);
		await vi.waitFor(async () => expect((await pid1s()).flatMap(childrenOf)).toHaveLength(1), SOON);
		await pool.close();
		expect(await running).toMatchObject({ kind: "cancelled" });
		expect(await waiting).toMatchObject({ code: "JAIL_CLOSED" });
		await expect(pool.exec(["true"], QUIET)).rejects.toMatchObject({ code: "JAIL_CLOSED" });
		expect(ownLeftovers()).toEqual([]);
		expect(() => new Pool(policy, { size: 0 })).toThrow(expect.objectContaining({ code: "USAGE" }));
	});

	it("two programs talk over pipes, and each is told when the other is gone", async () => {
		const [one, other] = [await Jail.open(policy), await Jail.open(policy)];
		try {
			const [there, back] = [pipe(), pipe()];
			const rounds = "50000";
			const [first, second] = await Promise.all([
				one.exec([program(), "ping", rounds, "1"], {
					...QUIET,
					stdin: { take: back.readEnd },
					stdout: { take: there.writeEnd },
				}),
				other.exec([program(), "ping", rounds, "0"], {
					...QUIET,
					stdin: { take: there.readEnd },
					stdout: { take: back.writeEnd },
				}),
			]);
			expect([first, second]).toMatchObject([OK, OK]);
			const { readEnd, writeEnd } = pipe();
			const [producer, consumer] = await Promise.all([
				one.exec(["yes"], { ...QUIET, stdout: { take: writeEnd }, limits: { wallMs: 10_000 } }),
				other.exec(["head", "-n1"], { ...QUIET, stdin: { take: readEnd } }),
			]);
			expect(producer).toMatchObject({ kind: "signaled", signal: "SIGPIPE" });
			expect(consumer.stdout?.toString()).toBe("y\n");
			const data = pipe();
			const [wrote, read] = await Promise.all([
				one.exec(["head", "-c", "1048576", "/dev/zero"], { ...QUIET, stdout: { take: data.writeEnd } }),
				other.exec(["wc", "-c"], { ...QUIET, stdin: { take: data.readEnd } }),
			]);
			expect(wrote).toMatchObject(OK);
			expect(read.stdout?.toString()).toBe("1048576\n");
		} finally {
			await Promise.all([one.close(), other.close()]);
		}
	});

	it("a terminal, one program after the other", async () => {
		await using jail = await Jail.open(policy);
		for (let i = 0; i < 3; i++) {
			const chunks: Buffer[] = [];
			const result = await jail.exec(["sh", "-c", "test -t 0 && test -t 1 && stty size && tty && echo x > /dev/tty"], {
				...QUIET,
				terminal: {
					size: { rows: 12, columns: 34 },
					streams: ["stdin", "stdout", "stderr"],
					onMaster: (descriptor) => {
						void import("node:tty").then(({ ReadStream }) => {
							const stream = new ReadStream(descriptor);
							stream.on("data", (chunk) => chunks.push(chunk));
							stream.on("error", () => stream.destroy());
						});
					},
				},
			});
			expect(result).toMatchObject(OK);
			await vi.waitFor(() => expect(Buffer.concat(chunks).toString()).toBe("12 34\r\n/dev/pts/0\r\nx\r\n"), SOON);
		}
	});

	it("what was just copied in can be executed: nobody else holds it open for writing", async () => {
		await using pool = new Pool(policy, { size: 4 });
		const content = readFileSync(program());
		const rounds = Number(process.env["VMJAIL_COPY_ROUNDS"] ?? 400);
		const failures: unknown[] = [];
		const one = async () => {
			const result = await pool.exec(["./prog", "touch", "1"], {
				...QUIET,
				stdout: "ignore",
				stderr: "ignore",
				copyIn: [{ path: "prog", content, mode: 0o755 }],
			});
			if (result.kind !== "exited" || result.exitCode !== 0) failures.push(result);
		};
		await Promise.all(Array.from({ length: rounds }, one));
		expect(failures).toEqual([]);
	});

	it("nothing is left when vmjail is killed at any moment", async () => {
		const main = join(import.meta.dirname, "pool-main.mjs");
		for (let i = 0; i < 8; i++) {
			const child = spawn(process.execPath, [main], { stdio: ["ignore", "pipe", "inherit"] });
			const mine = () => leftovers().filter((line) => line.includes(`/vmjail-${child.pid}-`));
			await once(child.stdout, "data");
			await new Promise((resolve) => setTimeout(resolve, Math.random() * 150));
			child.kill("SIGKILL");
			await once(child, "exit");
			await vi.waitFor(() => expect(mine()).toEqual([]), SOON);
		}
	});

	it("a Node that stalls lets no limit slip", async () => {
		await using jail = await Jail.open(policy);
		const limits = { wallMs: 200 };
		const running = jail.exec(["sh", "-c", "yes; sleep 100"], { ...QUIET, collectMaxBytes: { stdout: 1000 }, limits });
		await new Promise((resolve) => setImmediate(resolve));
		const until = Date.now() + 1000;
		while (Date.now() < until);
		const result = await running;
		expect(result).toMatchObject({ kind: "limit" });
		expect(result.wallMs).toBeLessThan(900);
		closeSync(pipe().readEnd);
	});
});
