/** `--copy-in` and `--copy-out`: a program in a jail into which files are put before, and out of which they are taken after. */

import { closeSync, fstatSync, openSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { VmjailError } from "../errors.ts";
import type { ExecResult } from "../jail/execution.ts";
import type { CopyIn, FileError } from "../jail/files.ts";
import { Jail } from "../jail/jail.ts";
import { exitStatus } from "../outcome/outcome.ts";
import { parseSize } from "../policy/units.ts";
import { FAILED, say, sayDenial, sayEnd, sayMissing } from "./report.ts";
import { writeResult } from "./result-file.ts";
import type { RunArguments } from "./run.ts";

export interface FileFlags {
	/** FILE[:PATH] */
	readonly copyIn: readonly string[];
	/** PATH[?][:FILE] */
	readonly copyOut: readonly string[];
	/** Larger files do not come out. Default: 64MiB. */
	readonly copyOutMax?: string;
}

function mostOut(text = "64MiB"): number {
	const parsed = parseSize(text);
	if ("value" in parsed) return parsed.value;
	throw new VmjailError("USAGE", `--copy-out-max: ${parsed.problem}`, { remedy: "Write a size such as 64MiB." });
}

/** At the last colon; without one, the second part is the first's last name. */
function split(text: string): readonly [string, string] {
	const at = text.lastIndexOf(":");
	return at <= 0 ? [text, basename(text)] : [text.slice(0, at), text.slice(at + 1)];
}

function open(text: string): { readonly descriptor: number; readonly entry: CopyIn } {
	const [file, path] = split(text);
	try {
		const descriptor = openSync(file, "r");
		const { mode } = fstatSync(descriptor);
		return { descriptor, entry: { path, content: { descriptor }, mode: mode & 0o777 } };
	} catch (cause) {
		throw new VmjailError(
			"USAGE",
			`--copy-in ${text}: ${file} cannot be read: ${(cause as NodeJS.ErrnoException).code}`,
			{
				remedy: "Name a file that you may read: --copy-in FILE[:PATH IN THE JAIL].",
				cause,
			},
		);
	}
}

interface Wanted {
	readonly path: string;
	readonly optional: boolean;
	/** On the host. */
	readonly file: string;
}

function wantedOf(text: string): Wanted {
	const [asked, file] = split(text);
	const path = asked.replace(/\?$/, "");
	return { path, optional: asked.endsWith("?"), file: file.replace(/\?$/, "") };
}

function write({ path, file }: Wanted, files: ExecResult["files"]): void {
	const bytes = files.get(path);
	if (bytes === undefined) return;
	try {
		writeFileSync(file, bytes);
	} catch (cause) {
		throw new VmjailError(
			"USAGE",
			`--copy-out ${path}:${file}: cannot be written: ${(cause as NodeJS.ErrnoException).code}`,
			{
				remedy: "Name a file that you may write: --copy-out PATH IN THE JAIL[:FILE].",
				cause,
			},
		);
	}
}

/** What did not come out of a program that failed is no wonder; of one that succeeded it is a failure of ours. */
function statusOf(outcome: ExecResult, errors: readonly FileError[]): number {
	const notRun = outcome.kind === "cancelled" && errors.length > 0;
	const status = exitStatus(outcome);
	return notRun || (status === 0 && errors.length > 0) ? FAILED : status;
}

/** Runs the program and returns the exit status of vmjail. The program has no terminal of its own. */
export async function runWithFiles(args: RunArguments, flags: FileFlags): Promise<number> {
	const wanted = flags.copyOut.map(wantedOf);
	const maxBytes = mostOut(flags.copyOutMax);
	const entering: ReturnType<typeof open>[] = [];
	const cancel = new AbortController();
	for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => cancel.abort());
	try {
		for (const text of flags.copyIn) entering.push(open(text));
		await using jail = await Jail.open(args.policy);
		if (!args.quiet) sayMissing(jail.missing);
		const outcome = await jail.exec(args.command, {
			stdin: "inherit",
			stdout: "inherit",
			stderr: "inherit",
			copyIn: entering.map(({ entry }) => entry),
			copyOut: wanted.map(({ path, optional }) => ({ path, optional, maxBytes })),
			signal: cancel.signal,
			...(args.quiet ? {} : { onDenial: sayDenial }),
		});
		const { files, fileErrors, ...rest } = outcome;
		for (const one of wanted) write(one, files);
		for (const { message } of fileErrors) say(message);
		if (!args.quiet) sayEnd(outcome);
		writeResult(args.result, { ...rest, files: [...files.keys()], fileErrors });
		return statusOf(outcome, fileErrors);
	} finally {
		for (const { descriptor } of entering) closeSync(descriptor);
	}
}
