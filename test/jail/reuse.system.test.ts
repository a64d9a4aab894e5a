import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { ExecOptions, ExecResult } from "../../src/jail/execution.ts";
import { Jail } from "../../src/jail/jail.ts";
import { closeSession, session } from "../../src/jail/session.ts";
import type { Policy } from "../../src/policy/types.ts";
import { missingCompiler } from "../executor/c-program.ts";
import { childrenOf } from "../executor/peer.ts";
import { removeFolder } from "../helpers/folder.ts";
import { SOON } from "../helpers/patience.ts";
import { policyOf } from "../helpers/policy.ts";
import { requireOr } from "../helpers/requirement.ts";
import { type Acts, compileActs, MIB, ownLeftovers, policy, QUIET } from "./acts.ts";

const PATH = { env: { pass: [], set: { PATH: "/usr/bin:/bin" } } };
const textOf = ({ stdout, stderr }: ExecResult) => `${stdout?.toString()}${stderr?.toString()}`;

describe.skipIf(requireOr(missingCompiler))("what one program leaves for the next, and jails side by side", () => {
	const made: { acts?: Acts; folder?: string } = {};

	beforeAll(() => {
		made.acts = compileActs();
		made.folder = mkdtempSync(join(import.meta.dirname, "../../build/reuse-"));
	});

	afterAll(async () => {
		made.acts?.remove();
		if (made.folder !== undefined) removeFolder(made.folder);
		await closeSession();
		expect(ownLeftovers()).toEqual([]);
	});

	const program = () => made.acts?.program ?? "";
	const act = (jail: Jail, args: readonly (string | number)[], options: ExecOptions = {}) =>
		jail.exec([program(), ...args.map(String)], { ...QUIET, ...options });

	function folder(name: string): string {
		const path = join(made.folder ?? "", name);
		mkdirSync(path);
		return path;
	}

	it("IPC objects of System V and POSIX are there for one program only", async () => {
		await using jail = await Jail.open(policy);
		const both = await jail.exec(["sh", "-c", `${program()} make; ${program()} look`], QUIET);
		expect(textOf(both)).toBe("shm sem msg mq posix-shm \n");
		expect(textOf(await act(jail, ["look"]))).toBe("\n");
	});

	it("processes are gone, and what they held with them", async () => {
		await using jail = await Jail.open(policy);
		const leave = "setsid sleep 1000 & (trap '' HUP TERM; sleep 1000) & nohup sleep 1000 >/dev/null 2>&1 & echo left";
		const left = await jail.exec(["sh", "-c", leave], { ...QUIET, stdout: "collect", stderr: "ignore" });
		expect(left).toMatchObject({ kind: "exited", exitCode: 0 });
		const listed = await jail.exec(["sh", "-c", "cat /proc/[0-9]*/comm"], QUIET);
		expect(textOf(listed)).not.toContain("sleep");
	});

	it("writable folders of the host stay, file systems mounted in or around them are new", async () => {
		const host = folder("host");
		mkdirSync(join(host, "cache"));
		const parts: Partial<Policy["security"]["file"]> = {
			writablePaths: [host],
			readablePaths: ["/etc/hostname"],
			tmpfs: [
				{ path: join(host, "cache"), sizeBytes: MIB },
				{ path: "/tmp", sizeBytes: MIB },
			],
		};
		await using jail = await Jail.open(policyOf({ system: PATH, file: parts }));
		const write = `cd ${host}; ls -A . cache /tmp; echo kept >> kept; echo gone > cache/gone; echo gone > /tmp/gone`;
		const first = await jail.exec(["sh", "-c", write], QUIET);
		expect(textOf(first)).toBe(".:\ncache\n\n/tmp:\n\ncache:\n");
		const second = await jail.exec(["sh", "-c", write], QUIET);
		expect(textOf(second)).toBe(".:\ncache\nkept\n\n/tmp:\n\ncache:\n");
		expect(readFileSync(join(host, "kept"), "utf8")).toBe("kept\nkept\n");
	});

	it("folders shown below a file system in memory come back, whatever was renamed around them", async () => {
		const [shown, written] = [folder("shown"), folder("written")];
		writeFileSync(join(shown, "file"), "shown\n");
		// Seen at their own paths below a folder that the jail hides.
		const tmpfs = [{ path: made.folder ?? "", sizeBytes: MIB }];
		const file = { tmpfs, readablePaths: [shown], writablePaths: [written] };
		await using jail = await Jail.open(policyOf({ system: PATH, file }));
		const trick = `cd ${made.folder}; mv shown elsewhere 2>/dev/null; mkdir -p fake; echo forged > fake/file; mv fake shown 2>/dev/null; echo x > ${written}/x; touch left`;
		for (let i = 0; i < 3; i++) {
			const seen = await jail.exec(["sh", "-c", `cat ${shown}/file; ls ${made.folder}; ${trick}`], QUIET);
			expect(textOf(seen)).toBe("shown\nshown\nwritten\n");
		}
		expect(readdirSync(written)).toEqual(["x"]);
	});

	it("a jail whose own mounts were moved out of reach is not used again", async () => {
		const host = folder("movable");
		mkdirSync(join(host, "a/b"), { recursive: true });
		const file = { writablePaths: [host], tmpfs: [{ path: join(host, "a/b"), sizeBytes: MIB }] };
		await using jail = await Jail.open(policyOf({ system: PATH, file }));
		const move = `cd ${host}; echo secret > a/b/secret; mv a c; mkdir -p a/b`;
		expect(await jail.exec(["sh", "-c", move], QUIET)).toMatchObject({ exitCode: 0 });
		// The old file system is known by a descriptor and goes; the new one finds the place of that name.
		const next = await jail.exec(["sh", "-c", `ls -A ${host}/c/b ${host}/a/b`], QUIET).catch((error: unknown) => error);
		if (next instanceof Error) expect(next).toMatchObject({ code: "JAIL_CLOSED" });
		else expect(textOf(next as ExecResult)).not.toContain("secret");
	});

	it("a planted link is not followed when the jail is renewed", async () => {
		const host = folder("linked");
		mkdirSync(join(host, "a/b"), { recursive: true });
		const target = folder("target");
		mkdirSync(join(target, "b"));
		const file = { writablePaths: [host, target], tmpfs: [{ path: join(host, "a/b"), sizeBytes: MIB }] };
		await using jail = await Jail.open(policyOf({ system: PATH, file }));
		await jail.exec(["sh", "-c", `cd ${host}; mv a c; ln -s ${target} a`], QUIET);
		await expect(jail.exec(["true"], QUIET)).rejects.toMatchObject({
			code: "JAIL_CLOSED",
			message: expect.stringContaining("ELOOP"),
		});
	});

	it("a port that was used can be used again at once", async () => {
		await using jail = await Jail.open(policy);
		const script = [
			"import socket",
			"s = socket.socket(); s.bind(('127.0.0.1', 4000)); s.listen()",
			"c = socket.create_connection(('127.0.0.1', 4000)); a, _ = s.accept(); a.close(); c.recv(1); c.close()",
		].join("\n");
		for (let i = 0; i < 2; i++) {
			const result = await jail.exec(["python3", "-c", script], { ...QUIET, env: { PATH: process.env["PATH"] ?? "" } });
			expect([result.kind, textOf(result)]).toEqual(["exited", ""]);
			expect(result).toMatchObject({ exitCode: 0 });
		}
	});

	it("two jails see nothing of each other", async () => {
		const [one, other] = [await Jail.open(policy), await Jail.open(policy)];
		const abort = new AbortController();
		try {
			const making = one.exec(["sh", "-c", `${program()} make; exec sleep 100`], { ...QUIET, signal: abort.signal });
			await vi.waitFor(() => expect(pidsOf("sleep")).toBeGreaterThan(0), SOON);
			expect(textOf(await act(other, ["look"]))).toBe("\n");
			expect(textOf(await other.exec(["sh", "-c", "ls -A /dev/shm; cat /proc/[0-9]*/comm"], QUIET))).not.toMatch(
				/vmjail$|sleep/m,
			);
			await other.exec(["sh", "-c", "kill -9 -1; exit 0"], QUIET);
			expect(await act(other, ["vsock"])).toMatchObject({ exitCode: 3 });
			abort.abort();
			expect(await making).toMatchObject({ kind: "cancelled" });
		} finally {
			await Promise.all([one.close(), other.close()]);
		}
	});

	function pidsOf(name: string): number {
		const zygote = session().zygote.pid ?? -1;
		const all = childrenOf(zygote).flatMap((pid1) => childrenOf(pid1));
		return all.filter((pid) => readFileSync(`/proc/${pid}/comm`, "utf8").trim() === name).length;
	}

	it("a lock, and a name of an abstract socket, reach no further than their jail", async () => {
		const shared = join(made.folder ?? "", "lock-file");
		writeFileSync(shared, "x");
		const [one, other] = [await Jail.open(policy), await Jail.open(policy)];
		try {
			for (const [holds, asks, answer] of [
				[["listen"], ["connect"], "connect: ECONNREFUSED\n"],
				[["lock", shared], ["lock", shared], undefined],
			] as const) {
				const abort = new AbortController();
				const running = act(one, holds, { signal: abort.signal });
				await vi.waitFor(() => expect(pidsOf("acts")).toBeGreaterThan(0), SOON);
				await new Promise((resolve) => setTimeout(resolve, 50));
				const asked = await act(other, asks, { limits: { wallMs: 300 } });
				if (answer !== undefined) expect(textOf(asked)).toBe(answer);
				abort.abort();
				await running;
				// What was held ended with the program that held it.
				const again = await act(one, holds, { limits: { wallMs: 200 } });
				expect(again).toMatchObject({ kind: "limit", limit: "wall-time" });
			}
		} finally {
			await Promise.all([one.close(), other.close()]);
		}
	});

	it("copied files are what was given, and come out only where they are plain files in reach", async () => {
		await using jail = await Jail.open(
			policyOf({ system: { ...PATH, cwd: "/tmp" }, file: { tmpfs: [{ path: "/tmp", sizeBytes: MIB }] } }),
		);
		const source = openSync("/etc/hostname", "r");
		const plant = [
			"mkfifo fifo; ln -s /etc/passwd link; ln -s /etc dir; mkdir folder; echo 12345678 > long",
			"python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"socket\")' 2>/dev/null; cat copy; cat given",
		].join("; ");
		const names = ["fifo", "link", "dir/passwd", "folder", "/dev/null", "missing", "../proc/self/environ"];
		try {
			const result = await jail.exec(["sh", "-c", plant], {
				...QUIET,
				copyIn: [
					{ path: "copy", content: { descriptor: source } },
					{ path: "deep/er/file", content: "" },
					{ path: "given", content: "given" },
				],
				copyOut: [
					...names.map((path) => ({ path, maxBytes: 100 })),
					{ path: "long", maxBytes: 4 },
					{ path: "long", maxBytes: 4, truncate: true },
					{ path: "missing", maxBytes: 1, optional: true },
					{ path: "deep/er/file", maxBytes: 0 },
				],
			});
			expect(textOf(result)).toBe(`${readFileSync("/etc/hostname", "utf8")}given`);
			expect(Object.fromEntries(result.fileErrors.map(({ path, kind }) => [path, kind]))).toEqual({
				fifo: "not-regular",
				link: "not-regular",
				"dir/passwd": "open",
				folder: "not-regular",
				"/dev/null": "not-regular",
				missing: "open",
				"../proc/self/environ": "open",
				long: "too-large",
			});
			expect([...result.files].map(([name, bytes]) => [name, bytes.toString()])).toEqual([
				["long", "1234"],
				["deep/er/file", ""],
			]);
		} finally {
			closeSync(source);
		}
	});

	it("a file that cannot be copied in is told, and the program is not run", async () => {
		await using jail = await Jail.open(policyOf({ system: PATH, file: { tmpfs: [{ path: "/tmp", sizeBytes: MIB }] } }));
		const result = await jail.exec(["sh", "-c", "echo ran"], {
			...QUIET,
			cwd: "/tmp",
			copyIn: [
				{ path: "/etc/x", content: "x" },
				{ path: "/nowhere/x", content: "x" },
				{ path: "/dev/null/x", content: "x" },
				{ path: "fine", content: "x" },
				{ path: "fine", symlink: "x" },
				{ path: "big", content: new Uint8Array(2 * MIB) },
			],
		});
		expect(result).toMatchObject({ kind: "cancelled" });
		expect(result.stdout).toBeUndefined();
		expect(result.fileErrors.map(({ path, kind }) => [path, kind])).toEqual([
			["/etc/x", "create-file"],
			["/nowhere/x", "create-folder"],
			["/dev/null/x", "create-folder"],
			["fine", "symlink"],
			["big", "copy"],
		]);
		expect(textOf(await jail.exec(["ls", "-A", "/tmp"], QUIET))).toBe("");
		await expect(jail.exec(["true"], { ...QUIET, copyIn: [{ path: "x" }] })).rejects.toMatchObject({ code: "USAGE" });
		await expect(jail.exec(["true"], { ...QUIET, copyOut: [{ path: "/", maxBytes: 1 }] })).rejects.toMatchObject({
			code: "USAGE",
		});
	});

	const notRoot = process.getuid?.() === 0 ? undefined : "only root runs programs as others";
	it.skipIf(requireOr(notRoot))("files go in and out with the rights of the program, not of the caller", async () => {
		const secret = join(folder("private"), "secret");
		writeFileSync(secret, "secret", { mode: 0o600 });
		const user = { ...PATH, user: { uid: 12345, gid: 12345 } };
		await using jail = await Jail.open(policyOf({ system: user, file: { tmpfs: [{ path: "/tmp", sizeBytes: MIB }] } }));
		const result = await jail.exec(["sh", "-c", "stat -c %u:%g:%a /tmp/mine; cat /tmp/mine"], {
			...QUIET,
			copyIn: [{ path: "/tmp/mine", content: "mine", mode: 0o400 }],
			copyOut: [
				{ path: secret, maxBytes: 100 },
				{ path: "/tmp/mine", maxBytes: 100 },
			],
		});
		expect(textOf(result)).toBe("12345:12345:400\nmine");
		expect([...result.files.keys()]).toEqual(["/tmp/mine"]);
		expect(result.fileErrors).toMatchObject([
			{ path: secret, kind: "open", message: expect.stringContaining("EACCES") },
		]);
	});
});
