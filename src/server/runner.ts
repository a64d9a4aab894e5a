/** Carries out one request: each command in a jail of its own, at once, connected as asked. */

import { closeSync } from "node:fs";
import { VmjailError } from "../errors.ts";
import type { ExecOptions, ExecResult } from "./contract.ts";
import type { FileStore } from "./file-store.ts";
import type { Content, Job, Jobs } from "./jobs.ts";
import { type OpenPipe, openPipe } from "./pipes.ts";
import { HttpProblem } from "./problem.ts";
import type { SourceFiles } from "./source-files.ts";
import { type FileError, type FileErrorType, failureOf, type Result, resultOf } from "./status.ts";

/** What runs commands: a pool of jails, or one jail. */
export interface Executes {
	exec(command: readonly string[], options: ExecOptions): Promise<ExecResult>;
}

export interface RunnerOptions {
	readonly store: FileStore;
	readonly sources: SourceFiles;
}

/** How bytes travel in the answer. */
export type Encoding = "utf-8" | "base64";

const FILE_ERRORS: Readonly<Record<string, FileErrorType>> = {};

/** Descriptors of one command, closed when it has ended. */
class Descriptors {
	readonly #open: number[] = [];

	own(descriptor: number): number {
		this.#open.push(descriptor);
		return descriptor;
	}

	close(): void {
		for (const descriptor of this.#open.splice(0)) closeSync(descriptor);
	}
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
		const prepared: { readonly job: Job; readonly own: Descriptors; readonly options: ExecOptions }[] = [];
		const opened: OpenPipe[] = [];
		try {
			for (const pipe of pipes) opened.push(openPipe(pipe));
			for (const job of jobs) {
				const own = new Descriptors();
				prepared.push({ job, own, options: {} });
				const options = this.#options(job, own, opened, signal);
				prepared.splice(-1, 1, { job, own, options });
			}
		} catch (error) {
			for (const { own } of prepared) own.close();
			for (const pipe of opened) {
				pipe.writerEnded();
				pipe.readerEnded();
			}
			throw error;
		}
		const results = await Promise.all(
			prepared.map(async ({ job, own, options }, index) => {
				try {
					return await this.#one(job, options, on, encoding);
				} finally {
					own.close();
					for (const [number, pipe] of pipes.entries()) {
						if (pipe.from === index) opened[number]?.writerEnded();
						if (pipe.to === index) opened[number]?.readerEnded();
					}
				}
			}),
		);
		return this.#withCopies(results, pipes, opened, encoding);
	}

	async #withCopies(
		results: readonly Result[],
		pipes: Jobs["pipes"],
		opened: readonly OpenPipe[],
		encoding: Encoding,
	): Promise<readonly Result[]> {
		const copies = await Promise.all(opened.map(({ copied }) => copied));
		return results.map((result, index) => {
			const own = pipes.flatMap(({ from, copy }, number): [string, string][] => {
				const bytes = copies[number];
				return from !== index || copy === undefined || bytes === undefined
					? []
					: [[copy.name, bytes.toString(encoding)]];
			});
			return own.length === 0 ? result : { ...result, files: { ...result.files, ...Object.fromEntries(own) } };
		});
	}

	/** A descriptor of the content's own, or its bytes. */
	#open(content: Content, own: Descriptors): number | Uint8Array {
		switch (content.kind) {
			case "bytes":
				return content.bytes;
			case "source":
				return own.own(this.#sources.open(content.path, content.where));
			case "stored":
				if (!this.#store.has(content.id)) {
					const text = `${content.where}: there is no file ${JSON.stringify(content.id)}`;
					throw new HttpProblem(500, "FILE_UNKNOWN", text);
				}
				return own.own(this.#store.open(content.id));
			default:
				return content satisfies never;
		}
	}

	#stdin({ stdin }: Job, own: Descriptors, pipes: readonly OpenPipe[]): NonNullable<ExecOptions["stdin"]> {
		if (stdin.kind === "ignore") return "ignore";
		if (stdin.kind === "pipe") return pipes[stdin.pipe]?.readEnd ?? "ignore";
		const opened = this.#open(stdin, own);
		return typeof opened === "number" ? opened : { content: opened };
	}

	#options(job: Job, own: Descriptors, pipes: readonly OpenPipe[], signal: AbortSignal): ExecOptions {
		const output = (one: Job["stdout"]) => {
			if (one.kind === "pipe") return pipes[one.pipe]?.writeEnd ?? "ignore";
			return one.kind;
		};
		const { stdout, stderr } = job;
		return {
			stdin: this.#stdin(job, own, pipes),
			stdout: output(stdout),
			stderr: output(stderr),
			...(job.env === undefined ? {} : { env: job.env }),
			limits: job.limits,
			collectMaxBytes: {
				...(stdout.kind === "collect" ? { stdout: stdout.max } : {}),
				...(stderr.kind === "collect" ? { stderr: stderr.max } : {}),
			},
			copyIn: job.copyIn.map((file) => {
				if ("symlink" in file) return file;
				const opened = this.#open(file.content, own);
				return { path: file.path, content: typeof opened === "number" ? { descriptor: opened } : opened };
			}),
			copyOut: job.copyOut,
			signal,
		};
	}

	async #one(job: Job, options: ExecOptions, on: Executes, encoding: Encoding): Promise<Result> {
		try {
			return this.#answer(job, await on.exec(job.args, options), encoding);
		} catch (error) {
			if (error instanceof VmjailError) return failureOf(error);
			throw error;
		}
	}

	#answer(job: Job, done: ExecResult, encoding: Encoding): Result {
		const pairs: (readonly [string, Buffer])[] = [];
		for (const [stream, bytes] of [
			[job.stdout, done.stdout],
			[job.stderr, done.stderr],
		] as const) {
			if (stream.kind === "collect") pairs.push([stream.name, bytes ?? Buffer.alloc(0)]);
		}
		pairs.push(...done.files);
		const errors = done.fileErrors.map(
			({ path, kind, message }): FileError => ({ name: path, type: FILE_ERRORS[kind] ?? "CopyOutOpen", message }),
		);
		const files: Record<string, string> = {};
		const fileIds: Record<string, string> = {};
		for (const [name, bytes] of pairs) {
			if (!job.cached.has(name)) files[name] = bytes.toString(encoding);
			else {
				try {
					fileIds[name] = this.#store.add(name, bytes);
				} catch (error) {
					if (!(error instanceof HttpProblem)) throw error;
					errors.push({ name, type: "CopyOutCreateFile", message: error.message });
				}
			}
		}
		return {
			...resultOf(done, errors),
			...(Object.keys(files).length === 0 ? {} : { files }),
			...(Object.keys(fileIds).length === 0 ? {} : { fileIds }),
		};
	}
}
