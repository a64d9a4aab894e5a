/** kill -9 of vmjail, of its executor, and of both, at any moment: nothing may stay behind. */

import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync, utimesSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { leftovers, leftSince } from "../helpers/clean.ts";
import { requireOr } from "../helpers/requirement.ts";
import { CALLERS, missingCaller, PATH, Place, VMJAIL, vmjail } from "./caller.ts";

const KILLS = 50;
const AT_ONCE = 5;

interface Process {
	readonly pid: number;
	readonly parent: number;
	readonly state: string;
	readonly name: string;
	readonly commandLine: string;
}

/** Every process that /proc shows: proc_pid_stat(5). */
function processes(): Process[] {
	return readdirSync("/proc")
		.filter((name) => /^\d+$/.test(name))
		.flatMap((pid) => {
			try {
				const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
				const [state = "", parent = ""] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
				const name = stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"));
				const commandLine = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
				return [{ pid: Number(pid), parent: Number(parent), state, name, commandLine }];
			} catch {
				return []; // it has ended meanwhile
			}
		});
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** The result, or an error that tells a hang from a slow machine. */
function inTime<T>(what: string, result: Promise<T>): Promise<T> {
	return new Promise((resolve, reject) => {
		const timer = setTimeout(() => reject(new Error(`${what}: not within 30 seconds`)), 30_000);
		result.then(resolve, reject).finally(() => clearTimeout(timer));
	});
}

/** Polls until there is a result. */
async function until<T>(look: () => T | undefined, patienceMs: number): Promise<T | undefined> {
	const deadline = Date.now() + patienceMs;
	for (;;) {
		const found = look();
		if (found !== undefined || Date.now() > deadline) return found;
		await sleep(10);
	}
}

/**
 * Pids of dead processes that nobody has collected; they have no command line by which to know them. Some inits take note
 * of theirs every few seconds only, and of everybody's.
 */
function zombies(): number[] {
	const names = ["vmjail-executor", "sleep", "sh", "node"];
	return processes()
		.filter(({ state, name, parent }) => state === "Z" && parent !== 1 && names.includes(name))
		.map(({ pid }) => pid);
}

/** Mounts that hold a namespace although no process is in it. */
function boundNamespaces(): string[] {
	return readFileSync("/proc/self/mountinfo", "utf8")
		.split("\n")
		.filter((line) => line.includes(" - nsfs "));
}

for (const caller of CALLERS) {
	describe.skipIf(requireOr(missingCaller(caller)))(`kill -9 as ${caller.name}`, { timeout: 150_000 }, () => {
		const place = new Place(caller);
		afterAll(() => place.remove());
		let startMs = 0;
		let serial = 0;

		/** A jail with three processes; the mark is in the command lines of all of them, and of vmjail. */
		const start = (): { child: ChildProcess; mark: string; up: Promise<void>; ended: Promise<number | null> } => {
			const mark = `100.${process.pid}${++serial}`;
			const script = `sleep ${mark} & sleep ${mark} & echo up; exec sleep ${mark}`;
			const [program = "", ...args] = [...caller.prefix, VMJAIL, "-q", "--", "sh", "-c", script];
			const child = spawn(program, args, {
				cwd: place.work,
				env: { PATH, HOME: place.home },
				stdio: ["ignore", "pipe", "ignore"],
			});
			const up = new Promise<void>((resolve) => child.stdout?.once("data", () => resolve()));
			const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
			return { child, mark, up, ended };
		};

		const executorOf = (vmjailPid: number | undefined) =>
			processes().find(({ parent, name }) => parent === vmjailPid && name === "vmjail-executor")?.pid;

		/** The executor of a vmjail that has just been started. Never a number that kill(2) reads otherwise. */
		const executorSoon = async (child: ChildProcess): Promise<number> => {
			const pid = await until(() => executorOf(child.pid), 10_000);
			if (pid === undefined || pid <= 1) throw new Error("vmjail started no executor within 10 seconds");
			return pid;
		};

		/** Does `kill` KILLS times, some at once; then nothing is left that was not there before. */
		const killing = async (kill: (i: number) => Promise<void>, tidy: () => Promise<void> = async () => {}) => {
			const before = { left: leftovers(), zombies: zombies(), bound: boundNamespaces() };
			const first = serial + 1;
			for (let i = 0; i < KILLS; i += AT_ONCE) {
				await Promise.all(Array.from({ length: AT_ONCE }, (_, k) => kill(i + k)));
			}
			await tidy();
			expect(await leftSince(before.left)).toEqual([]);
			const marks = Array.from({ length: serial - first + 1 }, (_, k) => `100.${process.pid}${first + k}`);
			const ours = () => processes().filter(({ commandLine }) => marks.some((mark) => commandLine.includes(mark)));
			await until(() => (ours().length === 0 ? true : undefined), 5_000);
			expect(ours()).toEqual([]);
			const dead = () => zombies().filter((pid) => !before.zombies.includes(pid));
			await until(() => (dead().length === 0 ? true : undefined), 5_000);
			expect(dead()).toEqual([]);
			// Without a process and without such a mount, the kernel has freed the jail's namespaces and their mounts.
			expect(boundNamespaces()).toEqual(before.bound);
		};

		beforeAll(async () => {
			const begun = Date.now();
			const { child, up, ended } = start();
			await up;
			startMs = Date.now() - begun;
			child.kill("SIGKILL");
			await ended;
		});

		it("a jail that nobody kills is there: these tests see what they look for", async () => {
			const { child, mark, up, ended } = start();
			await up;
			const seen = processes().filter(({ commandLine }) => commandLine.includes(mark));
			expect(seen.length).toBeGreaterThanOrEqual(4);
			expect(executorOf(child.pid)).toBeDefined();
			expect(leftovers().filter((line) => line.startsWith("process"))).not.toEqual([]);
			child.kill("SIGTERM");
			expect(await ended).toBe(143);
		});

		it("of vmjail", async () => {
			await killing(async (i) => {
				const { child, ended } = start();
				// Two in five before 60 ms, the others until well after the program runs.
				await sleep(Math.random() * (i % 5 < 2 ? 60 : startMs * 1.5));
				child.kill("SIGKILL");
				await ended;
			});
		});

		/** Groups that were left are a minute old; the next start removes them. */
		const sweeping = (before: readonly string[]) => async () => {
			const long = new Date(Date.now() - 3_600_000);
			const groups = leftovers().filter((line) => line.startsWith("cgroup ") && !before.includes(line));
			for (const line of groups) utimesSync(line.slice("cgroup ".length), long, long);
			expect((await vmjail(place, ["-q", "--", "true"])).status).toBe(0);
		};

		const killExecutor = async () => {
			const { child, ended } = start();
			const executor = await executorSoon(child);
			await sleep(Math.random() * 60);
			process.kill(executor, "SIGKILL");
			expect(await inTime("the end of a vmjail whose executor was killed", ended)).toBe(125);
		};

		it("of the executor", async () => {
			await killing(killExecutor, sweeping(leftovers()));
		});

		it("of the executor of a running jail: its group goes with it", async () => {
			const before = leftovers();
			const { child, up, ended } = start();
			await up;
			process.kill(await executorSoon(child), "SIGKILL");
			await inTime("the end of a vmjail whose executor was killed", ended);
			const left = await leftSince(before, 2_000);
			await sweeping(before)();
			expect(left).toEqual([]);
		});

		it("of both", async () => {
			const kill = async () => {
				const { child, ended } = start();
				const executor = await executorSoon(child);
				await sleep(Math.random() * 60);
				process.kill(executor, "SIGKILL");
				child.kill("SIGKILL");
				await ended;
			};
			await killing(kill, sweeping(leftovers()));
		});
	});
}
