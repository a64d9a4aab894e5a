import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { leftovers, leftSince } from "../helpers/clean.ts";
import { PATIENCE } from "../helpers/patience.ts";
import { requireOr } from "../helpers/requirement.ts";
import { POLICY } from "../judge/policy.ts";
import { TestServer } from "../judge/server.ts";
import { ownFolder, serverMissing, sh } from "./commands.ts";

const folder = ownFolder("faults");

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function childrenOf(pid: number): readonly number[] {
	return readdirSync("/proc").flatMap((name) => {
		try {
			const stat = readFileSync(`/proc/${name}/stat`, "utf8");
			return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) === pid ? [Number(name)] : [];
		} catch {
			return []; // no process, or one that has ended
		}
	});
}

function commandOf(pid: number): string {
	try {
		return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
	} catch {
		return "";
	}
}

const executorOf = (server: TestServer) =>
	childrenOf(server.pid).find((pid) => commandOf(pid) === "vmjail-executor") ?? 0;

describe.skipIf(requireOr(serverMissing))("a server with a fault", () => {
	const held: { server?: TestServer; before: readonly string[] } = { before: [] };
	const start = async (args: readonly string[] = []): Promise<TestServer> => {
		held.before = leftovers();
		held.server = await TestServer.start(POLICY, args);
		return held.server;
	};
	/** Whatever happened: it ends in order, and nothing of it is left. */
	afterEach(async () => {
		const { server } = held;
		if (server === undefined) return;
		expect(await server.stop()).toBe(0);
		const left = await leftSince(held.before, 10_000);
		expect(left.filter((line) => line.includes(`vmjail-${server.pid}-`))).toEqual([]);
	});

	it("the executor is killed: every request is answered, the next ones run", async () => {
		const server = await start();
		expect((await server.run({ cmd: [sh("true")] }))[0]?.status).toBe("Accepted");
		const running = server.run({ cmd: [sh("sleep 30"), sh("sleep 30")] });
		await pause(500);
		process.kill(executorOf(server), "SIGKILL");
		const ended = await running;
		expect(ended.map(({ status }) => status)).toEqual(["Internal Error", "Internal Error"]);
		for (let i = 0; i < 4; i++) expect((await server.run({ cmd: [sh("echo on")] }))[0]?.status).toBe("Accepted");
	});

	it("Node does not get to run for 10 s: the limits hold all the same", async () => {
		const server = await start();
		await server.run({ cmd: [sh("true")] });
		const running = server.run({
			cmd: [
				{ ...sh("while :; do :; done"), cpuLimit: 1_000_000_000 },
				{ ...sh("sleep 30"), clockLimit: 1_000_000_000 },
			],
		});
		await pause(300);
		process.kill(server.pid, "SIGSTOP");
		await pause(10_000);
		process.kill(server.pid, "SIGCONT");
		const [busy, idle] = await running;
		expect(busy?.status).toBe("Time Limit Exceeded");
		expect((busy?.time ?? 0) / 1e9).toBeLessThan(1.5);
		expect(idle?.status).toBe("Time Limit Exceeded");
		expect((idle?.runTime ?? 0) / 1e9).toBeLessThan(2);
	});

	it("the disk is full: a clean error, and memory is not used instead", async () => {
		const disk = join(folder, "disk");
		mkdirSync(disk);
		execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", disk]);
		try {
			const server = await start(["--store", disk]);
			await expect(server.upload(Buffer.alloc(2 ** 21))).rejects.toThrow(/500.*ENOSPC/);
			const big = await server.run({ cmd: [sh("head -c 2000000 /dev/zero > big", { copyOutCached: ["big"] })] });
			expect(big[0]).toMatchObject({ status: "File Error", fileError: [{ name: "big" }] });
			const id = await server.upload(Buffer.from("there is room for this"));
			expect((await server.ask(`/file/${id}`)).body.toString()).toBe("there is room for this");
			expect(await server.stop()).toBe(0);
		} finally {
			execFileSync("umount", [disk]);
		}
	});

	it("its control groups are removed under it: an error for those, and new jails for the next", async () => {
		const server = await start(["--parallelism", "2"]);
		await server.run({ cmd: [sh("true"), sh("true")] });
		const removed = ownGroups(server).filter(evict);
		expect(removed.length).toBeGreaterThan(0);
		const statuses: string[] = [];
		for (let i = 0; i < 6; i++) {
			const [answer] = await server.run({ cmd: [{ ...sh("tail /dev/zero"), memoryLimit: 32 * 2 ** 20 }] });
			statuses.push(answer?.status ?? "");
		}
		// Never without its limit; and it recovers.
		expect(statuses.every((status) => ["Memory Limit Exceeded", "Internal Error"].includes(status))).toBe(true);
		expect(statuses.at(-1)).toBe("Memory Limit Exceeded");
	});

	it("100 clients at once, half of them gone in the middle: the others are answered", async () => {
		const server = await start(["--parallelism", "4", "--queue", "200"]);
		const clients = Array.from({ length: 100 }, async (_, i) => {
			const gone = new AbortController();
			if (i % 2 === 1) setTimeout(() => gone.abort(), 50 + i * 10);
			const script = i % 2 === 1 ? "exec sleep 20" : `echo ${i}`;
			try {
				const [answer] = await server.run({ cmd: [sh(script)] }, { signal: gone.signal });
				return answer?.files?.["stdout"] ?? answer?.status;
			} catch {
				return "gone";
			}
		});
		const answers = await Promise.all(clients);
		expect(answers.filter((_, i) => i % 2 === 0)).toEqual(Array.from({ length: 50 }, (_, i) => `${i * 2}\n`));
		expect(answers.filter((answer) => answer === "gone")).toHaveLength(50);
		expect((await server.run({ cmd: [sh("true")] }))[0]?.status).toBe("Accepted");
		// Those whose clients have gone may still be coming to their end.
		const metrics = async () => (await server.ask("/metrics")).body.toString();
		await expect.poll(metrics, { timeout: 10_000 * PATIENCE }).toContain("vmjail_commands_running 0");
		expect(await metrics()).toContain("vmjail_requests_waiting 0");
	});

	it("it is killed: its jails end, and the next server clears away what is left", async () => {
		const server = await start();
		const running = server.run({ cmd: [sh("exec sleep 31.9")] }).catch(() => "gone");
		await pause(700);
		server.kill("SIGKILL");
		expect(await running).toBe("gone");
		await server.ended();
		expect((await leftSince(held.before, 10_000)).filter((line) => line.includes(`vmjail-${server.pid}-`))).toEqual([]);
		delete held.server;
	});
});

/** What root can do to a group in use: its processes out, then rmdir. */
function evict(path: string): boolean {
	try {
		for (const pid of readFileSync(join(path, "cgroup.procs"), "utf8").split("\n").filter(Boolean)) {
			writeFileSync(join(dirname(path), "cgroup.procs"), pid);
		}
		rmdirSync(path);
		return true;
	} catch {
		return false; // it has gone by itself, or somebody came in meanwhile
	}
}

function ownGroups(server: TestServer): readonly string[] {
	return leftovers()
		.filter((line) => line.startsWith("cgroup ") && line.includes(`vmjail-${server.pid}-`))
		.map((line) => line.replace("cgroup ", ""))
		.sort((a, b) => b.length - a.length);
}
