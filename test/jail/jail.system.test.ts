import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it, vi } from "vitest";
import type { ExecOptions, ExecResult } from "../../src/jail/execution.ts";
import { Jail } from "../../src/jail/jail.ts";
import { closeSession } from "../../src/jail/session.ts";
import { leftovers } from "../helpers/clean.ts";
import { SOON } from "../helpers/patience.ts";
import { policyOf } from "../helpers/policy.ts";
import { requireOr } from "../helpers/requirement.ts";
import { missingCaller, USER } from "../system/caller.ts";

const MIB = 2 ** 20;
const policy = policyOf({
	system: {
		env: { pass: [], set: { PATH: "/usr/bin:/bin" } },
		memory: { maxBytes: 256 * MIB, swapBytes: 0 },
		pids: { max: 64 },
		cwd: "/tmp",
	},
	file: { tmpfs: [{ path: "/tmp", sizeBytes: 64 * MIB }] },
});

const QUIET: ExecOptions = { stdin: "ignore", stdout: "collect", stderr: "collect" };

const ownLeftovers = () => leftovers().filter((line) => line.includes(`/vmjail-${process.pid}-`));

afterAll(async () => {
	await closeSession();
	expect(ownLeftovers()).toEqual([]);
});

const textOf = ({ stdout }: ExecResult) => stdout?.toString();

describe("a jail that is used again", () => {
	it("runs one program after the other, and each finds it as new", async () => {
		await using jail = await Jail.open(policy);
		const script = [
			"ls -A /tmp /dev/shm /dev/mqueue",
			"echo secret > /tmp/left; echo secret > /dev/shm/left; chmod 700 /tmp; chmod 000 /dev/pts/ptmx",
			"mkdir /dev/mqueue/x 2>/dev/null; touch /dev/left 2>&1",
			"stat -c %a /tmp /dev/pts/ptmx",
		].join("; ");
		const first = await jail.exec(["sh", "-c", script], QUIET);
		const second = await jail.exec(["sh", "-c", script], QUIET);
		const third = await jail.exec(["sh", "-c", "stat -c %a /tmp /dev/pts/ptmx; ls -A /tmp /dev/shm"], QUIET);
		expect(textOf(first)).toContain("/dev/left': Read-only file system\n700\n0\n");
		expect(textOf(second)).toBe(textOf(first));
		expect(textOf(third)).toBe("1777\n666\n/dev/shm:\n\n/tmp:\n");
	});

	it("tells a program that is not there from one that fails, and stays usable", async () => {
		await using jail = await Jail.open(policy);
		await expect(jail.exec(["does-not-exist"], QUIET)).rejects.toMatchObject({ code: "COMMAND_NOT_FOUND" });
		await expect(jail.exec(["/etc/passwd"], QUIET)).rejects.toMatchObject({ code: "COMMAND_NOT_EXECUTABLE" });
		await expect(jail.exec(["true"], { ...QUIET, cwd: "/nowhere" })).rejects.toMatchObject({
			code: "LAUNCH_FAILED",
			message: expect.stringContaining("/nowhere"),
		});
		expect(await jail.exec(["sh", "-c", "exit 7"], QUIET)).toMatchObject({ kind: "exited", exitCode: 7 });
	});

	it("takes files in and gives files out", async () => {
		await using jail = await Jail.open(policy);
		const result = await jail.exec(["sh", "-c", "./bin/prog < in/data; cat link"], {
			...QUIET,
			copyIn: [
				{ path: "bin/prog", content: "#!/bin/sh\ncat > out\n", mode: 0o755 },
				{ path: "/tmp/in/data", content: Uint8Array.of(0, 1, 255) },
				{ path: "link", symlink: "in/data" },
			],
			copyOut: [{ path: "out", maxBytes: 10 }],
		});
		expect(result).toMatchObject({ kind: "exited", exitCode: 0, fileErrors: [] });
		expect([...(result.files.get("out") ?? [])]).toEqual([0, 1, 255]);
		expect([...(result.stdout ?? [])]).toEqual([0, 1, 255]);
	});

	it("runs one program at a time", async () => {
		await using jail = await Jail.open(policy);
		const first = jail.exec(["sleep", "0.1"], QUIET);
		await expect(jail.exec(["true"], QUIET)).rejects.toMatchObject({ code: "USAGE" });
		expect(await first).toMatchObject({ kind: "exited", exitCode: 0 });
	});

	it("leaves nothing when it is closed, and closes twice", async () => {
		const jail = await Jail.open(policy);
		await jail.exec(["true"], QUIET);
		expect(ownLeftovers()).not.toEqual([]);
		await Promise.all([jail.close(), jail.close()]);
		await jail.close();
		expect(ownLeftovers()).toEqual([]);
		await expect(jail.exec(["true"], QUIET)).rejects.toMatchObject({ code: "JAIL_CLOSED" });
	});

	it.skipIf(requireOr(missingCaller(USER)))(
		"is the same for an ordinary user, whose control groups may be missing",
		() => {
			const [program = "", ...args] = [...USER.prefix, process.execPath, join(import.meta.dirname, "user-main.mjs")];
			const { stdout, stderr } = spawnSync(program, args, { cwd: "/", encoding: "utf8" });
			expect(stderr).toBe("");
			const seen = {
				kind: "exited",
				exitCode: 0,
				stdout: `/dev/shm:\n\n/tmp:\nin\n${USER.uid}\ngiven\n`,
				out: "given\n",
				refused: [["/etc/shadow", "open"]],
				counted: true,
			};
			expect(JSON.parse(stdout)).toEqual({ seen: [seen, seen], limit: "cpu-time" });
		},
	);

	it("brings and takes whatever bytes, however many, and arguments up to the kernel's bound", async () => {
		await using jail = await Jail.open(policy);
		const big = Buffer.alloc(100 * MIB, "0123456789abcdef");
		const counted = await jail.exec(["wc", "-c"], { ...QUIET, stdin: { content: big } });
		expect(textOf(counted)).toBe(`${100 * MIB}\n`);
		const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
		const same = await jail.exec(["cat"], { ...QUIET, stdin: { content: bytes } });
		expect(same.stdout?.equals(bytes)).toBe(true);
		const args = Array.from({ length: 10 }, () => "x".repeat(100_000));
		for (const list of [args.slice(0, 1), args]) {
			const told = await jail.exec(["sh", "-c", 'printf %s "$@" | wc -c', "sh", ...list], QUIET);
			expect(textOf(told)).toBe(`${list.length * 100_000}\n`);
		}
		const found = await jail.exec(["only-here"], {
			...QUIET,
			env: { PATH: "/tmp/bin:/bin", GREETING: "hello" },
			copyIn: [{ path: "/tmp/bin/only-here", content: "#!/bin/sh\necho $GREETING $HOME\n", mode: 0o755 }],
		});
		expect(textOf(found)).toBe("hello\n");
	});

	it("leaves no descriptor open", async () => {
		const open = () => readdirSync("/proc/self/fd").length;
		const use = async () => {
			await using jail = await Jail.open(policy);
			await jail.exec(["true"], { ...QUIET, stdin: { content: "x" } });
		};
		await use();
		const count = open();
		for (let i = 0; i < 5; i++) await use();
		await vi.waitFor(() => expect(open()).toBeLessThanOrEqual(count), SOON);
	});
});
