/** kill -9 of vmjail at any moment of a gVisor jail with network rules: runsc, gofer, Sentry and gateway go with it. */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, describe, expect, it } from "vitest";
import { defaultParent } from "../../../src/runtime/run-dir.ts";
import { runscBuilds } from "../../conformance/runtimes.ts";
import { leftovers } from "../../helpers/clean.ts";
import { requireOr } from "../../helpers/requirement.ts";
import { CALLERS, missingCaller, PATH, Place, VMJAIL } from "../../system/caller.ts";

const builds = await runscBuilds();
const skipped = requireOr(builds.length > 0 ? undefined : "no runsc to test with: sh scripts/get-runsc.sh");
const KILLS = 10;

/** Pids of processes, this one's apart, whose command line holds one of the texts. */
function processesWith(...texts: readonly string[]): readonly string[] {
	return readdirSync("/proc").filter((pid) => {
		if (!/^\d+$/.test(pid) || pid === String(process.pid)) return false;
		try {
			const line = readFileSync(`/proc/${pid}/cmdline`, "utf8");
			return texts.some((text) => line.includes(text));
		} catch {
			return false;
		}
	});
}

async function until(condition: () => boolean): Promise<void> {
	for (let i = 0; i < 1000 && !condition(); i++) await delay(10);
}

const runDirs = () => readdirSync(defaultParent()).filter((name) => name.startsWith("vmjail-run-"));
const mounts = () => readFileSync("/proc/self/mountinfo", "utf8").split("\n");

const stages = builds.flatMap((runsc) =>
	CALLERS.map((caller) => ({ version: runsc.abilities.version, who: caller.name, runsc, caller })),
);

describe.skipIf(skipped).each(stages)("kill -9 with runsc $version as $who", ({ runsc, caller }) => {
	describe.skipIf(requireOr(missingCaller(caller)))("at any moment", { timeout: 150_000 }, () => {
		const place = new Place(caller);
		afterAll(() => place.remove());
		let serial = 0;

		/** The mark is in the command line of vmjail and of runsc's programs; the run's folder names vmjail's pid. */
		const start = (): { readonly child: ChildProcess; readonly mark: string } => {
			const mark = `200.${process.pid}${++serial}`;
			const flags = ["-q", "--runtime", "runsc", "--runsc", runsc.path, "--allow-dns", "npm.org:443"];
			const script = `sleep ${mark} & echo up; exec sleep ${mark}`;
			const [program = "", ...args] = [...caller.prefix, VMJAIL, ...flags, "--", "sh", "-c", script];
			const child = spawn(program, args, {
				cwd: place.work,
				env: { PATH, HOME: place.home },
				stdio: ["ignore", "pipe", "ignore"],
			});
			return { child, mark };
		};

		it("leaves no process, mount, state folder or control group", async () => {
			const before = mounts();
			const { child, mark } = start();
			const begun = Date.now();
			await once(child.stdout ?? child, "data");
			const startMs = Date.now() - begun;
			// These tests see what they look for: vmjail, runsc, gofer and Sentry; a folder; for root, groups.
			const ofRun = () => processesWith(mark, `-${child.pid}-`);
			expect(ofRun().length).toBeGreaterThanOrEqual(4);
			expect(runDirs().filter((name) => name.includes(`-${child.pid}-`))).toHaveLength(1);
			const groups = () => leftovers().filter((line) => line.startsWith("cgroup") && line.includes(`-${child.pid}-`));
			if (caller.name === "root") expect(groups()).not.toEqual([]);
			child.kill("SIGKILL");
			await until(() => ofRun().length === 0);
			expect(ofRun()).toEqual([]);

			const killed: { readonly child: ChildProcess; readonly mark: string }[] = [];
			for (let i = 0; i < KILLS; i++) {
				const next = start();
				killed.push(next);
				await delay(Math.random() * startMs * 1.3);
				next.child.kill("SIGKILL");
				if (next.child.exitCode === null && next.child.signalCode === null) await once(next.child, "exit");
			}
			const texts = killed.flatMap((one) => [one.mark, `-${one.child.pid}-`]);
			await until(() => processesWith(...texts).length === 0);
			expect(processesWith(...texts)).toEqual([]);

			// What is on disk, and what an executor could not take away that was killed as well, is the next vmjail's to remove.
			const { child: last } = start();
			await once(last.stdout ?? last, "data");
			last.kill("SIGTERM");
			await once(last, "exit");
			const pids = [child, ...killed.map((one) => one.child), last].map(({ pid }) => `-${pid}-`);
			const own = (lines: readonly string[]) => lines.filter((line) => pids.some((pid) => line.includes(pid)));
			await until(() => own([...leftovers(), ...runDirs()]).length === 0);
			expect(own([...leftovers(), ...runDirs()])).toEqual([]);
			expect(mounts().filter((line) => line.includes("vmjail-run-") && !before.includes(line))).toEqual([]);
			const links = spawnSync("ip", ["-o", "link"], { encoding: "utf8", env: { PATH } }).stdout;
			expect(links).not.toContain("jail0");
		});
	});
});
