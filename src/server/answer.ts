/** What came of a command → its part of the answer: verdict, files, ids of stored ones. */

import type { ExecResult } from "../jail/execution.ts";
import type { FileError as JailFileError } from "../jail/files.ts";
import type { FileStore } from "./file-store.ts";
import type { Job, OutputJob } from "./jobs.ts";
import { HttpProblem } from "./problem.ts";
import { type FileError, type FileErrorType, fileFailureOf, type Result, resultOf } from "./status.ts";

/** How bytes travel in the answer. */
export type Encoding = "utf-8" | "base64";

const COPY_IN: Readonly<Record<JailFileError["kind"], FileErrorType>> = {
	open: "CopyInOpenFile",
	"not-regular": "CopyInOpenFile",
	"too-large": "CopyInCopyContent",
	"create-folder": "CopyInCreateDir",
	"create-file": "CopyInCreateFile",
	copy: "CopyInCopyContent",
	symlink: "Symlink",
};

const COPY_OUT: Readonly<Record<JailFileError["kind"], FileErrorType>> = {
	open: "CopyOutOpen",
	"not-regular": "CopyOutNotRegularFile",
	"too-large": "CopyOutSizeExceeded",
	"create-folder": "CopyOutCreateFile",
	"create-file": "CopyOutCreateFile",
	copy: "CopyOutCopyContent",
	symlink: "CopyOutNotRegularFile",
};

function errorsOf(errors: readonly JailFileError[], names: typeof COPY_IN): readonly FileError[] {
	return errors.map(({ path, kind, message }) => ({ name: path, type: names[kind], message }));
}

function collected(stream: OutputJob, bytes: Buffer | undefined): readonly (readonly [string, Buffer])[] {
	return stream.kind === "collect" ? [[stream.name, bytes ?? Buffer.alloc(0)]] : [];
}

function some<T>(
	key: "files" | "fileIds",
	entries: readonly (readonly [string, T])[],
): { readonly [key: string]: unknown } {
	return entries.length === 0 ? {} : { [key]: Object.fromEntries(entries) };
}

/** @param terminal what the program wrote to its terminal, where it had one */
export function answerOf(job: Job, done: ExecResult, store: FileStore, encoding: Encoding, terminal?: Buffer): Result {
	const [notRun] = done.kind === "cancelled" ? errorsOf(done.fileErrors, COPY_IN) : [];
	if (notRun !== undefined && done.wallMs === 0) return fileFailureOf(notRun);
	const all = [...collected(job.stdout, terminal ?? done.stdout), ...collected(job.stderr, done.stderr), ...done.files];
	const errors = [...errorsOf(done.fileErrors, COPY_OUT)];
	const fileIds = all.flatMap(([name, bytes]): [string, string][] => {
		if (!job.cached.has(name)) return [];
		try {
			return [[name, store.add(name, bytes)]];
		} catch (error) {
			if (!(error instanceof HttpProblem)) throw error;
			errors.push({ name, type: "CopyOutCreateFile", message: error.message });
			return [];
		}
	});
	const files = all.filter(([name]) => !job.cached.has(name));
	return {
		...resultOf(done, errors),
		...some(
			"files",
			files.map(([name, bytes]) => [name, bytes.toString(encoding)]),
		),
		...some("fileIds", fileIds),
	};
}
