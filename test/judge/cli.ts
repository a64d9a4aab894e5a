import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadAddon } from "../../src/executor/addon.ts";
import type { Outcome } from "../../src/outcome/types.ts";
import { openTerminal } from "../conformance/terminal.ts";
import { removeFolder } from "../helpers/folder.ts";
import type { Content, FileFault, Judge, Request, Result } from "./judge.ts";
import { POLICY } from "./policy.ts";

const VMJAIL = join(import.meta.dirname, "../../vmjail");
const MIB = 1024 * 1024;
const PARALLELISM = 4;

const FAULTS: Readonly<Record<string, FileFault>> = {
	open: "missing",
	"not-regular": "not-regular",
	"too-large": "too-large",
};

/** What `--result` has. */
type Written = (Outcome | { readonly kind: "error"; readonly code: string; readonly message: string }) & {
	readonly fileErrors?: readonly { readonly path: string; readonly kind: string }[];
};

/** The policy narrowed as the request asks: the command line has no other limits. */
function policyFor({ limits = {}, env, collectMaxBytes = MIB }: Request, isStream: boolean): object {
	const { system } = POLICY;
	return {
		...POLICY,
		system: {
			...system,
			memory: { max: limits.memoryBytes ?? system.memory.max },
			pids: { max: limits.pids ?? system.pids.max },
			time: {
				cpu: limits.cpuMs === undefined ? system.time.cpu : `${limits.cpuMs}ms`,
				wall: limits.wallMs === undefined ? system.time.wall : `${limits.wallMs}ms`,
			},
			output: isStream ? system.output : { max: collectMaxBytes },
			rlimits: { ...system.rlimits, ...(limits.stackBytes === undefined ? {} : { stack: limits.stackBytes }) },
			env: env === undefined ? system.env : { pass: [], set: env },
		},
	};
}

type Stdio = "pipe" | number;

interface Pipes {
	readonly stdin?: number;
	readonly stdout?: number;
}

/** `vmjail` itself, a process for each program. */
export function cliJudge(): Judge {
	const folder = mkdtempSync(join(tmpdir(), "judge-cli-"));
	const count = { files: 0 };
	const write = (bytes: Buffer): string => {
		const file = join(folder, `file-${count.files++}`);
		writeFileSync(file, bytes, { mode: 0o755 });
		return file;
	};
	const fileOf = (content: Content): string => (Buffer.isBuffer(content) ? write(content) : content.kept);

	const argsOf = (
		request: Request,
		result: string,
		outputs: ReadonlyMap<string, string>,
		isStream: boolean,
	): string[] => [
		"--quiet",
		"--config",
		write(Buffer.from(JSON.stringify(policyFor(request, isStream)))),
		"--result",
		result,
		...Object.entries(request.copyIn ?? {}).flatMap(([path, content]) => ["--copy-in", `${fileOf(content)}:${path}`]),
		...[...outputs].flatMap(([path, file]) => ["--copy-out", `${path}:${file}`]),
		...(request.copyOutMaxBytes === undefined ? [] : ["--copy-out-max", `${request.copyOutMaxBytes}B`]),
		"--",
		...request.command,
	];

	const run = async (request: Request, pipes: Pipes = {}): Promise<Result> => {
		const result = join(folder, `result-${count.files++}`);
		const outputs = new Map((request.copyOut ?? []).map((path) => [path, join(folder, `out-${count.files++}`)]));
		const args = argsOf(request, result, outputs, pipes.stdout !== undefined);
		const input = request.stdin === undefined ? undefined : readFileSync(fileOf(request.stdin));
		const stdio: Stdio[] = [pipes.stdin ?? "pipe", pipes.stdout ?? "pipe", "pipe"];
		const ended = await (request.terminal === true ? inTerminal(args) : withPipes(args, input, stdio, request.cancel));
		const files = [...outputs].flatMap(([path, file]) =>
			existsSync(file) ? [[path.replace(/\?$/, ""), readFileSync(file)] as const] : [],
		);
		const written = existsSync(result) ? (JSON.parse(readFileSync(result, "utf8")) as Written) : undefined;
		return {
			...resultOf(written, ended),
			files: Object.fromEntries(files),
			faults: Object.fromEntries((written?.fileErrors ?? []).map(({ path, kind }) => [path, FAULTS[kind] ?? "other"])),
		};
	};

	return {
		name: "command line",
		parallelism: PARALLELISM,
		run: (request) => run(request),
		connect(first, second, both) {
			const { pipe } = loadAddon();
			const [fromFirst, firstOut] = pipe();
			const back = both ? pipe() : undefined;
			const one = run(first, { stdout: firstOut, ...(back === undefined ? {} : { stdin: back[0] }) });
			const two = run(second, { stdin: fromFirst, ...(back === undefined ? {} : { stdout: back[1] }) });
			// Each vmjail has its copies by now; with ours open no end would ever be seen.
			for (const descriptor of [fromFirst, firstOut, ...(back ?? [])]) closeSync(descriptor);
			return Promise.all([one, two]);
		},
		keep: (bytes) => Promise.resolve(write(bytes)),
		forget(kept) {
			rmSync(kept);
			return Promise.resolve();
		},
		close() {
			removeFolder(folder);
			return Promise.resolve();
		},
	};
}

interface Ended {
	readonly status: number;
	readonly stdout: Buffer;
	readonly stderr: Buffer;
}

const ENVIRONMENT = { PATH: process.env["PATH"] ?? "" };

/** Three interrupts end the program whether it wants or not; the signals must not come before vmjail takes them. */
function cancelBy(child: ChildProcess): void {
	const timer = setInterval(() => child.kill("SIGINT"), 150);
	child.once("exit", () => clearInterval(timer));
}

async function withPipes(
	args: readonly string[],
	input: Buffer | undefined,
	stdio: Stdio[],
	cancel: AbortSignal | undefined,
): Promise<Ended> {
	const child = spawn(VMJAIL, args, { cwd: "/", env: ENVIRONMENT, stdio });
	const output: Buffer[] = [];
	const errors: Buffer[] = [];
	child.stdout?.on("data", (chunk: Buffer) => output.push(chunk));
	child.stderr?.on("data", (chunk: Buffer) => errors.push(chunk));
	child.stdin?.on("error", () => {});
	child.stdin?.end(input ?? "");
	if (cancel?.aborted) cancelBy(child);
	else cancel?.addEventListener("abort", () => cancelBy(child), { once: true });
	const status = await new Promise<number>((resolve, reject) => {
		child.on("error", reject);
		child.on("close", (code) => resolve(code ?? 137));
	});
	return { status, stdout: Buffer.concat(output), stderr: Buffer.concat(errors) };
}

async function inTerminal(args: readonly string[]): Promise<Ended> {
	const streams = await openTerminal();
	try {
		const { stdin, stdout, stderr } = streams.stdio;
		const child = spawn("setsid", ["--ctty", VMJAIL, ...args], {
			cwd: "/",
			env: ENVIRONMENT,
			stdio: [stdin, stdout, stderr],
		});
		const status = await new Promise<number>((resolve) => child.on("exit", (code) => resolve(code ?? 137)));
		const { stdout: shown } = await streams.finish();
		return { status, stdout: Buffer.from(shown, "latin1"), stderr: Buffer.alloc(0) };
	} finally {
		streams.close();
	}
}

function resultOf(written: Written | undefined, { status, stdout, stderr }: Ended): Omit<Result, "files" | "faults"> {
	const nothing = { stdout, stderr, cpuMs: 0, wallMs: 0, memoryBytes: 0 };
	// Interrupted before there was anything to interrupt: the shell's own number.
	if (written === undefined) return { ...nothing, ending: status === 130 || status === 137 ? "cancelled" : "not-run" };
	if (written.kind === "error") return { ...nothing, ending: "not-run" };
	const { cpuUserMs, cpuSystemMs, wallMs, memoryPeakBytes } = written;
	return {
		ending: written.kind === "limit" ? written.limit : written.kind === "denied" ? "not-run" : written.kind,
		...(written.kind === "exited" ? { exitCode: written.exitCode } : {}),
		stdout,
		stderr,
		cpuMs: cpuUserMs + cpuSystemMs,
		wallMs,
		memoryBytes: memoryPeakBytes,
	};
}
