/** Signals that come early: when there is no program yet, and when it has just begun. */

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, vi } from "vitest";
import { removeFolder } from "../helpers/folder.ts";
import { SOON } from "../helpers/patience.ts";
import { requireOr } from "../helpers/requirement.ts";
import { missingPrograms, PATH, VMJAIL } from "../system/caller.ts";

const folder = mkdtempSync(join(tmpdir(), "signals-test-"));
chmodSync(folder, 0o755);
afterAll(() => removeFolder(folder));
const at = (name: string) => join(folder, name);
const env = { PATH };

describe("a signal to vmjail", () => {
	it.skipIf(requireOr(missingPrograms("strace")))("finds it listening before the program is asked for", () => {
		const traced = at("trace");
		const trace = ["strace", "-f", "-o", traced, "-e", "trace=rt_sigaction,sendmsg"];
		const { status } = spawnSync(trace[0] ?? "", [...trace.slice(1), VMJAIL, "-q", "--", "true"], { cwd: "/", env });
		expect(status).toBe(0);
		const lines = readFileSync(traced, "utf8").split("\n");
		// A workload's frame is the one with the standard streams.
		const asked = lines.findIndex((line) => /sendmsg\(.*SCM_RIGHTS, cmsg_data=\[\d+, \d+, \d+/.test(line));
		expect(asked).toBeGreaterThan(0);
		// Node has handlers of its own for some, which end it. That of SIGUSR2 is the one by which JavaScript listens.
		const listener = lines.map((line) => /\(SIGUSR2, \{sa_handler=(0x\w+)/.exec(line)?.[1]).find(Boolean);
		for (const name of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"]) {
			const listens = lines.findIndex((line) => line.includes(`(${name}, {sa_handler=${listener}`));
			expect(listens, name).toBeGreaterThan(0);
			expect(listens, name).toBeLessThan(asked);
		}
	});

	it.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
		"%s ends it as others, as long as it has no program",
		async (name) => {
			const runsc = at(`runsc-${name}`);
			writeFileSync(runsc, `#!/bin/sh\n: > ${runsc}.asked\nexec sleep 3\n`, { mode: 0o755 });
			const args = ["-q", "--runtime", "runsc", "--runsc", runsc, "--", "true"];
			const child = spawn(VMJAIL, args, { cwd: "/", env: { ...env, XDG_CACHE_HOME: folder }, stdio: "ignore" });
			const ended = once(child, "exit");
			await vi.waitUntil(() => existsSync(`${runsc}.asked`), SOON);
			child.kill(name);
			expect(await ended).toEqual([null, name]);
		},
	);
});
