import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { leftovers, leftSince } from "../helpers/clean.ts";
import { requireOr } from "../helpers/requirement.ts";
import { POLICY } from "../judge/policy.ts";
import { TestServer } from "../judge/server.ts";
import { ownFolder, serverMissing, sh, stdout } from "./commands.ts";

const folder = ownFolder("server");

const bodyOf = async (server: TestServer, path: string, options?: Parameters<TestServer["ask"]>[1]) => {
	const { status, body } = await server.ask(path, options);
	return { status, body: body.toString() };
};

describe.skipIf(requireOr(serverMissing))("vmjail serve", () => {
	const started: TestServer[] = [];
	const start = async (args: readonly string[] = []): Promise<TestServer> => {
		const server = await TestServer.start(POLICY, args);
		started.push(server);
		return server;
	};
	afterEach(async () => {
		for (const server of started.splice(0)) await server.stop();
	});

	describe("answers", () => {
		const held: { server?: TestServer } = {};
		const server = () => held.server as TestServer;
		beforeAll(async () => {
			writeFileSync(join(folder, "file"), "from the server");
			held.server = await TestServer.start(POLICY, [
				"--file-prefix",
				folder,
				"--store-max",
				"4MiB",
				"--max-body",
				"8MiB",
			]);
		});
		afterAll(async () => {
			expect(await held.server?.stop()).toBe(0);
		});

		it("in go-judge's form", async () => {
			const [answer] = await server().run({ requestId: "x", cmd: [sh("echo hello; exit 3")] });
			expect(answer).toEqual({
				status: "Nonzero Exit Status",
				exitStatus: 3,
				time: expect.any(Number),
				memory: expect.any(Number),
				runTime: expect.any(Number),
				procPeak: expect.any(Number),
				files: { stdout: "hello\n" },
			});
		});

		it.each([
			["no JSON", "{", 400, "request: not JSON"],
			["no commands", '{"cmd":[]}', 400, "cmd: expected at least one command"],
			[
				"a limit above the policy",
				'{"cmd":[{"args":["x"],"memoryLimit":1000000000000}]}',
				400,
				"cmd[0].memoryLimit: 1000000000000",
			],
			["a policy", '{"cmd":[{"args":["x"]}],"policy":{}}', 400, "runs everything under its own policy"],
			[
				"an unknown file",
				'{"cmd":[{"args":["x"],"files":[{"fileId":"none"}]}]}',
				500,
				'cmd[0].files[0].fileId: there is no file \\"none\\"',
			],
			[
				"too many at once",
				JSON.stringify({ cmd: Array.from({ length: 60 }, () => ({ args: ["x"] })) }),
				400,
				"60 commands at once",
			],
			[
				"a source outside",
				'{"cmd":[{"args":["x"],"files":[{"src":"/etc/passwd"}]}]}',
				400,
				"not below any --file-prefix",
			],
			["a size that is too large", `"${"x".repeat(9_000_000)}"`, 413, "at most 8388608 bytes"],
		])("%s with the status and the reason", async (_what, body, status, text) => {
			const answer = await bodyOf(server(), "/run", { body });
			expect(answer.status).toBe(status);
			expect(answer.body).toContain(text);
		});

		it("with files of its own, below its prefix", async () => {
			const [answer] = await server().run({
				cmd: [
					{
						args: ["cat", "-", "copy"],
						files: [{ src: join(folder, "file") }, stdout, null],
						copyIn: { copy: { src: join(folder, "file") } },
					},
				],
			});
			expect(answer?.files).toEqual({ stdout: "from the serverfrom the server" });
		});

		it("in base64 where that is asked for, by header or field, and binary survives", async () => {
			const cmd = [sh("printf '\\000\\377\\r\\n'")];
			const base64 = Buffer.from([0, 255, 13, 10]).toString("base64");
			const [byField] = await server().run({ cmd, encoding: "base64" });
			expect(byField?.files).toEqual({ stdout: base64 });
			const [byHeader] = await server().run({ cmd }, { headers: { "X-Vmjail-Encoding": "base64" } });
			expect(byHeader?.files).toEqual({ stdout: base64 });
			expect((await bodyOf(server(), "/run", { body: "{}", headers: { "X-Vmjail-Encoding": "hex" } })).status).toBe(
				400,
			);
		});

		it("with ids of what is to be kept; they are listed, read, used and deleted", async () => {
			const [made] = await server().run({
				cmd: [sh("echo kept > out; echo shown", { copyOutCached: ["out", "stdout"] })],
			});
			expect(made?.files).toBeUndefined();
			const { out = "", stdout: shown = "" } = made?.fileIds ?? {};
			expect(JSON.parse((await bodyOf(server(), "/file")).body)).toEqual({ [out]: "out", [shown]: "stdout" });
			expect(await bodyOf(server(), `/file/${out}`)).toEqual({ status: 200, body: "kept\n" });
			const [used] = await server().run({ cmd: [sh("cat in", { copyIn: { in: { fileId: out } } })] });
			expect(used?.files).toEqual({ stdout: "kept\n" });
			for (const id of [out, shown])
				expect((await bodyOf(server(), `/file/${id}`, { method: "DELETE" })).status).toBe(200);
			expect((await bodyOf(server(), `/file/${out}`)).status).toBe(404);
			expect((await bodyOf(server(), `/file/${out}`, { method: "DELETE" })).status).toBe(404);
		});

		it("a full store by refusing, and by a file error", async () => {
			await expect(server().upload(Buffer.alloc(5 * 2 ** 20))).rejects.toThrow("413");
			const [answer] = await server().run({ cmd: [sh("head -c 5000000 /dev/zero > big", { copyOutCached: ["big"] })] });
			expect(answer).toMatchObject({ status: "File Error", fileError: [{ name: "big", type: "CopyOutCreateFile" }] });
		});

		it("files that do not go in with a file error", async () => {
			const [answer] = await server().run({ cmd: [sh("true", { copyIn: { "/etc/x": { content: "x" } } })] });
			expect(answer).toMatchObject({ status: "File Error", fileError: [{ name: "/etc/x", type: "CopyInCreateFile" }] });
		});

		it("a proxied pipe with a copy of what passed", async () => {
			const [, reader] = await server().run({
				cmd: [{ args: ["printf", "0123456789"] }, { args: ["cat"], files: [null, stdout] }],
				pipeMapping: [{ in: { index: 0, fd: 1 }, out: { index: 1, fd: 0 } }],
			});
			expect(reader?.files).toEqual({ stdout: "0123456789" });
			const [writer, other] = await server().run({
				cmd: [{ args: ["printf", "0123456789"] }, { args: ["cat"], files: [null, stdout] }],
				pipeMapping: [{ in: { index: 0, fd: 1 }, out: { index: 1, fd: 0 }, proxy: true, name: "log", max: 4 }],
			});
			expect(writer?.files).toEqual({ log: "0123" });
			expect(other?.files).toEqual({ stdout: "0123456789" });
		});

		it("a proxied pipe whose reader has gone without disturbing the writer", async () => {
			const [writer, reader] = await server().run({
				cmd: [{ args: ["/bin/sh", "-c", "sleep 0.3; head -c 300000 /dev/zero"] }, { args: ["true"] }],
				pipeMapping: [{ in: { index: 0, fd: 1 }, out: { index: 1, fd: 0 }, proxy: true }],
			});
			expect([writer?.status, reader?.status]).toEqual(["Accepted", "Accepted"]);
		});

		it("a terminal with what was typed", async () => {
			const command = {
				args: ["/bin/sh", "-c", "tty; read x; echo got $x"],
				tty: true,
				files: [{ content: "hello\n" }, stdout, null],
			};
			const [answer] = await server().run({ cmd: [command] });
			expect(answer?.files?.["stdout"]).toMatch(/^(hello\r\n)?\/dev\/pts\/\d+\r\n(hello\r\n)?got hello\r\n$/);
			const [loud] = await server().run({
				cmd: [{ ...command, args: ["yes"], files: [null, { name: "stdout", max: 100 }] }],
			});
			expect(loud?.status).toBe("Output Limit Exceeded");
			expect(loud?.files?.["stdout"]).toHaveLength(100);
		});

		it("what it is and how it does", async () => {
			expect(JSON.parse((await bodyOf(server(), "/version")).body)).toMatchObject({
				buildVersion: expect.stringContaining("vmjail"),
			});
			expect(JSON.parse((await bodyOf(server(), "/config")).body)).toMatchObject({
				stream: false,
				limits: { procLimit: 64 },
			});
			expect(await bodyOf(server(), "/healthz")).toEqual({ status: 200, body: "ok\n" });
			const metrics = (await bodyOf(server(), "/metrics")).body;
			expect(metrics).toMatch(/^vmjail_commands_total\{status="Accepted"\} [1-9]/m);
			expect(metrics).toMatch(/^vmjail_http_requests_total\{path="\/run",code="200"\} [1-9]/m);
			expect(metrics).toMatch(/^vmjail_commands_running 0$/m);
			expect(metrics).not.toContain("none"); // what clients wrote is no label
			expect((await bodyOf(server(), "/nothing")).status).toBe(404);
		});
	});

	describe("lets in", () => {
		const file = join(folder, "token");
		const token = "0123456789abcdef0123456789abcdef";
		const authorization = { Authorization: `Bearer ${token}` };

		it("with a token only who knows it, on every path", async () => {
			writeFileSync(file, token, { mode: 0o600 });
			const server = await start(["--token-file", file]);
			for (const path of [
				"/run",
				"/file",
				"/file/x",
				"/version",
				"/config",
				"/metrics",
				"/healthz",
				"/ws",
				"/nothing",
			]) {
				expect((await bodyOf(server, path)).status).toBe(401);
				expect((await bodyOf(server, path, { headers: { Authorization: `Bearer ${token}x` } })).status).toBe(401);
			}
			expect((await bodyOf(server, "/metrics", { headers: authorization })).status).toBe(200);
			const refused = new WebSocket(`ws://127.0.0.1:${server.port}/ws`);
			const [error] = (await once(refused, "error")) as [Error];
			expect(error.message).toContain("401");
			const socket = new WebSocket(`ws://127.0.0.1:${server.port}/ws`, { headers: authorization });
			await once(socket, "open");
			socket.close();
		});

		it("nobody beyond this machine without one", async () => {
			await expect(TestServer.start(POLICY, ["--listen", "0.0.0.0:0"])).rejects.toThrow(
				/there is no token[\s\S]*--token-file/,
			);
			writeFileSync(file, token, { mode: 0o600 });
			const server = await start(["--listen", "0.0.0.0:0", "--token-file", file]);
			expect((await bodyOf(server, "/version", { headers: authorization })).status).toBe(200);
		});

		it("nobody where its policy cannot be had", async () => {
			const policy = { ...POLICY, security: { ...POLICY.security, file: { readablePaths: ["/no/such/path"] } } };
			await expect(TestServer.start(policy)).rejects.toThrow("/no/such/path does not exist");
			await expect(TestServer.start({ ...POLICY, memory: 1 })).rejects.toThrow("memory");
		});

		it("by a broker no token", async () => {
			const args = ["--listen", `unix:${join(folder, "socket")}`, "--token-file", "/etc/hostname"];
			await expect(TestServer.start(undefined, args)).rejects.toThrow("known by the kernel, not by a token");
			const own = { system: { user: { uid: 1, gid: 1 } } };
			await expect(TestServer.start(own, args.slice(0, 2))).rejects.toThrow("a broker runs each jail as its caller");
		});

		it("no web page", async () => {
			const server = await start();
			const body = JSON.stringify({ cmd: [sh("true")] });
			expect((await bodyOf(server, "/run", { body, headers: { Origin: "http://evil.example" } })).status).toBe(403);
			expect((await bodyOf(server, "/run", { body, headers: { Host: "evil.example" } })).status).toBe(403);
			const page = new WebSocket(`ws://127.0.0.1:${server.port}/ws`, { origin: "http://evil.example" });
			expect(String((await once(page, "error"))[0])).toContain("403");
		});
	});

	describe("when there is too much", () => {
		it("queues, then answers 429 with Retry-After", async () => {
			const server = await start(["--parallelism", "1", "--queue", "1"]);
			const slow = () => server.run({ cmd: [sh("sleep 1")] });
			const first = slow();
			await expect.poll(async () => (await bodyOf(server, "/metrics")).body).toContain("vmjail_commands_running 1");
			const second = slow();
			await expect.poll(async () => (await bodyOf(server, "/metrics")).body).toContain("vmjail_requests_waiting 1");
			const third = await server.ask("/run", { body: JSON.stringify({ cmd: [sh("true")] }) });
			expect(third.status).toBe(429);
			expect(third.headers["retry-after"]).toBe("1");
			expect((await Promise.all([first, second])).map(([answer]) => answer?.status)).toEqual(["Accepted", "Accepted"]);
		});

		it("answers 503 to what comes while it shuts down, finishes the rest, and ends with 0", async () => {
			const server = await start();
			const running = server.run({ cmd: [sh("sleep 1; echo done")] });
			await expect.poll(async () => (await bodyOf(server, "/metrics")).body).toContain("vmjail_commands_running 1");
			// A connection that is open already: the door is shut to new ones.
			const socket = connect(server.port, "127.0.0.1");
			await once(socket, "connect");
			socket.write("POST /run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 28\r\n\r\n");
			await new Promise((resolve) => setTimeout(resolve, 100));
			server.kill("SIGTERM");
			await new Promise((resolve) => setTimeout(resolve, 200));
			socket.write('{"cmd":[{"args":["/bin/x"]}]}'.slice(0, 28));
			const chunks: Buffer[] = [];
			for await (const chunk of socket) chunks.push(chunk as Buffer);
			expect(Buffer.concat(chunks).toString()).toMatch(/^HTTP\/1\.1 (503|400)/);
			expect((await running)[0]).toMatchObject({ status: "Accepted", files: { stdout: "done\n" } });
			expect(await server.ended()).toBe(0);
		});

		it("ends at once at the second signal, and leaves nothing", async () => {
			const before = leftovers();
			const server = await start();
			const running = server.run({ cmd: [sh("sleep 30")] }).catch((error: Error) => error);
			await expect.poll(async () => (await bodyOf(server, "/metrics")).body).toContain("vmjail_commands_running 1");
			server.kill("SIGTERM");
			await new Promise((resolve) => setTimeout(resolve, 200));
			server.kill("SIGTERM");
			expect(await server.ended()).toBe(1);
			expect(await running).toBeInstanceOf(Error);
			expect((await leftSince(before)).filter((line) => line.includes(`${server.pid}-`))).toEqual([]);
		});
	});

	describe("by /ws", () => {
		it("answers as things end, cancels what it is told to, and tells errors", async () => {
			const server = await start();
			const socket = new WebSocket(`ws://127.0.0.1:${server.port}/ws`);
			await once(socket, "open");
			const replies: { requestId: string; results?: { status: string }[]; error?: string }[] = [];
			socket.on("message", (data: Buffer) => replies.push(JSON.parse(data.toString())));
			const send = (value: object) => socket.send(JSON.stringify(value));
			send({ requestId: "slow", cmd: [sh("sleep 30")] });
			send({ requestId: "quick", cmd: [sh("echo x")] });
			send({ requestId: "wrong", cmd: [] });
			await expect.poll(() => replies.map(({ requestId }) => requestId).sort()).toEqual(["quick", "wrong"]);
			send({ cancelRequestId: "slow" });
			await expect.poll(() => replies.length).toBe(3);
			const byId = Object.fromEntries(replies.map((reply) => [reply.requestId, reply]));
			expect(byId["quick"]?.results?.[0]?.status).toBe("Accepted");
			expect(byId["wrong"]?.error).toContain("cmd: expected at least one command");
			expect(byId["slow"]?.error).toBe("cancelled");
			socket.close();
		});

		it("ends the programs of a client that goes", async () => {
			const server = await start();
			const socket = new WebSocket(`ws://127.0.0.1:${server.port}/ws`);
			await once(socket, "open");
			socket.send(JSON.stringify({ requestId: "r", cmd: [sh("exec sleep 31.5")] }));
			await expect.poll(() => sleepers("31.5")).toHaveLength(1);
			socket.terminate();
			await expect.poll(() => sleepers("31.5")).toEqual([]);
		});
	});

	it("ends the program of a client that goes away while it waits for its answer", async () => {
		const server = await start();
		const gone = new AbortController();
		const running = server.run({ cmd: [sh("exec sleep 31.6")] }, { signal: gone.signal }).catch(() => "gone");
		await expect.poll(() => sleepers("31.6")).toHaveLength(1);
		gone.abort();
		expect(await running).toBe("gone");
		await expect.poll(() => sleepers("31.6")).toEqual([]);
		expect((await server.run({ cmd: [sh("true")] }))[0]?.status).toBe("Accepted");
	});

	it("keeps files in a folder without names, where it is told to", async () => {
		const shelf = mkdtempSync(join(folder, "shelf-"));
		const server = await start(["--store", shelf]);
		const id = await server.upload(Buffer.from("kept"));
		expect(readdirSync(shelf)).toEqual([]);
		expect((await bodyOf(server, `/file/${id}`)).body).toBe("kept");
	});
});

/** Programs that sleep for exactly so long. */
function sleepers(seconds: string): readonly string[] {
	return readdirSync("/proc")
		.filter((name) => /^\d+$/.test(name))
		.filter((pid) => {
			try {
				return readFileSync(`/proc/${pid}/cmdline`, "utf8") === `sleep\0${seconds}\0`;
			} catch {
				return false; // it has ended
			}
		});
}
