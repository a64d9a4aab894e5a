/** Files into a jail and out of it, by its own pid 1: for jails whose files the host cannot see. */

import { readSync } from "node:fs";
import { type EncodedProgram, encodeWorkload } from "../executor/encode.ts";
import type { ExecReply, JailProcess } from "../executor/jail-process.ts";
import { errnoName } from "../host/errno.ts";
import {
	AT_ST_MODE,
	AT_ST_SIZE,
	type FileStep,
	type FilesInput,
	putFileWorkload,
	putLinkWorkload,
	STAT_SIZE,
	takeFileWorkload,
} from "../plan/inner-files.ts";
import type { Workload } from "../plan/types.ts";
import {
	type CopyIn,
	type CopyOut,
	checkedPath,
	type FileError,
	type Files,
	fileErrorOf,
	sourceOf,
	type Taken,
} from "./files.ts";
import type { Reusable } from "./reusable.ts";
import { openStreams, type Streams } from "./stdio.ts";

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;

const IN_KINDS: Readonly<Record<FileStep, FileError["kind"]>> = {
	folder: "create-folder",
	file: "create-file",
	copy: "copy",
	link: "symlink",
};

/** What went wrong: an errno's name, or that it is no regular file. */
interface Fault {
	readonly step: FileStep;
	readonly error: number;
}

export class InnerFiles implements Files {
	readonly #process: JailProcess;
	readonly #plan: EncodedProgram;
	readonly #reusable: Reusable;

	constructor(process: JailProcess, plan: EncodedProgram, reusable: Reusable) {
		this.#process = process;
		this.#plan = plan;
		this.#reusable = reusable;
	}

	async putAll(entries: readonly CopyIn[], cwd: string): Promise<readonly FileError[]> {
		const checked = entries.map((entry) => ({ entry, path: checkedPath(cwd, entry.path), source: sourceOf(entry) }));
		const errors: FileError[] = [];
		for (const { entry, path, source } of checked) {
			const input = this.#input(path);
			const bytes = typeof source.content === "number" ? readAll(source.content) : source.content;
			const workload =
				bytes === undefined
					? putLinkWorkload(input, source.symlink ?? "")
					: putFileWorkload(input, entry.mode ?? 0o644, bytes.length);
			const { fault } = await this.#run(workload, { stdin: bytes === undefined ? "ignore" : { content: bytes } });
			if (fault !== undefined) errors.push(errorOf(entry.path, IN_KINDS[fault.step], fault.error));
		}
		return errors;
	}

	/** Nobody looks: a program that meets this limit and goes on is not told from one that did not. */
	hasFileOfSize(): boolean {
		return false;
	}

	async takeAll(entries: readonly CopyOut[], cwd: string): Promise<Taken> {
		const checked = entries.map((entry) => ({ entry, path: checkedPath(cwd, entry.path) }));
		const files = new Map<string, Buffer>();
		const errors: FileError[] = [];
		for (const { entry, path } of checked) {
			const taken = await this.#take(path, entry);
			if (Buffer.isBuffer(taken)) files.set(entry.path, taken);
			else if (taken !== undefined) errors.push(taken);
		}
		return { files, errors };
	}

	async #take(
		path: string,
		{ path: name, maxBytes, optional, truncate }: CopyOut,
	): Promise<Buffer | FileError | undefined> {
		const workload = takeFileWorkload(this.#input(path), maxBytes);
		const { fault, output } = await this.#run(workload, { stdout: "collect" });
		if (output.length < STAT_SIZE) {
			const { error, step } = fault ?? { error: 0, step: "copy" };
			if (optional === true && (error === ENOENT || error === ENOTDIR)) return undefined;
			return errorOf(name, step === "copy" ? "copy" : "open", error);
		}
		const mode = output.readUInt32LE(AT_ST_MODE[this.#reusable.facts.arch]);
		if ((mode & S_IFMT) !== S_IFREG) return errorOf(name, "not-regular", 0);
		const size = Number(output.readBigUInt64LE(AT_ST_SIZE));
		if (size > maxBytes && truncate !== true) return errorOf(name, "too-large", 0);
		if (fault !== undefined) return errorOf(name, "copy", fault.error);
		const content = output.subarray(STAT_SIZE, STAT_SIZE + maxBytes);
		// Shorter only where the file has become so meanwhile.
		return content.length < Math.min(size, maxBytes) ? errorOf(name, "copy", EIO) : content;
	}

	#input(path: string): FilesInput {
		const { spec, facts } = this.#reusable;
		return { arch: facts.arch, process: spec.process, path };
	}

	async #run(workload: Workload, streams: Streams): Promise<{ readonly fault?: Fault; readonly output: Buffer }> {
		const { plan, facts } = this.#reusable;
		const opened = openStreams({ stdin: "ignore", stdout: "ignore", stderr: "ignore", ...streams }, {}, () => false);
		const replied = this.#process.exec({
			program: encodeWorkload(workload, this.#plan, plan, facts.arch),
			descriptors: opened.descriptors,
			last: false,
			errand: true,
		});
		opened.close();
		const reply = await replied;
		opened.stop();
		const output = (await opened.stdout) ?? Buffer.alloc(0);
		const fault = faultOf(reply, workload);
		return { output, ...(fault === undefined ? {} : { fault }) };
	}
}

function errorOf(name: string, kind: FileError["kind"], error: number): FileError {
	return fileErrorOf(name, kind, errnoName(error));
}

const ENOENT = 2;
const EIO = 5;
const ENOTDIR = 20;

function faultOf(reply: ExecReply, workload: Workload): Fault | undefined {
	if (reply.kind === "exited" && reply.exit.status === 0) return undefined;
	// Killed by its time limit, or pid 1 is gone: then the next program says so.
	if (reply.kind !== "failed") return { step: "copy", error: EIO };
	const label = workload.child[reply.failure.step ?? -1]?.label ?? "";
	const step = (["folder", "file", "copy", "link"] as const).find((word) => label.startsWith(`${word} `)) ?? "copy";
	return { step, error: reply.failure.error };
}

/** From its beginning, wherever the caller has read it to. */
function readAll(descriptor: number): Buffer {
	const chunks: Buffer[] = [];
	for (let at = 0; ; ) {
		const chunk = Buffer.alloc(1 << 20);
		const read = readSync(descriptor, chunk, 0, chunk.length, at);
		if (read === 0) return Buffer.concat(chunks);
		chunks.push(chunk.subarray(0, read));
		at += read;
	}
}
