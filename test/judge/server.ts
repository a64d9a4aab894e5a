import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, writeFileSync } from "node:fs";
import { Agent, request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WebSocket } from "ws";
import { removeFolder } from "../helpers/folder.ts";
import type { Content, Ending, FileFault, Judge, Request, Result } from "./judge.ts";
import { POLICY } from "./policy.ts";

const VMJAIL = join(import.meta.dirname, "../../vmjail");
const MIB = 1024 * 1024;
const PARALLELISM = 4;

/** One command of an answer, as go-judge writes it. */
export interface Answer {
	readonly status: string;
	readonly exitStatus: number;
	readonly error?: string;
	readonly time: number;
	readonly memory: number;
	readonly runTime: number;
	readonly files?: Readonly<Record<string, string>>;
	readonly fileIds?: Readonly<Record<string, string>>;
	readonly fileError?: readonly { readonly name: string; readonly type: string; readonly message: string }[];
}

export interface Reply {
	readonly status: number;
	readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
	readonly body: Buffer;
}

export interface AskOptions {
	readonly method?: string;
	readonly body?: string | Buffer;
	readonly headers?: Readonly<Record<string, string>>;
	readonly signal?: AbortSignal;
}

/** A `vmjail serve` of the test's own. */
export class TestServer {
	readonly #child;
	readonly #agent = new Agent({ keepAlive: true });
	readonly #folder: string;
	readonly #log: string[] = [];
	#where: { readonly port?: number; readonly socketPath?: string } = {};

	private constructor(policy: object | undefined, args: readonly string[], prefix: readonly string[] = []) {
		this.#folder = mkdtempSync(join(tmpdir(), "judge-server-"));
		const file = join(this.#folder, "policy.json");
		if (policy !== undefined) writeFileSync(file, JSON.stringify(policy));
		const flags = policy === undefined ? args : [...args, "--policy", file];
		const [program = VMJAIL, ...before] = prefix;
		this.#child = spawn(program, [...before, ...(prefix.length > 0 ? [VMJAIL] : []), "serve", ...flags], {
			stdio: ["ignore", "ignore", "pipe"],
			cwd: "/",
		});
	}

	/** @param args beside --policy and --listen, which is on a free port unless given */
	static async start(
		policy: object | undefined,
		args: readonly string[] = [],
		prefix: readonly string[] = [],
	): Promise<TestServer> {
		const listen = args.includes("--listen") ? [] : ["--listen", "127.0.0.1:0"];
		const server = new TestServer(policy, [...listen, ...args], prefix);
		try {
			await server.#listening();
			return server;
		} catch (error) {
			server.kill("SIGKILL");
			await server.ended();
			throw error;
		}
	}

	async #listening(): Promise<void> {
		const { stderr } = this.#child;
		stderr.setEncoding("utf8");
		const found = new Promise<string>((resolve, reject) => {
			let text = "";
			const at = { found: false };
			stderr.on("data", (chunk: string) => {
				this.#log.push(chunk);
				if (at.found) return;
				text += chunk;
				const address = /"address":"([^"]+)"/.exec(text)?.[1];
				if (address === undefined) return;
				at.found = true;
				resolve(address);
			});
			this.#child.once("exit", (code) => reject(new Error(`the server ended with ${code}: ${text}`)));
		});
		const address = await found;
		this.#where = address.startsWith("unix:")
			? { socketPath: address.slice("unix:".length) }
			: { port: Number(address.split(":").at(-1)) };
	}

	get pid(): number {
		return this.#child.pid ?? 0;
	}

	get log(): string {
		return this.#log.join("");
	}

	get port(): number {
		return this.#where.port ?? 0;
	}

	async ask(path: string, { method, body, headers = {}, signal }: AskOptions = {}): Promise<Reply> {
		const asked = httpRequest({
			...this.#where,
			host: "127.0.0.1",
			path,
			method: method ?? (body === undefined ? "GET" : "POST"),
			agent: this.#agent,
			headers: { ...headers, ...(body === undefined ? {} : { "Content-Length": Buffer.byteLength(body) }) },
			...(signal === undefined ? {} : { signal }),
		});
		asked.on("error", () => {}); // a server that refuses need not read to the end; before the answer, `once` sees it too
		asked.end(body);
		const [response] = (await once(asked, "response")) as [import("node:http").IncomingMessage];
		const chunks: Buffer[] = [];
		for await (const chunk of response) chunks.push(chunk as Buffer);
		return { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) };
	}

	/** `POST /run`; throws where the answer is no list of results. */
	async run(request: object, options: AskOptions = {}): Promise<readonly Answer[]> {
		const { status, body } = await this.ask("/run", { body: JSON.stringify(request), ...options });
		if (status !== 200) throw new Error(`${status}: ${body.toString()}`);
		return JSON.parse(body.toString()) as readonly Answer[];
	}

	async upload(bytes: Buffer, name = "file"): Promise<string> {
		const boundary = "----judge-boundary-7d1c";
		const head = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\nContent-Type: application/octet-stream\r\n\r\n`;
		const { status, body } = await this.ask("/file", {
			body: Buffer.concat([Buffer.from(head), bytes, Buffer.from(`\r\n--${boundary}--\r\n`)]),
			headers: { "Content-Type": `multipart/form-data; boundary=${boundary}` },
		});
		if (status !== 200) throw new Error(`${status}: ${body.toString()}`);
		return JSON.parse(body.toString()) as string;
	}

	kill(signal: NodeJS.Signals): void {
		this.#child.kill(signal);
	}

	/** Resolves with the exit status, once the server has ended. */
	async ended(): Promise<number | null> {
		const { exitCode, signalCode } = this.#child;
		if (exitCode === null && signalCode === null) await once(this.#child, "exit");
		this.#agent.destroy();
		removeFolder(this.#folder);
		return this.#child.exitCode;
	}

	stop(): Promise<number | null> {
		this.kill("SIGTERM");
		return this.ended();
	}
}

const FAULTS: Readonly<Record<string, FileFault>> = {
	CopyOutOpen: "missing",
	CopyOutNotRegularFile: "not-regular",
	CopyOutSizeExceeded: "too-large",
};

function endingOf({ status, error = "" }: Answer): Ending {
	switch (status) {
		case "Accepted":
		case "File Error":
			return "exited";
		case "Nonzero Exit Status":
			return error.includes("processes") ? "pids" : "exited";
		case "Signalled":
			return "signaled";
		case "Memory Limit Exceeded":
			return "memory";
		case "Time Limit Exceeded":
			return error.includes("cpu-time") ? "cpu-time" : "wall-time";
		case "Output Limit Exceeded":
			return error.includes("file-size") ? "file-size" : "output";
		default:
			return error === "cancelled" ? "cancelled" : "not-run";
	}
}

function resultOf(answer: Answer): Result {
	const files = Object.entries(answer.files ?? {}).map(([name, text]) => [name, Buffer.from(text, "base64")] as const);
	const { stdout, stderr, ...others } = Object.fromEntries(files);
	const ending = endingOf(answer);
	return {
		ending,
		...(ending === "exited" ? { exitCode: answer.exitStatus } : {}),
		stdout: stdout ?? Buffer.alloc(0),
		stderr: stderr ?? Buffer.from(answer.error ?? ""),
		files: others,
		faults: Object.fromEntries((answer.fileError ?? []).map(({ name, type }) => [name, FAULTS[type] ?? "other"])),
		cpuMs: answer.time / 1e6,
		wallMs: answer.runTime / 1e6,
		memoryBytes: answer.memory,
	};
}

function contentOf(content: Content): object {
	return Buffer.isBuffer(content)
		? { content: content.toString("base64"), encoding: "base64" }
		: { fileId: content.kept };
}

function commandOf(request: Request, connected: { readonly in?: boolean; readonly out?: boolean } = {}): object {
	const { limits = {}, env, copyIn = {} } = request;
	const stdin = request.stdin === undefined || connected.in === true ? null : contentOf(request.stdin);
	const stdout = connected.out === true ? null : { name: "stdout", max: request.collectMaxBytes ?? MIB };
	return {
		args: request.command,
		...(env === undefined ? {} : { env: Object.entries(env).map(([name, value]) => `${name}=${value}`) }),
		files: [stdin, stdout, request.terminal === true ? null : { name: "stderr", max: MIB }],
		tty: request.terminal === true,
		cpuLimit: (limits.cpuMs ?? 0) * 1e6,
		clockLimit: (limits.wallMs ?? 0) * 1e6,
		memoryLimit: limits.memoryBytes ?? 0,
		procLimit: limits.pids ?? 0,
		stackLimit: limits.stackBytes ?? 0,
		copyIn: Object.fromEntries(Object.entries(copyIn).map(([path, content]) => [path, contentOf(content)])),
		copyOut: [...(connected.out === true ? [] : ["stdout"]), "stderr?", ...(request.copyOut ?? [])],
		copyOutMax: request.copyOutMaxBytes ?? MIB,
	};
}

const failure = (text: string): Answer => ({
	status: "Internal Error",
	exitStatus: 0,
	error: text,
	time: 0,
	memory: 0,
	runTime: 0,
});

/** `POST /run`; what is to be cancelled goes by `/ws`, which can. */
export async function serverJudge(): Promise<Judge> {
	const server = await TestServer.start(POLICY, ["--parallelism", String(PARALLELISM)]);

	const post = async (request: object): Promise<readonly Answer[]> => {
		const { status, body } = await server.ask("/run", { body: JSON.stringify({ encoding: "base64", ...request }) });
		if (status === 200) return JSON.parse(body.toString()) as readonly Answer[];
		return [failure(body.toString()), failure(body.toString())];
	};

	const cancellable = async (request: Request, cancel: AbortSignal): Promise<Result> => {
		const socket = new WebSocket(`ws://127.0.0.1:${server.port}/ws`);
		await once(socket, "open");
		socket.send(JSON.stringify({ requestId: "r", encoding: "base64", cmd: [commandOf(request)] }));
		const stop = () => socket.send(JSON.stringify({ cancelRequestId: "r" }));
		if (cancel.aborted) stop();
		else cancel.addEventListener("abort", stop, { once: true });
		const [data] = (await once(socket, "message")) as [Buffer];
		socket.close();
		const reply = JSON.parse(data.toString()) as { readonly results?: readonly Answer[]; readonly error?: string };
		const [answer] = reply.results ?? [
			failure(reply.error === "the request was cancelled" ? "cancelled" : (reply.error ?? "")),
		];
		return resultOf(answer as Answer);
	};

	return {
		name: "server",
		parallelism: PARALLELISM,
		async run(request) {
			if (request.cancel !== undefined) return cancellable(request, request.cancel);
			const [answer] = await post({ cmd: [commandOf(request)] });
			return resultOf(answer as Answer);
		},
		async connect(first, second, both) {
			const [one, two] = await post({
				cmd: [commandOf(first, { out: true, in: both }), commandOf(second, { in: true, out: both })],
				pipeMapping: [
					{ in: { index: 0, fd: 1 }, out: { index: 1, fd: 0 } },
					...(both ? [{ in: { index: 1, fd: 1 }, out: { index: 0, fd: 0 } }] : []),
				],
			});
			return [resultOf(one as Answer), resultOf(two as Answer)];
		},
		keep: (bytes) => server.upload(bytes),
		async forget(kept) {
			const { status } = await server.ask(`/file/${kept}`, { method: "DELETE" });
			if (status !== 200) throw new Error(`deleting: ${status}`);
		},
		async close() {
			const status = await server.stop();
			if (status !== 0) throw new Error(`the server ended with ${status}: ${server.log}`);
		},
	};
}
