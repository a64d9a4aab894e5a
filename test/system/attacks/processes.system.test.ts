/** Reaching for processes outside, for pid 1, for the terminal, and for other users' rights. */

import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, readdirSync, renameSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { requireOr } from "../../helpers/requirement.ts";
import {
	attackCommand,
	attackPath,
	buildAttacks,
	expectRefused,
	expectSucceeded,
	inJail,
	inTheOpen,
} from "../attack.ts";
import { CALLERS, missingCaller, missingPrograms, PATH, Place, ROOT, run, USER, VMJAIL, vmjail } from "../caller.ts";

const unbuilt = buildAttacks() ?? missingPrograms("script", "ipcmk", "ipcrm");

for (const caller of CALLERS) {
	describe.skipIf(requireOr(unbuilt ?? missingCaller(caller)))(`processes as ${caller.name}`, () => {
		const place = new Place(caller);
		afterAll(() => place.remove());

		/** A process of the caller's outside the jail, found by its odd number of seconds. */
		const MARK = `98765.${process.pid}`;
		let victim: ChildProcess;
		const alive = () => victim.exitCode === null && victim.signalCode === null;
		beforeEach(async () => {
			const [program = "", ...args] = [...caller.prefix, "env", "SECRET=of-the-victim", "sleep", MARK];
			victim = spawn(program, args, { env: { PATH }, stdio: "ignore" });
			for (;;) {
				const { stdout } = await inTheOpen(place, ["find-process.sh", MARK]);
				if (stdout === "succeeded\n") return;
			}
		});
		afterEach(() => void victim.kill("SIGKILL"));

		it("the host's processes are not seen", async () => {
			expectRefused(await inJail(place, ["find-process.sh", MARK]), "no such process");
			const { stdout } = await vmjail(place, ["-q", "--", "sh", "-c", "echo /proc/[0-9]*"]);
			expect(stdout).toBe("/proc/1 /proc/2\n");
		});

		it.each(["ptrace", "process_vm_readv"])("%s: not of the host's processes, not of pid 1", async (call) => {
			const pid = String(victim.pid);
			expectSucceeded(await inTheOpen(place, ["call", call, pid]));
			expectRefused(await inJail(place, ["call", call, pid]), /EPERM|ESRCH/);
			expectRefused(await inJail(place, ["call", call, "1"]), /EPERM/);
		});

		it("prlimit: not of the host's processes", async () => {
			expectSucceeded(await inTheOpen(place, ["call", "prlimit", String(victim.pid)]));
			expectRefused(await inJail(place, ["call", "prlimit", String(victim.pid)]), "ESRCH");
		});

		// Known: the kernel asks for the same user only, and pid 1 has the program's. What can be lowered ends the jail.
		it("prlimit: not of pid 1", async () => {
			expectRefused(await inJail(place, ["call", "prlimit", "1"]), "EPERM");
		});

		it("signals do not leave the jail", async () => {
			expectRefused(await inJail(place, ["call", "kill", String(victim.pid)]), "ESRCH");
			await vmjail(place, ["-q", "--", "sh", "-c", "kill -TERM -1; kill -KILL -1"]);
			expect(alive()).toBe(true);
			expectSucceeded(await inTheOpen(place, ["call", "kill", String(victim.pid)]));
			await expect.poll(alive).toBe(false);
		});

		it("pid 1 cannot be killed from inside", async () => {
			const script = "kill -KILL 1; kill -TERM 1; sleep 0.1; echo still here";
			expect(await vmjail(place, ["-q", "--", "sh", "-c", script])).toMatchObject({
				status: 0,
				stdout: "still here\n",
			});
		});

		it.each(["environ", "root/etc/hostname", "cwd/", "mem", "maps", "fd/0", "ns/mnt"])("/proc/1/%s", async (file) => {
			const outside = `/proc/${victim.pid}/${file}`;
			expect((await run(place, ["head", "-c", "0", "--", outside.replace(/\/$/, "/..")])).stderr).not.toMatch(/denied/);
			const { stdout, stderr } = await vmjail(place, ["-q", "--", "cat", `/proc/1/${file}`]);
			expect(stdout).toBe("");
			expect(stderr).toMatch(/Permission denied|Operation not permitted/);
		});

		it("setns into pid 1's namespaces", async () => {
			expectRefused(await inJail(place, ["call", "setns", "/proc/1/ns/mnt"]), /EPERM|EACCES/);
			expectRefused(await inJail(place, ["call", "setns", "/proc/self/ns/user"]), "EPERM");
		});

		it("TIOCSTI: nothing is typed into the caller's terminal", async () => {
			const onTerminal = async (command: readonly string[]) => {
				const line = command.map((word) => `'${word}'`).join(" ");
				const { stdout } = await run(place, ["script", "-qec", line, "/dev/null"]);
				return stdout.replaceAll("\r", "");
			};
			const attack = attackCommand(["tiocsti"]);
			expect(await onTerminal(attack)).toMatch(/succeeded/);
			const jail = [VMJAIL, "-q", "--ro", attackPath("."), "--", ...attack];
			expect(await onTerminal(jail)).toMatch(/refused: (EPERM|ENOTTY|EIO)/);
			// Its standard output is then the caller's terminal itself.
			const redirected = ["sh", "-c", `${jail.join(" ")} </dev/null`];
			expect(await onTerminal(redirected)).toMatch(/refused: (EPERM|ENOTTY|EIO)/);
		});

		it("System V shared memory of the host is not there", async () => {
			const { stdout } = await run(place, ["ipcmk", "-M", "4096", "-p", "0666"]);
			const id = /id: (\d+)/.exec(stdout)?.[1] ?? "";
			onTestFinished(() => void run(place, ["ipcrm", "-m", id]));
			const key = await run(place, ["sh", "-c", `ipcs -m | awk '$2 == ${id} { print $1 }'`]);
			const number = String(Number.parseInt(key.stdout.trim(), 16) | 0);
			expectSucceeded(await inTheOpen(place, ["call", "shmget", number]));
			expectRefused(await inJail(place, ["call", "shmget", number]), "ENOENT");
		});
	});
}

describe.skipIf(requireOr(unbuilt ?? missingCaller(ROOT) ?? missingCaller(USER)))("rights of other users", () => {
	const place = new Place(USER);
	const roots = new Place(ROOT);
	afterAll(() => {
		place.remove();
		roots.remove();
	});

	it("a setuid program stays without root's rights", async () => {
		const program = join(roots.work, "privilege");
		copyFileSync(attackPath("privilege"), program);
		chmodSync(program, 0o4755);
		expectSucceeded(await run(place, [program]));
		expectRefused(await vmjail(place, ["-q", "--ro", roots.work, "--", program]), "EPERM");
		const asRoot = ["-q", "--user", "1234:1234", "--ro", roots.work, "--", program];
		expectRefused(await vmjail(roots, asRoot), "EPERM");
	});

	it("a writable path that another user made a link is refused", async () => {
		const open = join(roots.folder, "open");
		mkdirSync(open);
		chmodSync(open, 0o1777);
		const planted = join(open, "work");
		await run(place, ["ln", "-s", roots.home, planted]);
		const { status, stderr } = await vmjail(roots, ["-q", "--rw", planted, "--", "touch", `${planted}/attacked`]);
		expect({ status, stderr }).toMatchObject({ status: 125, stderr: expect.stringMatching(/symbolic link|link/) });
		expect(readdirSync(roots.home)).toEqual([]);
		// A link of one's own is followed.
		const [target, own] = [join(roots.work, "target"), join(roots.work, "own")];
		mkdirSync(target);
		symlinkSync(target, own);
		expect((await vmjail(roots, ["-q", "--rw", own, "--", "touch", `${own}/mine`])).status).toBe(0);
		expect(readdirSync(target)).toEqual(["mine"]);
	});

	it("a folder that becomes a link between check and start lets nobody out", async () => {
		const folder = join(roots.folder, "swap");
		mkdirSync(folder);
		const [at, link, real] = ["at", "link", "real"].map((name) => join(folder, name)) as [string, string, string];
		mkdirSync(at);
		symlinkSync(roots.home, link);
		let swaps = 0;
		const swapping = setInterval(() => {
			// real folder ↔ link to another user's folder, at the same name
			if (swaps++ % 2 === 0) {
				renameSync(at, real);
				renameSync(link, at);
			} else {
				renameSync(at, link);
				renameSync(real, at);
			}
		}, 3);
		try {
			for (let i = 0; i < 12; i++) {
				const { status } = await vmjail(roots, ["-q", "--rw", at, "--", "touch", `${at}/attacked`]);
				expect([0, 1, 125]).toContain(status);
			}
		} finally {
			clearInterval(swapping);
		}
		expect(swaps).toBeGreaterThan(12);
	});
});
