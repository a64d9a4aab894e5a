/** The spare as the library's runs see it, and that nothing stays of it, however its owners end. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
	mkdirSync,
	mkdtempSync,
	readlinkSync,
	renameSync,
	rmdirSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, vi } from "vitest";
import { run } from "../../src/jail/run.ts";
import { closeSession, session } from "../../src/jail/session.ts";
import type { RunOptions } from "../../src/jail/types.ts";
import { childrenOf } from "../executor/peer.ts";
import { leftovers } from "../helpers/clean.ts";
import { removeFolder } from "../helpers/folder.ts";
import { PATIENCE } from "../helpers/patience.ts";
import { type PolicyParts, policyOf } from "../helpers/policy.ts";
import { requireOr } from "../helpers/requirement.ts";
import { CALLERS, missingCaller, PATH } from "../system/caller.ts";

const ENV = { env: { pass: [], set: { PATH: "/usr/bin:/bin" } } };
const optionsFor = (parts: PolicyParts = {}): RunOptions => ({
	policy: policyOf({ ...parts, system: { ...ENV, ...parts.system } }),
	stdin: "ignore",
	stdout: "collect",
	stderr: "inherit",
});
const plain = optionsFor();

const sh = (script: string, options: RunOptions = plain) => run(["sh", "-c", script], options);

/** Runs until a spare of this kind, and of no other, is there: its pid 1. */
async function spareFor(options: RunOptions = plain): Promise<number> {
	session().spare.discard();
	for (let i = 0; i < 6 && !session().spare.isReady; i++) {
		await run(["true"], options);
		await new Promise(setImmediate);
	}
	return sparePid();
}

async function sparePid(): Promise<number> {
	const executor = session().zygote.pid ?? -1;
	const [pid] = await vi.waitUntil(() => {
		const found = childrenOf(executor);
		return found.length === 1 ? found : undefined;
	});
	expect(session().spare.isReady).toBe(true);
	return pid as number;
}

const ownLeftovers = (pid: number) => leftovers().filter((line) => line.includes(`/vmjail-${pid}-`));

afterAll(async () => {
	await closeSession();
	expect(ownLeftovers(process.pid)).toEqual([]);
});

describe("a run with a spare", () => {
	it("takes it, gives the same as one without, and leaves another", async () => {
		const without = await sh(
			"hostname; cat /proc/sys/kernel/hostname; id -u; grep -c . /proc/self/mountinfo; ls /proc/1/",
		);
		const first = await spareFor();
		const result = await sh(
			"hostname; cat /proc/sys/kernel/hostname; id -u; grep -c . /proc/self/mountinfo; ls /proc/1/",
		);
		expect(result.stdout?.toString()).toBe(without.stdout?.toString());
		expect({ ...result, kind: without.kind, exitCode: 0 }).toMatchObject({
			runtime: "runlc",
			missing: without.missing,
		});
		expect(Object.keys(result).toSorted()).toEqual(Object.keys(without).toSorted());
		expect(result.memoryPeakBytes).toBeGreaterThan(0);
		await vi.waitUntil(() => session().spare.isReady);
		expect(await sparePid()).not.toBe(first);
	});

	const looks = requireOr(
		process.getuid?.() === 0 ? undefined : "only root may look at a spare's namespaces: sudo npm test",
	);
	it.skipIf(looks)(
		"has no mounts of its own before: the host's mounts are not held, and the run sees them as they are",
		async () => {
			const pid = await spareFor();
			expect(readlinkSync(`/proc/${pid}/ns/mnt`)).toBe(readlinkSync("/proc/self/ns/mnt"));
			for (const other of ["user", "net", "pid_for_children", "ipc", "uts"])
				expect(readlinkSync(`/proc/${pid}/ns/${other}`)).not.toBe(readlinkSync(`/proc/self/ns/${other}`));
		},
	);

	it("opens every path anew: what was replaced since is what the program gets, and a link is refused", async () => {
		const folder = mkdtempSync(join(tmpdir(), "spare-test-"));
		try {
			const path = join(folder, "writable");
			const put = (name: string) => {
				mkdirSync(join(folder, name));
				writeFileSync(join(folder, name, "seen"), name);
			};
			put("writable");
			put("other");
			const options = optionsFor({ file: { writablePaths: [path] } });
			await spareFor(options);
			renameSync(path, join(folder, "away"));
			renameSync(join(folder, "other"), path);
			const { stdout } = await sh(`cat ${path}/seen`, options);
			expect(stdout?.toString()).toBe("other");
		} finally {
			removeFolder(folder);
		}
	});

	it("plans anew where a path has become a link or is gone, and closes the spare with which it began", async () => {
		const folder = mkdtempSync(join(tmpdir(), "spare-test-"));
		try {
			const path = join(folder, "writable");
			for (const name of ["writable", "other"]) mkdirSync(join(folder, name));
			writeFileSync(join(folder, "other", "seen"), "other");
			const options = optionsFor({ file: { writablePaths: [path] } });
			const pid = await spareFor(options);
			rmdirSync(path);
			symlinkSync("other", path);
			const { stdout } = await sh(
				`cat ${folder}/other/seen; echo new > ${folder}/other/written; ls ${folder}/other`,
				options,
			);
			expect(stdout?.toString()).toBe("otherseen\nwritten\n");
			await vi.waitUntil(() => !childrenOf(session().zygote.pid ?? -1).includes(pid), { timeout: 5_000 * PATIENCE });

			await spareFor(options);
			rmSync(path);
			await expect(sh("true", options)).rejects.toMatchObject({ code: "PATH_INVALID" });
			await vi.waitUntil(() => ownLeftovers(process.pid).length === 0, { timeout: 10_000 * PATIENCE });
		} finally {
			removeFolder(folder);
		}
	});

	it("refuses arguments that nobody can pass on, and closes the spare with which it began", async () => {
		await spareFor();
		await expect(run(["a\0b"], plain)).rejects.toMatchObject({ code: "USAGE" });
		await vi.waitUntil(() => ownLeftovers(process.pid).length === 0, { timeout: 10_000 * PATIENCE });
	});

	it("that fails in its second half says so as any other, and the next one runs", async () => {
		const folder = mkdtempSync(join(tmpdir(), "spare-test-"));
		try {
			const options = optionsFor({ file: { writablePaths: [folder] } });
			await spareFor(options);
			const running = sh("true", options);
			// Planned already, not yet carried out: or planned again, with the same words.
			renameSync(folder, `${folder}-away`);
			const result = await running.catch((error: unknown) => error);
			renameSync(`${folder}-away`, folder);
			if (!("kind" in (result as object))) {
				expect(result).toMatchObject({ code: expect.stringMatching(/^(LAUNCH_FAILED|PATH_INVALID)$/) });
				expect(String((result as Error).message)).toContain(folder);
			}
			expect(await sh("true", options)).toMatchObject({ kind: "exited", exitCode: 0 });
		} finally {
			removeFolder(folder);
		}
	});

	it("of another policy makes its own jail; two at once share nothing", async () => {
		await spareFor();
		const other = optionsFor({ system: { hostname: "other" } });
		expect((await sh("hostname", other)).stdout?.toString()).toBe("other\n");
		expect(session().spare.isReady).toBe(true);
		const script = "readlink /proc/self/ns/net /proc/self/ns/pid; sleep 0.1; ps ax 2>/dev/null | grep -c slee[p]; true";
		const both = await Promise.all([sh(script), sh(script)]);
		expect(both[0].stdout?.toString()).not.toBe(both[1].stdout?.toString());
		for (const { kind } of both) expect(kind).toBe("exited");
	});

	it("whose spare was killed makes its own", async () => {
		const pid = await spareFor();
		process.kill(pid, "SIGKILL");
		await vi.waitUntil(() => !session().spare.isReady, { timeout: 10_000 * PATIENCE });
		expect(await sh("true")).toMatchObject({ kind: "exited", exitCode: 0 });
		await vi.waitUntil(() => ownLeftovers(process.pid).length === 0, { timeout: 10_000 * PATIENCE });
	});

	it("whose executor was killed leaves nothing of the spare", async () => {
		await closeSession();
		await spareFor();
		process.kill(session().zygote.pid ?? -1, "SIGKILL");
		await vi.waitUntil(() => ownLeftovers(process.pid).length === 0, { timeout: 10_000 * PATIENCE });
		expect(await sh("true")).toMatchObject({ kind: "exited", exitCode: 0 });
	});
});

/** Processes, by their command line and parents, and groups, by their names, of one library process. */
function leftOf(pid: number, executors: readonly number[]): readonly string[] {
	const alive = executors.filter((one) => leftovers().some((line) => line.startsWith(`process ${one} `)));
	return [...ownLeftovers(pid), ...alive.map((one) => `process ${one}`)];
}

/** The callers run side by side: what they wait for is mostly the clock. */
for (const caller of CALLERS) {
	describe.skipIf(requireOr(missingCaller(caller)))(
		`the built library as ${caller.name}`,
		{ concurrent: true, timeout: 120_000 * PATIENCE },
		() => {
			const limits = caller.name === "root" ? [] : ["memory", "swap", "pids"];

			const start = async (mode: string) => {
				const main = join(import.meta.dirname, "spare-main.mjs");
				const [program = "", ...args] = [...caller.prefix, process.execPath, main, mode, ...limits];
				const child: ChildProcess = spawn(program, args, {
					cwd: "/",
					stdio: ["ignore", "pipe", "inherit"],
					env: { PATH },
				});
				const exited = once(child, "exit");
				const [line] = await once(child.stdout as NodeJS.ReadableStream, "data");
				expect(JSON.parse(String(line))).toEqual(Array(6).fill("exited"));
				return { child, exited, pid: child.pid as number };
			};
			/** Its executor, and the executor's children. */
			const executorsOf = (pid: number) => {
				const own = childrenOf(pid);
				return { executor: own[0], all: [...own, ...own.flatMap(childrenOf)] };
			};
			const nothingLeft = (pid: number, executors: readonly number[]) =>
				vi.waitFor(() => expect(leftOf(pid, executors)).toEqual([]), { timeout: 10_000 * PATIENCE });

			it.sequential("ends by itself with a spare, which is gone by then", async () => {
				const { exited, pid } = await start("end");
				expect(await exited).toEqual([0, null]);
				await nothingLeft(pid, []);
			});

			it.sequential("leaves nothing where it calls process.exit", async () => {
				const { exited, pid } = await start("exit");
				expect(await exited).toEqual([0, null]);
				await nothingLeft(pid, []);
			});

			it.sequential("leaves nothing where it is killed while it has a spare", async () => {
				const { child, exited, pid } = await start("stay");
				const { all } = executorsOf(pid);
				expect(all).toHaveLength(2);
				child.kill("SIGKILL");
				await exited;
				await nothingLeft(pid, all);
			});

			it.sequential("leaves nothing where its executor is killed while it has a spare", async () => {
				const { child, exited, pid } = await start("stay");
				const { executor, all } = executorsOf(pid);
				process.kill(executor as number, "SIGKILL");
				await nothingLeft(pid, all);
				child.kill("SIGKILL");
				await exited;
			});

			it.sequential("leaves nothing where any of them is killed at any moment", async () => {
				const rounds = 12;
				for (let round = 0; round < rounds; round++) {
					const { child, exited, pid } = await start("busy");
					await new Promise((resolve) => setTimeout(resolve, Math.random() * 40));
					const { executor, all } = executorsOf(pid);
					const pid1 = all.filter((one) => one !== executor);
					const victim = [pid1[round % Math.max(1, pid1.length)], executor, pid][round % 3] ?? pid;
					try {
						process.kill(victim, "SIGKILL");
					} catch {
						// It has ended meanwhile.
					}
					// Whoever loses its executor tidies up itself, and needs a moment for it; killed too it could not.
					await new Promise((resolve) =>
						setTimeout(resolve, victim === executor ? 1_000 * PATIENCE : Math.random() * 20),
					);
					const later = executorsOf(pid).all;
					child.kill("SIGKILL");
					await exited;
					await nothingLeft(pid, [...all, ...later]);
				}
			});
		},
	);
}
