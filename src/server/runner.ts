/** Carries out one request: each command in a jail of its own, at once, connected as asked. */

import { closeSync, readFileSync } from "node:fs";
import { VmjailError } from "../errors.ts";
import type { ExecOptions, ExecResult } from "../jail/execution.ts";
import { answerOf, type Encoding } from "./answer.ts";
import type { FileStore } from "./file-store.ts";
import type { Content, Job, Jobs } from "./jobs.ts";
import { type OpenPipe, openPipe } from "./pipes.ts";
import { HttpProblem } from "./problem.ts";
import type { SourceFiles } from "./source-files.ts";
import { failureOf, type Result } from "./status.ts";
import { Tty } from "./tty.ts";

/** What runs commands: a pool of jails, or jails opened for the purpose. */
export interface Executes {
	exec(command: readonly string[], options: ExecOptions): Promise<ExecResult>;
}

export interface RunnerOptions {
	readonly store: FileStore;
	readonly sources: SourceFiles;
}

/** One command, ready to run. */
interface Prepared {
	readonly job: Job;
	readonly options: ExecOptions;
	readonly tty?: Tty;
	/** Closed when it has ended. */
	readonly descriptors: readonly number[];
}

function closeAll(descriptors: readonly number[]): void {
	for (const descriptor of descriptors) closeSync(descriptor);
}

export class Runner {
	readonly #store: FileStore;
	readonly #sources: SourceFiles;

	constructor({ store, sources }: RunnerOptions) {
		this.#store = store;
		this.#sources = sources;
	}

	/**
	 * @returns a result for each command, in their order
	 * @throws HttpProblem where a file that the request names cannot be had; nothing has run then
	 */
	async run({ jobs, pipes }: Jobs, on: Executes, encoding: Encoding, signal: AbortSignal): Promise<readonly Result[]> {
		const opened: OpenPipe[] = [];
		const prepared: Prepared[] = [];
		try {
			for (const pipe of pipes) opened.push(openPipe(pipe));
			for (const job of jobs) prepared.push(this.#prepare(job, opened, signal));
		} catch (error) {
			for (const { descriptors } of prepared) closeAll(descriptors);
			for (const pipe of opened) pipe.discard();
			throw error;
		}
		const results = await Promise.all(prepared.map((one) => this.#one(one, on, encoding)));
		const copies = await Promise.all(opened.map(({ copied }) => copied));
		return results.map((result, index) => {
			const own = pipes.flatMap(({ from, copy }, number): [string, string][] => {
				const bytes = from === index ? copies[number] : undefined;
				return copy === undefined || bytes === undefined ? [] : [[copy.name, bytes.toString(encoding)]];
			});
			return own.length === 0 ? result : { ...result, files: { ...result.files, ...Object.fromEntries(own) } };
		});
	}

	#prepare(job: Job, pipes: readonly OpenPipe[], signal: AbortSignal): Prepared {
		const descriptors: number[] = [];
		const open = (content: Content): number | Uint8Array => {
			if (content.kind === "bytes") return content.bytes;
			const descriptor = this.#open(content);
			descriptors.push(descriptor);
			return descriptor;
		};
		try {
			const files = job.copyIn.map((file) => {
				if ("symlink" in file) return file;
				const opened = open(file.content);
				return { path: file.path, content: typeof opened === "number" ? { descriptor: opened } : opened, mode: 0o755 };
			});
			const common = {
				...(job.env === undefined ? {} : { env: job.env }),
				limits: job.limits,
				copyIn: files,
				copyOut: job.copyOut,
			};
			return job.tty
				? { job, descriptors, ...withTty(job, open, common, signal) }
				: { job, descriptors, options: { ...common, ...streamsOf(job, open, pipes), signal } };
		} catch (error) {
			closeAll(descriptors);
			throw error;
		}
	}

	#open(content: Exclude<Content, { kind: "bytes" }>): number {
		if (content.kind === "source") return this.#sources.open(content.path, content.where);
		if (this.#store.has(content.id)) return this.#store.open(content.id);
		const text = `${content.where}: there is no file ${JSON.stringify(content.id)}`;
		throw new HttpProblem(500, "FILE_UNKNOWN", text);
	}

	async #one({ job, options, tty, descriptors }: Prepared, on: Executes, encoding: Encoding): Promise<Result> {
		try {
			const done = await on.exec(job.args, options);
			const shown = await tty?.output();
			return answerOf(job, tty?.over === true ? overOutput(done) : done, this.#store, encoding, shown);
		} catch (error) {
			if (error instanceof VmjailError) return failureOf(error);
			throw error;
		} finally {
			closeAll(descriptors);
		}
	}
}

/** The program was cancelled because it showed too much: that is a limit. */
function overOutput(done: ExecResult): ExecResult {
	return done.kind === "cancelled" ? { ...done, kind: "limit", limit: "output" } : done;
}

type Opens = (content: Content) => number | Uint8Array;

/** The pipe ends are given away: once the programs have them, only the programs have them. */
function streamsOf(job: Job, open: Opens, pipes: readonly OpenPipe[]): ExecOptions {
	const input = (): NonNullable<ExecOptions["stdin"]> => {
		if (job.stdin.kind === "ignore") return "ignore";
		if (job.stdin.kind === "pipe") return pipes[job.stdin.pipe]?.readEnd ?? "ignore";
		const opened = open(job.stdin);
		return typeof opened === "number" ? opened : { content: opened };
	};
	const output = (one: Job["stdout"]): NonNullable<ExecOptions["stdout"]> =>
		one.kind === "pipe" ? (pipes[one.pipe]?.writeEnd ?? "ignore") : one.kind;
	const { stdout, stderr } = job;
	return {
		stdin: input(),
		stdout: output(stdout),
		stderr: output(stderr),
		collectMaxBytes: {
			...(stdout.kind === "collect" ? { stdout: stdout.max } : {}),
			...(stderr.kind === "collect" ? { stderr: stderr.max } : {}),
		},
	};
}

/** What is shown beyond the maximum ends the program, as `output` would. */
function withTty(
	job: Job,
	open: Opens,
	common: ExecOptions,
	signal: AbortSignal,
): { readonly options: ExecOptions; readonly tty: Tty } {
	const opened = job.stdin.kind === "ignore" || job.stdin.kind === "pipe" ? new Uint8Array() : open(job.stdin);
	const input = typeof opened === "number" ? readFileSync(opened) : opened;
	const over = new AbortController();
	const cancel = () => over.abort();
	signal.addEventListener("abort", cancel, { once: true });
	if (signal.aborted) cancel();
	const max = job.stdout.kind === "collect" ? job.stdout.max : 0;
	const tty = new Tty(input, job.stdout.kind === "collect" ? max : Number.POSITIVE_INFINITY, cancel);
	return {
		options: {
			...common,
			stdin: "ignore",
			stdout: "ignore",
			stderr: "ignore",
			terminal: tty.request,
			signal: over.signal,
		},
		tty,
	};
}
