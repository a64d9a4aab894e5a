/** Jails that are used again under gVisor: one sandbox for each block, since each takes a fifth of a second to start. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { ExecOptions, ExecResult } from "../../src/jail/execution.ts";
import { Jail } from "../../src/jail/jail.ts";
import { closeSession } from "../../src/jail/session.ts";
import { runscBuilds } from "../conformance/runtimes.ts";
import { leftovers } from "../helpers/clean.ts";
import { removeFolder } from "../helpers/folder.ts";
import { PATIENCE, SOON } from "../helpers/patience.ts";
import { policyOf } from "../helpers/policy.ts";
import { requireOr } from "../helpers/requirement.ts";
import { CALLERS, missingCaller, PATH, Place, vmjail } from "../system/caller.ts";

const builds = await runscBuilds();
const skipped = requireOr(builds.length > 0 ? undefined : "no runsc to test with: sh scripts/get-runsc.sh");
const MIB = 2 ** 20;
const QUIET: ExecOptions = { stdin: "ignore", stdout: "collect", stderr: "collect" };

const textOf = ({ stdout }: ExecResult) => stdout?.toString();
const errorsOf = ({ stderr }: ExecResult) => stderr?.toString();
const ownLeftovers = () => leftovers().filter((line) => line.includes(`/vmjail-${process.pid}-`));

const folder = { path: "" };
beforeAll(() => {
	folder.path = mkdtempSync(join(tmpdir(), "vmjail-again-"));
});
afterAll(async () => {
	removeFolder(folder.path);
	await closeSession();
	expect(ownLeftovers()).toEqual([]);
});

const policyFor = (allow: readonly string[] = []) =>
	policyOf({
		system: {
			runtime: "runsc",
			env: { pass: [], set: { PATH: "/usr/bin:/bin" } },
			optional: ["memory", "swap", "cpu", "pids"],
			cwd: "/tmp",
		},
		file: {
			tmpfs: [{ path: "/tmp", sizeBytes: 16 * MIB }],
			writablePaths: [folder.path],
		},
		allow,
	});

/** Lists of the processors that threads of these processes may use: each list once. */
const processorsOf = (pids: readonly number[]) => {
	const statuses = pids.flatMap((pid) =>
		readdirSync(`/proc/${pid}/task`).map((tid) => readFileSync(`/proc/${pid}/task/${tid}/status`, "utf8")),
	);
	return [...new Set(statuses.map((status) => /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1]))];
};
const noSecondProcessor = requireOr(availableParallelism() > 1 ? undefined : "needs two processors");

/** Processes of runsc's in sandboxes of this vmjail's: their ids and command lines. */
const processesOf = (vmjail: number) =>
	readdirSync("/proc").flatMap((pid) => {
		try {
			const line = /^\d+$/.test(pid) ? readFileSync(`/proc/${pid}/cmdline`, "utf8") : "";
			return line.includes(`-${vmjail}-`) ? [{ pid: Number(pid), words: line.split("\0") }] : [];
		} catch {
			return [];
		}
	});
const sentries = () => processesOf(process.pid).flatMap(({ pid, words }) => (words.includes("boot") ? [pid] : []));

describe.skipIf(skipped).each(builds.map((runsc) => [runsc.abilities.version, runsc.path] as const))(
	"a jail of runsc %s that is used again",
	(_, runsc) => {
		let jail: Jail;
		beforeAll(async () => {
			jail = await Jail.open(policyFor(), { runsc });
		});
		afterAll(() => jail.close());
		const sh = (script: string, options: ExecOptions = {}) => jail.exec(["sh", "-c", script], { ...QUIET, ...options });

		it("runs one program after the other, and each finds it as new", async () => {
			const script = [
				`ls -A /tmp /dev/shm ${folder.path}`,
				`echo secret > /tmp/left; echo secret > /dev/shm/left; mkdir /tmp/folder; chmod 700 /tmp`,
				"echo x >/dev/null; echo in dev; find /dev '(' -user 0 -o -writable ')' -type d; echo -",
				"touch /dev/left /dev/net/left /dev/pts/left || true; chmod 600 /dev/null /dev/pts/ptmx || true; rm -rf /dev/shm || true",
				"echo 1 > /proc/sys/net/ipv4/ip_forward || true",
				"ipcmk -M 4096; umask 077; sleep 100 & :",
			].join("; ");
			const first = await sh(script);
			const second = await sh(script);
			expect(textOf(second)).toBe(textOf(first));
			expect(textOf(first)).toContain("\nin dev\n/dev/shm\n-\n");
			expect(textOf(first)).toMatch(/^Shared memory id: \d+$/m);
			expect(errorsOf(first)?.match(/Permission denied|Operation not permitted|Read-only/g)?.length).toBeGreaterThan(3);
			const third = await sh(
				"stat -c %a /tmp /dev/null /dev/pts/ptmx; ls -A /tmp /dev/shm; umask; ps -e | grep -c sleep",
			);
			const own = folder.path.slice("/tmp/".length);
			const kept = folder.path.startsWith("/tmp/") ? `${own}\n` : "";
			expect(textOf(third)).toBe(`1777\n666\n666\n/dev/shm:\n\n/tmp:\n${kept}0022\n0\n`);
		});

		it.skipIf(noSecondProcessor)("gives a short program one processor, and a longer one all of them", async () => {
			const all = processorsOf([process.pid]);
			const sandbox = () => processorsOf(processesOf(process.pid).map(({ pid }) => pid));
			await jail.exec(["true"], QUIET);
			const [one = "", ...others] = sandbox();
			expect([one, others]).toEqual([expect.stringMatching(/^\d+$/), []]);
			const longer = jail.exec(["sleep", "1"], QUIET);
			await vi.waitFor(() => expect(sandbox()).toEqual(all), SOON);
			await longer;
			await jail.exec(["true"], QUIET);
			expect(sandbox()).toEqual([one]);
		});

		it("keeps the host's writable folders, which lie on a file system that is made anew", async () => {
			writeFileSync(join(folder.path, "given"), "from outside");
			expect(textOf(await sh(`cat ${folder.path}/given; echo inside > ${folder.path}/made`))).toBe("from outside");
			expect(readFileSync(join(folder.path, "made"), "utf8")).toBe("inside\n");
		});

		it("tells a program that is not there from one that fails, and stays usable", async () => {
			await expect(jail.exec(["does-not-exist"], QUIET)).rejects.toMatchObject({ code: "COMMAND_NOT_FOUND" });
			await expect(jail.exec(["/etc/passwd"], QUIET)).rejects.toMatchObject({ code: "COMMAND_NOT_EXECUTABLE" });
			await expect(jail.exec(["true"], { ...QUIET, cwd: "/nowhere" })).rejects.toMatchObject({ code: "LAUNCH_FAILED" });
			expect(await sh("exit 7")).toMatchObject({ kind: "exited", exitCode: 7, runtime: "runsc" });
			expect(await sh("kill -TERM $$")).toMatchObject({ kind: "signaled", signal: "SIGTERM" });
		});

		it("leaves pid 1 as it was, whatever became of a program", async () => {
			const descriptors = async () =>
				textOf(await sh("ls /proc/1/fd; grep -E '^(Uid|Sig(Blk|Ign|Cgt)):' /proc/1/status"));
			const before = await descriptors();
			expect(before).toMatch(/\d+\n/);
			for (const command of [["true"], ["does-not-exist"], ["/etc/passwd"], ["sh", "-c", "kill -9 $$"]]) {
				await jail.exec(command, QUIET).catch(() => undefined);
			}
			await jail.exec(["true"], { ...QUIET, cwd: "/nowhere" }).catch(() => undefined);
			expect(await descriptors()).toBe(before);
		});

		it("input, output, and what each says it used", async () => {
			const big = "x".repeat(300_000);
			const result = await sh("cat; echo to-error >&2", { stdin: { content: big } });
			expect(textOf(result)).toBe(big);
			expect(errorsOf(result)).toBe("to-error\n");
			const busy = await sh("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done");
			expect(busy.cpuUserMs + busy.cpuSystemMs).toBeGreaterThan(10);
			expect(busy.memoryPeakBytes).toBeGreaterThan(100_000);
		});

		it("limits of one program end it, not the jail", async () => {
			expect(await sh("sleep 100", { limits: { wallMs: 300 } })).toMatchObject({ kind: "limit", limit: "wall-time" });
			expect(await sh("while :; do :; done", { limits: { cpuMs: 200 } })).toMatchObject({
				kind: "limit",
				limit: "cpu-time",
			});
			expect(await sh("yes", { limits: { outputBytes: 10_000 } })).toMatchObject({ kind: "limit", limit: "output" });
			const early = new AbortController();
			setTimeout(() => early.abort(), 200 * PATIENCE);
			expect(await sh("sleep 100", { signal: early.signal })).toMatchObject({ kind: "cancelled" });
			expect(textOf(await sh("echo still"))).toBe("still\n");
			await expect(sh("true", { limits: { memoryBytes: MIB } })).rejects.toMatchObject({ code: "NOT_AVAILABLE" });
		});

		it("takes files in and gives files out, as the program's user", async () => {
			const big = Buffer.alloc(3 * MIB, "0123456789abcdef");
			const result = await sh("./bin/prog < in/data; cat link; cp big out-big; stat -c '%a %u' bin/prog in", {
				copyIn: [
					{ path: "bin/prog", content: "#!/bin/sh\ncat > out\n", mode: 0o755 },
					{ path: "/tmp/in/data", content: Uint8Array.of(0, 1, 255) },
					{ path: "link", symlink: "in/data" },
					{ path: "big", content: big },
					{ path: "empty", content: "" },
				],
				copyOut: [
					{ path: "out", maxBytes: 10 },
					{ path: "out-big", maxBytes: 4 * MIB },
					{ path: "empty", maxBytes: 0 },
				],
			});
			expect(result).toMatchObject({ kind: "exited", exitCode: 0, fileErrors: [] });
			expect([...(result.files.get("out") ?? [])]).toEqual([0, 1, 255]);
			expect(result.files.get("out-big")?.equals(big)).toBe(true);
			expect(result.files.get("empty")).toEqual(Buffer.alloc(0));
			expect(result.stdout?.subarray(3).toString()).toBe(`755 ${process.getuid?.()}\n755 ${process.getuid?.()}\n`);
			expect(textOf(await sh("ls"))).not.toContain("out");
		});

		it("gives out regular files only, of no more than they may have, and never hangs", async () => {
			const script = "mkfifo fifo; mkdir folder; ln -s /etc/passwd link; echo 12345 > long; ln -s . way";
			const out = (path: string) => ({ path, maxBytes: 3 });
			const names = ["fifo", "folder", "link", "long", "missing", "way/long", "/dev/zero", "/etc/shadow"];
			const { fileErrors, files } = await sh(script, {
				copyOut: [...names.map(out), { ...out("long"), truncate: true }, { ...out("none"), optional: true }],
			});
			expect(fileErrors.map(({ path, kind }) => `${path} ${kind}`)).toEqual([
				...["fifo not-regular", "folder not-regular", "link open", "long too-large", "missing open", "way/long open"],
				expect.stringMatching(/^\/dev\/zero not-regular$/),
				// root's own program may read it; its size is what forbids it.
				expect.stringMatching(/^\/etc\/shadow (open|too-large)$/),
			]);
			expect([...files].map(([name, content]) => [name, content.toString()])).toEqual([["long", "123"]]);
		});

		it("says which file could not be copied in, and then runs nothing", async () => {
			const ran = await sh("echo ran", {
				copyIn: [
					{ path: "/usr/bin/new", content: "x" },
					{ path: "/etc/passwd/below", content: "x" },
					{ path: "/dev/null/below", symlink: "x" },
				],
			});
			expect(ran).toMatchObject({ kind: "cancelled", fileErrors: [{ path: "/usr/bin/new" }, {}, {}] });
			expect(ran.fileErrors.map(({ kind }) => kind)).toEqual([
				...["create-file", expect.stringMatching(/create-f/), expect.stringMatching(/create-folder|symlink/)],
			]);
		});

		it("no program can reach pid 1", async () => {
			const { stdout } = await sh("kill -9 1 || echo refused; grep ^Uid /proc/1/status; grep ^Cap /proc/self/status");
			expect(stdout?.toString()).toMatch(/^refused\nUid:(\t2147483000){4}\n(Cap\w+:\t0{16}\n)+$/);
		});

		it("with a list of programs nothing else runs; closed it leaves nothing", async () => {
			const listed = await Jail.open(policyFor(["/bin/sh", "/usr/bin/cat"]), { runsc });
			const denials: string[] = [];
			for (let i = 0; i < 2; i++) {
				const script =
					"cat /etc/hostname >/dev/null && echo read; id; cp /bin/sh /tmp/other; cat /bin/sh > /tmp/other; /tmp/other";
				const { stdout, kind } = await listed.exec(["sh", "-c", script], {
					...QUIET,
					onDenial: ({ detail }) => denials.push(detail),
				});
				expect([kind, stdout?.toString()]).toEqual(["exited", "read\n"]);
			}
			expect(denials.filter((detail) => detail.startsWith("/usr/bin/id "))).toHaveLength(2);
			await expect(listed.exec(["id"], QUIET)).rejects.toMatchObject({ code: "COMMAND_NOT_EXECUTABLE" });
			expect(sentries().length).toBe(2);
			await Promise.all([listed.close(), listed.close()]);
			await expect(listed.exec(["true"], QUIET)).rejects.toMatchObject({ code: "JAIL_CLOSED" });
			expect(sentries().length).toBe(1);
		});

		it("a sandbox that is killed is told so, once and for all", async () => {
			const before = sentries();
			const other = await Jail.open(policyFor(), { runsc });
			const running = other.exec(["sleep", "100"], QUIET);
			const fresh = sentries().filter((pid) => !before.includes(pid));
			expect(fresh).toHaveLength(1);
			for (const pid of fresh) process.kill(pid, "SIGKILL");
			await expect(running).rejects.toMatchObject({ code: expect.stringMatching(/EXECUTOR_FAILED|LAUNCH_FAILED/) });
			expect(other.broken).toBe(true);
			await other.close();
			expect(textOf(await sh("echo unharmed"))).toBe("unharmed\n");
		});
	},
);

describe.skipIf(skipped).each(CALLERS)("the library as $name", (caller) => {
	const place = new Place(caller);
	afterAll(() => place.remove());

	it.skipIf(requireOr(missingCaller(caller))).each(builds.map(({ abilities, path }) => [abilities.version, path]))(
		"runsc %s: programs, and nothing of it when it is killed",
		async (_, runsc) => {
			const main = join(import.meta.dirname, "gvisor-main.mjs");
			const [program = "", ...args] = [...caller.prefix, process.execPath, main, runsc ?? "", place.work];
			const child = spawn(program, args, { cwd: "/", stdio: ["ignore", "pipe", "inherit"], env: { PATH } });
			const of = () => processesOf(child.pid ?? -1);
			try {
				const [line] = await once(child.stdout, "data");
				const { stdout, denials } = JSON.parse(String(line));
				expect(stdout).toMatch(/^\d+\nrefused\n$/);
				expect(denials).toBe(1);
				for (const round of [0, 1]) expect(readFileSync(join(place.work, `seen-${round}`), "utf8")).toMatch(/^given/);
				expect(readFileSync(join(place.work, "seen-1"), "utf8")).not.toContain("left");
				expect(of().length).toBeGreaterThan(2);
			} finally {
				child.kill("SIGKILL");
			}
			await vi.waitFor(() => expect(of()).toEqual([]), SOON);
			const groups = () => leftovers().filter((line) => line.includes(`/vmjail-${child.pid}-`));
			await vi.waitFor(() => expect(groups()).toEqual([]), SOON);
			// The run's folder goes with the next run of the same user's.
			const flags = ["memory", "pids"].flatMap((control) => ["--optional", control]);
			const next = await vmjail(place, ["-q", "--runtime", "runsc", "--runsc", runsc ?? "", ...flags, "--", "true"]);
			expect(next.status).toBe(0);
			expect(leftovers().filter((line) => line.includes(`-${child.pid}-`))).toEqual([]);
		},
	);
});
