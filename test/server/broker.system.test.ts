import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
	chmodSync,
	chownSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { leftovers } from "../helpers/clean.ts";
import { removeFolder } from "../helpers/folder.ts";
import { PATIENCE } from "../helpers/patience.ts";
import { requireOr } from "../helpers/requirement.ts";
import { type Answer, TestServer } from "../judge/server.ts";
import { missingCaller, missingPrograms, PATH, USER, VMJAIL } from "../system/caller.ts";

const missing =
	process.getuid?.() === 0
		? (missingCaller(USER) ?? missingPrograms("curl", "python3", "setpriv", "nsenter"))
		: "a broker is root's: run the tests as root";

/** Nobody's account, like USER's id; another one. */
const OTHER = USER.uid + 1;

const folder = missing === undefined ? mkdtempSync("/var/tmp/vmjail-broker-") : "/nowhere";
const at = (name: string) => join(folder, name);
const SOCKET = at("socket");
const SECRET = "root's secret";

interface Ran {
	readonly status: number;
	readonly stdout: string;
	readonly stderr: string;
}

async function finished(child: ChildProcess): Promise<Ran> {
	const output = { stdout: "", stderr: "" };
	for (const name of ["stdout", "stderr"] as const) child[name]?.on("data", (chunk) => (output[name] += String(chunk)));
	const [code] = (await once(child, "close")) as [number | null];
	return { status: code ?? 137, ...output };
}

function asUser(uid: number, groups: string, command: readonly string[], cwd = at("work")): ChildProcess {
	const prefix = [`--reuid=${uid}`, `--regid=${uid}`, groups === "" ? "--clear-groups" : `--groups=${groups}`, "--"];
	const env = { PATH, HOME: "/nonexistent", LANG: "C.UTF-8", MARK: "of the caller" };
	return spawn("setpriv", [...prefix, ...command], { cwd, env, stdio: "pipe" });
}

/** `vmjail --broker` as an ordinary user. */
function broker(
	args: readonly string[],
	{ input = "", uid = USER.uid, groups = "", cwd = at("work") } = {},
): Promise<Ran> {
	const child = asUser(uid, groups, [VMJAIL, "--broker", `unix:${SOCKET}`, ...args], cwd);
	child.stdin?.on("error", () => {});
	child.stdin?.end(input);
	return finished(child);
}

/** A program that sleeps for exactly so long, once it runs. */
async function sleeping(seconds: string): Promise<ChildProcess> {
	const script = `echo on; exec sleep ${seconds}`;
	const child = asUser(USER.uid, "", [VMJAIL, "--broker", `unix:${SOCKET}`, "--", "sh", "-c", script]);
	await once(child.stdout as NodeJS.ReadableStream, "data");
	return child;
}

/** What curl says to the broker's socket. */
async function curl(args: readonly string[], uid = USER.uid, cwd = at("work")): Promise<string> {
	const child = asUser(uid, "", ["curl", "-sS", "--unix-socket", SOCKET, ...args], cwd);
	return (await finished(child)).stdout;
}

/** `POST /run` as an ordinary user. */
async function post(request: object, uid = USER.uid): Promise<readonly Answer[] | { readonly error: string }> {
	const child = asUser(uid, "", ["curl", "-sS", "--unix-socket", SOCKET, "-d", "@-", "http://localhost/run"]);
	child.stdin?.end(JSON.stringify(request));
	const { stdout, stderr } = await finished(child);
	return stdout === "" ? { error: stderr } : (JSON.parse(stdout) as readonly Answer[] | { readonly error: string });
}

async function outputOf(request: object): Promise<string> {
	const answer = await post(request);
	if (!("error" in answer)) return `${answer[0]?.status}: ${answer[0]?.files?.["stdout"] ?? answer[0]?.error}`;
	return `refused: ${answer.error}`;
}

const files = [null, { name: "stdout", max: 10_000 }, { name: "stderr", max: 10_000 }];
const command = (...args: string[]) => ({ args, files });
const ids = "id -u; id -g; id -G; grep Cap /proc/self/status";

describe.skipIf(requireOr(missing))("a broker", () => {
	const held: { server?: TestServer } = {};
	let before: readonly string[] = [];

	beforeAll(async () => {
		chmodSync(folder, 0o755);
		mkdirSync(at("work"));
		chownSync(at("work"), USER.uid, USER.uid);
		writeFileSync(at("secret"), SECRET, { mode: 0o600 });
		mkdirSync(at("private"), { mode: 0o700 });
		writeFileSync(at("private/open"), SECRET, { mode: 0o644 });
		writeFileSync(at("work/capable.json"), '{ "system": { "capabilities": ["CAP_SYS_ADMIN"] } }');
		writeFileSync(at("work/empty.json"), "{}");
		writeFileSync(at("work/own"), "the user's own", { mode: 0o600 });
		chownSync(at("work/own"), USER.uid, USER.uid);
		before = leftovers();
		held.server = await TestServer.start(
			{
				system: { memory: { max: "256MiB" }, pids: { max: 32 }, time: { wall: "20s" }, output: { max: "16MiB" } },
				security: { file: { maskedPaths: ["/opt"] } },
			},
			["--listen", `unix:${SOCKET}`],
		);
	});
	afterAll(async () => {
		expect(await held.server?.stop()).toBe(0);
		removeFolder(folder);
		expect(
			leftovers().filter((line) => !before.includes(line) && line.includes(`vmjail-${held.server?.pid}-`)),
			held.server?.log,
		).toEqual([]);
	});

	describe("for an ordinary user", () => {
		it("runs programs as that user, with its groups and no capability", async () => {
			const { status, stdout } = await broker(["--", "sh", "-c", ids], { groups: `${USER.uid},4242` });
			expect(status).toBe(0);
			const [uid, gid, , ...capabilities] = stdout.trimEnd().split("\n");
			expect([uid, gid]).toEqual([`${USER.uid}`, `${USER.uid}`]);
			expect(capabilities.every((line) => /:\s*0+$/.test(line))).toBe(true);
			expect(await outputOf({ cmd: [command("id", "-u")] })).toBe(`Accepted: ${USER.uid}\n`);
		});

		it("keeps limits of memory and processes, which the user alone has none for", async () => {
			const bomb = ["sh", "-c", "tail /dev/zero"];
			expect(await broker(["--mem", "64MiB", "--", ...bomb])).toMatchObject({ status: 137, stdout: "" });
			// The policy's own, where the caller names none.
			const [answer] = (await post({ cmd: [command(...bomb)] })) as readonly Answer[];
			expect(answer?.status).toBe("Memory Limit Exceeded");
			expect(answer?.memory).toBeLessThanOrEqual(256 * 2 ** 20);
			const forks = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done; wait";
			expect((await broker(["--pids", "8", "--", "sh", "-c", forks])).status).toBe(137);
		});

		it("passes input, output, the folder, the environment and the status on", async () => {
			const big = "x".repeat(3_000_000);
			expect(await broker(["--", "wc", "-c"], { input: big })).toMatchObject({ status: 0, stdout: "3000000\n" });
			const script = 'pwd; cat own; echo "$MARK"; echo err >&2; exit 7';
			const ran = await broker(["-q", "--pass-env", "MARK", "--", "sh", "-c", script]);
			expect(ran).toEqual({ status: 7, stdout: `${at("work")}\nthe user's ownof the caller\n`, stderr: "err\n" });
			expect((await broker(["--", "no-such-program"])).status).toBe(127);
			expect((await broker(["--", "/etc/passwd"])).status).toBe(126);
			expect((await broker(["--wall", "300ms", "--", "sleep", "20"])).status).toBe(124);
		});

		it("lets the user write what is the user's", async () => {
			expect((await broker(["--rw", ".", "--", "sh", "-c", "echo new > made"])).status).toBe(0);
			expect(readFileSync(at("work/made"), "utf8")).toBe("new\n");
		});

		it("ends the program with its client", async () => {
			const child = await sleeping("19.77");
			child.kill("SIGKILL");
			await finished(child);
			await expect.poll(() => sleepers("19.77"), { timeout: 5_000 }).toEqual([]);
		});

		it("gives the program the client's signals", async () => {
			const script = "trap 'echo caught; exit 3' TERM; echo on; while :; do sleep 0.05; done";
			const child = asUser(USER.uid, "", [VMJAIL, "--broker", `unix:${SOCKET}`, "--", "sh", "-c", script]);
			child.stdout?.once("data", () => child.kill("SIGTERM"));
			expect(await finished(child)).toMatchObject({ status: 3, stdout: "on\ncaught\n" });
		});
	});

	describe("attacked: nobody runs as another", () => {
		it("by system.user", async () => {
			for (const user of ["0:0", `${OTHER}:${OTHER}`]) {
				const { status, stderr } = await broker(["--user", user, "--", "id"]);
				expect(status).toBe(125);
				expect(stderr).toContain("is not the caller");
			}
			const policy = { system: { user: { uid: 0, gid: 0 } } };
			expect(await outputOf({ policy, cmd: [command("id", "-u")] })).toContain("is not the caller");
		});

		it("by saying so in the request", async () => {
			expect(await outputOf({ uid: 0, cmd: [command("id")] })).toContain("uid: there is no such key");
			expect(await outputOf({ cmd: [{ ...command("id"), user: "root" }] })).toContain(
				"cmd[0].user: there is no such key",
			);
		});

		it("by another's stored files", async () => {
			const id = JSON.parse(await curl(["-F", `file=@${at("work/own")}`, "http://localhost/file"])) as string;
			expect(await curl([`http://localhost/file/${id}`], OTHER, "/")).toContain("there is no file");
			expect(await curl(["-X", "DELETE", `http://localhost/file/${id}`])).toBe("");
		});
	});

	describe("attacked: root's files stay root's", () => {
		it("though root itself reads them (the attack is one)", () => {
			expect(readFileSync(at("secret"), "utf8")).toBe(SECRET);
			expect(readFileSync(at("private/open"), "utf8")).toBe(SECRET);
		});

		it("by opening, binding or writing them", async () => {
			expect((await broker(["--", "cat", at("secret")])).status).not.toBe(0);
			for (const flag of ["--ro", "--rw"]) {
				for (const path of [at("secret"), at("private"), at("private/open")]) {
					const ran = await broker([flag, path, "--", "sh", "-c", `cat ${path} ${path}/open; echo x >> ${path}`]);
					expect(ran.stdout).not.toContain(SECRET);
					expect(ran.status).not.toBe(0);
				}
			}
			expect(readFileSync(at("secret"), "utf8")).toBe(SECRET);
		});

		it("by a root or a working directory", async () => {
			expect((await broker(["--cwd", at("private"), "--", "cat", "open"])).stdout).not.toContain(SECRET);
			const ran = await broker(["--root", at("private"), "--", "cat", "/open"]);
			expect(ran).toMatchObject({ status: 125, stdout: "" });
			const answer = await outputOf({ policy: {}, cwd: at("private"), cmd: [command("cat", "open")] });
			expect(answer).toContain("cannot be entered: EACCES");
		});

		it("by src of a request", async () => {
			const input = { args: ["cat"], files: [{ src: at("secret") }, files[1], null] };
			expect(await outputOf({ cmd: [input] })).toContain("without --file-prefix");
			const copied = { ...command("cat", "x"), copyIn: { x: { src: at("secret") } } };
			expect(await outputOf({ cmd: [copied] })).toContain("without --file-prefix");
		});

		it("by a policy file that only root can read", async () => {
			expect(await broker(["-c", at("secret"), "--", "true"])).toMatchObject({ status: 125, stdout: "" });
		});

		it("by links that change while the jail is made", async () => {
			const [link, spare] = [at("work/link"), at("work/spare")];
			mkdirSync(at("work/mine"), { recursive: true });
			chownSync(at("work/mine"), USER.uid, USER.uid);
			const swap = { on: true };
			const swapping = (async () => {
				for (let i = 0; swap.on; i++) {
					symlinkSync(i % 2 === 0 ? at("private") : at("work/mine"), spare);
					renameSync(spare, link);
					await new Promise((resolve) => setImmediate(resolve));
				}
			})();
			const runs = Array.from({ length: 12 }, () =>
				broker([
					"--rw",
					link,
					"--",
					"sh",
					"-c",
					`cat ${link}/open ${at("private/open")}; touch ${at("private/planted")} ${link}/planted`,
				]),
			);
			const all = await Promise.all(runs);
			swap.on = false;
			await swapping;
			rmSync(link);
			for (const { stdout } of all) expect(stdout).not.toContain(SECRET);
			expect(existsSync(at("private/planted"))).toBe(false);
		});
	});

	describe("attacked: its policy holds", () => {
		it.each([
			["capabilities", ["-c", at("work/capable.json")], "system.capabilities"],
			["memory", ["--mem", "257MiB"], "system.memory.max"],
			["processes", ["--pids", "33"], "system.pids.max"],
			["time", ["--wall", "21s"], "system.time.wall"],
			["the host's network", ["--net", "host"], "security.network.mode"],
			["what it masks", ["--ro", "/opt"], "security.file"],
		])("against %s", async (_what, flags, path) => {
			const { status, stderr, stdout } = await broker([...flags, "--", "echo", "ran"]);
			expect({ status, stdout }).toEqual({ status: 125, stdout: "" });
			expect(stderr).toContain(path);
		});

		it("in requests as well", async () => {
			const policy = { system: { capabilities: ["CAP_SYS_ADMIN"], memory: { max: "1GiB" } } };
			const answer = await outputOf({ policy, cmd: [command("id")] });
			expect(answer).toContain("system.capabilities");
			expect(answer).toContain("system.memory.max");
			expect(await outputOf({ cmd: [{ ...command("id"), memoryLimit: 2 ** 30 }] })).toContain("cmd[0].memoryLimit");
		});

		it("where nothing is asked for: the limits are the broker's", async () => {
			const { status } = await broker(["-c", at("work/empty.json"), "--", "tail", "/dev/zero"]);
			expect(status).toBe(137);
			expect((await broker(["--mask", "/mnt", "--", "ls", "/opt"])).stdout).toBe("");
		});

		it("beyond what a worker decides: its group has limits that the user cannot change", async () => {
			await broker(["--", "true"]);
			const paths = leftovers()
				.filter((line) => line.startsWith("cgroup ") && basename(line).startsWith(`vmjail-${held.server?.pid}-`))
				.map((line) => line.replace("cgroup ", ""));
			const limits = paths
				.flatMap((path) => ["pids.max", "memory.limit_in_bytes", "memory.max"].map((name) => join(path, name)))
				.filter(existsSync);
			expect(limits.length).toBeGreaterThan(0);
			for (const file of limits) {
				const write = asUser(USER.uid, "", ["sh", "-c", `echo -1 > ${file} || echo max > ${file}`], "/");
				expect((await finished(write)).status).not.toBe(0);
				expect(readFileSync(file, "utf8").trim()).toMatch(/^\d+$/);
			}
		});
	});

	describe("attacked: its worker", () => {
		it("has nothing of root's, and cannot be traced by its user", async () => {
			await broker(["--", "true"]);
			const pid = workerOf(USER.uid);
			const status = readFileSync(`/proc/${pid}/status`, "utf8");
			expect(status).toMatch(new RegExp(`^Uid:\\t${USER.uid}\\t${USER.uid}\\t${USER.uid}\\t${USER.uid}$`, "m"));
			expect(status).toMatch(/^CapPrm:\s*0+$/m);
			const read = asUser(USER.uid, "", ["cat", `/proc/${pid}/environ`, `/proc/${pid}/maps`], "/");
			expect((await finished(read)).stdout).toBe("");
		});

		it("is not entered from a jail: the socket is there, the broker says no", async () => {
			const ask = [
				"curl",
				"-sS",
				"--unix-socket",
				SOCKET,
				"-d",
				JSON.stringify({ cmd: [command("id")] }),
				"http://localhost/run",
			];
			expect((await finished(asUser(USER.uid, "", ask))).stdout).toContain("Accepted");
			const inside = await broker(["--", ...ask]);
			expect(inside.stdout).toContain("the caller is in a jail, a container or a chroot");
			const own = await finished(asUser(USER.uid, "", [VMJAIL, "-q", "--", ...ask]));
			expect(own.stdout).toContain("the caller is in a jail, a container or a chroot");
		});

		it("does not matter to the next when it is killed", async () => {
			await broker(["--", "true"]);
			const child = await sleeping("19.78");
			process.kill(workerOf(USER.uid), "SIGKILL");
			expect((await finished(child)).status).toBe(125);
			await expect.poll(() => sleepers("19.78"), { timeout: 5_000 }).toEqual([]);
			await expect.poll(async () => (await broker(["--", "true"])).status, { timeout: 5_000 }).toBe(0);
		});

		// VMJAIL_LONG=1: a worker waits half a minute for more to do.
		it.runIf(process.env["VMJAIL_LONG"] === "1")(
			"ends without work, and leaves no group",
			async () => {
				await broker(["--", "true"]);
				const pid = workerOf(USER.uid);
				const ended = () =>
					held.server?.log
						.split("\n")
						.some((line) => line.includes(`"worker":${pid},`) && line.includes('"worker ended"'));
				await vi.waitUntil(ended, { timeout: 60_000 * PATIENCE });
				expect(leftovers().filter((line) => line.includes(`vmjail-${held.server?.pid}-`))).toEqual([]);
			},
			90_000 * PATIENCE,
		);

		it("is not confused by garbage on its connections", async () => {
			for (const bytes of [
				"GET",
				"\0\0\0\0",
				"GET /exec HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: vmjail-exec\r\n\r\n\xff\xff\xff\xff\xff",
			]) {
				const socket = connect(SOCKET);
				socket.on("error", () => {});
				socket.resume();
				socket.end(Buffer.from(bytes, "latin1"));
				await once(socket, "close");
			}
			expect((await broker(["--", "true"])).status).toBe(0);
		});
	});
});

/** Programs that sleep for exactly so long. */
function sleepers(seconds: string): readonly string[] {
	return processes()
		.filter(({ args }) => args[0] === "sleep" && args[1] === seconds)
		.map(({ pid }) => pid);
}

/** Of a user without supplementary groups: others have workers of their own. */
function workerOf(uid: number): number {
	const found = processes().filter(({ pid, args }) => args.includes("broker-worker") && isOf(pid, uid));
	expect(found).toHaveLength(1);
	return Number(found[0]?.pid);
}

function isOf(pid: string, uid: number): boolean {
	const status = readFileSync(`/proc/${pid}/status`, "utf8");
	return new RegExp(`^Uid:\\t${uid}\\t`, "m").test(status) && /^Groups:[ \t]*$/m.test(status);
}

function processes(): readonly { readonly pid: string; readonly args: readonly string[] }[] {
	return readdirSync("/proc")
		.filter((name) => /^\d+$/.test(name))
		.flatMap((pid) => {
			try {
				return [{ pid, args: readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0") }];
			} catch {
				return []; // it has ended
			}
		});
}
