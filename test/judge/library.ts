import { closeSync } from "node:fs";
import { VmjailError } from "../../src/errors.ts";
import { loadAddon } from "../../src/executor/addon.ts";
import type { ExecOptions, ExecResult } from "../../src/jail/execution.ts";
import { Pool } from "../../src/jail/pool.ts";
import { closeSession } from "../../src/jail/session.ts";
import { loadPolicy } from "../../src/policy/load.ts";
import type { Content, FileFault, Judge, Request, Result } from "./judge.ts";
import { POLICY } from "./policy.ts";

const PARALLELISM = 4;
const MIB = 1024 * 1024;

const FAULTS: Readonly<Record<string, FileFault>> = {
	open: "missing",
	"not-regular": "not-regular",
	"too-large": "too-large",
};

/** Pool and Jail. */
export function libraryJudge(): Judge {
	const policy = loadPolicy({ text: JSON.stringify(POLICY), source: "policy", cwd: "/" });
	const pool = new Pool(policy, { size: PARALLELISM });
	const kept = new Map<string, Buffer>();

	const bytesOf = (content: Content): Buffer => {
		if (Buffer.isBuffer(content)) return content;
		const bytes = kept.get(content.kept);
		if (bytes === undefined) throw new VmjailError("USAGE", "nothing of this name is kept");
		return bytes;
	};

	const optionsOf = (request: Request): ExecOptions => ({
		stdin: request.stdin === undefined ? "ignore" : { content: bytesOf(request.stdin) },
		stdout: "collect",
		stderr: "collect",
		collectMaxBytes: { stdout: request.collectMaxBytes ?? MIB, stderr: MIB },
		...(request.env === undefined ? {} : { env: request.env }),
		...(request.limits === undefined ? {} : { limits: request.limits }),
		...(request.cancel === undefined ? {} : { signal: request.cancel }),
		copyIn: Object.entries(request.copyIn ?? {}).map(([path, content]) => ({
			path,
			content: bytesOf(content),
			mode: 0o755,
		})),
		copyOut: (request.copyOut ?? []).map((entry) => ({
			path: entry.replace(/\?$/, ""),
			optional: entry.endsWith("?"),
			maxBytes: request.copyOutMaxBytes ?? MIB,
		})),
	});

	const exec = async (request: Request, change: (options: ExecOptions) => ExecOptions = (o) => o): Promise<Result> => {
		try {
			return resultOf(await pool.exec(request.command, change(optionsOf(request))));
		} catch (error) {
			if (error instanceof VmjailError) return notRun(`${error.code}: ${error.message}`);
			throw error;
		}
	};

	return {
		name: "library",
		parallelism: PARALLELISM,
		async run(request) {
			if (request.terminal !== true) return exec(request);
			const shown = new Promise<Buffer>((resolve) => {
				void exec(request, (options) => withTerminal(options, resolve)).then((result) => settle(result));
			});
			const at: { settle: (result: Result) => void } = { settle: () => {} };
			const done = new Promise<Result>((resolve) => {
				at.settle = resolve;
			});
			const settle = (result: Result) => at.settle(result);
			const [stdout, result] = await Promise.all([shown, done]);
			return { ...result, stdout };
		},
		async connect(first, second, both) {
			const { pipe } = loadAddon();
			const [fromFirst, firstOut] = pipe();
			const back = both ? pipe() : undefined;
			const [one, two] = await Promise.all([
				exec(first, (options) => ({
					...options,
					stdout: { take: firstOut },
					...(back === undefined ? {} : { stdin: { take: back[0] } }),
				})),
				exec(second, (options) => ({
					...options,
					stdin: { take: fromFirst },
					...(back === undefined ? {} : { stdout: { take: back[1] } }),
				})),
			]);
			return [one, two];
		},
		keep(bytes) {
			const id = `kept-${kept.size}`;
			kept.set(id, bytes);
			return Promise.resolve(id);
		},
		forget(id) {
			kept.delete(id);
			return Promise.resolve();
		},
		async close() {
			await pool.close();
			await closeSession();
		},
	};
}

function withTerminal(options: ExecOptions, shown: (bytes: Buffer) => void): ExecOptions {
	const onMaster = async (descriptor: number) => {
		const { ReadStream } = await import("node:tty");
		const chunks: Buffer[] = [];
		const master = new ReadStream(descriptor);
		master.on("data", (chunk: Buffer) => chunks.push(chunk));
		const end = () => {
			master.destroy();
			shown(Buffer.concat(chunks));
		};
		master.once("error", end);
		master.once("end", end);
	};
	return {
		...options,
		stdin: "ignore",
		stdout: "ignore",
		stderr: "ignore",
		terminal: {
			size: { rows: 24, columns: 80 },
			streams: ["stdin", "stdout", "stderr"],
			onMaster: (descriptor) => void onMaster(descriptor).catch(() => closeSync(descriptor)),
		},
	};
}

function notRun(why: string): Result {
	return {
		ending: "not-run",
		stdout: Buffer.alloc(0),
		stderr: Buffer.from(why),
		files: {},
		faults: {},
		cpuMs: 0,
		wallMs: 0,
		memoryBytes: 0,
	};
}

function resultOf(done: ExecResult): Result {
	return {
		ending: done.kind === "limit" ? done.limit : done.kind === "denied" ? "not-run" : done.kind,
		...(done.kind === "exited" ? { exitCode: done.exitCode } : {}),
		stdout: done.stdout ?? Buffer.alloc(0),
		stderr: done.stderr ?? Buffer.alloc(0),
		files: Object.fromEntries(done.files),
		faults: Object.fromEntries(done.fileErrors.map(({ path, kind }) => [path, FAULTS[kind] ?? "other"])),
		cpuMs: done.cpuUserMs + done.cpuSystemMs,
		wallMs: done.wallMs,
		memoryBytes: done.memoryPeakBytes,
	};
}
