/** The programs of an exec allow-list: which files they are and what else must run for them to run. */

import { createHash } from "node:crypto";
import {
	accessSync,
	closeSync,
	constants,
	fstatSync,
	openSync,
	readFileSync,
	readSync,
	realpathSync,
	statSync,
} from "node:fs";
import { VmjailError } from "../errors.ts";
import { type AllowedProgram, parseProgram } from "../policy/programs.ts";
import { loaderOf, lookedUpBy, shebangOf } from "./program-format.ts";
import type { ProgramFact } from "./types.ts";

const WHERE = "security.process.allow";

/** Interpreters of interpreters, as far as the kernel follows them (fs/exec.c, exec_binprm). */
const MOST_INTERPRETERS = 5;

/** As many files as the executor's guard holds (GUARD_MAX_FILES in native/executor/guard.h). */
export const MOST_FILES = 512;

/** A snapshot lies in the jail's memory; and one sendfile(2) moves no more than 2 GiB. */
const MOST_SNAPSHOT_BYTES = 1 << 30;

/** More than what the kernel looks at to tell a script (BINPRM_BUF_SIZE), and ELF headers with their segments. */
const HEAD = 64 * 1024;

/** Keeps bytes for as long as the jail needs them; returns a path of the host to read them from. */
export type Keep = (bytes: Uint8Array) => string;

function invalid(message: string, remedy: string, cause?: unknown): VmjailError {
	return new VmjailError("PATH_INVALID", `${WHERE}: ${message}`, { remedy, cause });
}

function resolve(path: string, root: string): string {
	try {
		const real = realpathSync(`${root === "/" ? "" : root}${path}`);
		if (root !== "/" && !real.startsWith(`${root}/`)) throw new Error("leaves the root");
		return real;
	} catch (cause) {
		throw invalid(`${path} does not exist`, "Name the path of an executable file.", cause);
	}
}

/** @throws VmjailError PATH_INVALID for what no guard could let run */
function checkExecutable(path: string, real: string): void {
	const info = statSync(real);
	if (!info.isFile() || (info.mode & 0o111) === 0) {
		throw invalid(`${path} is not an executable file`, "Name a file with execute permission (chmod +x).");
	}
	try {
		accessSync(real, constants.R_OK);
	} catch (cause) {
		// Of a process that runs a file which its user may not read, the kernel shows nobody which file that is.
		throw invalid(
			`${path} may be executed but not read: the guard could not tell that it is what runs`,
			"Let the user who runs vmjail read it (chmod +r), or run vmjail as root.",
			cause,
		);
	}
}

function headOf(file: string): Buffer {
	const descriptor = openSync(file, "r");
	try {
		const buffer = Buffer.alloc(HEAD);
		return buffer.subarray(0, readSync(descriptor, buffer, 0, HEAD, 0));
	} finally {
		closeSync(descriptor);
	}
}

/** The content of a file, if it is what the entry says. */
function verified({ path, sha256 }: AllowedProgram, real: string): Buffer {
	const descriptor = openSync(real, "r");
	try {
		if (fstatSync(descriptor).size > MOST_SNAPSHOT_BYTES) {
			throw invalid(
				`${path} is larger than 1 GiB: too large to be held to its content`,
				"Leave out @sha256: and its digest.",
			);
		}
		const bytes = readFileSync(descriptor);
		const found = createHash("sha256").update(bytes).digest("hex");
		if (found === sha256) return bytes;
		throw invalid(
			`${path} is not the file that was listed: its sha256 is ${found}`,
			"Find out who changed it; then list the new digest.",
		);
	} finally {
		closeSync(descriptor);
	}
}

function probeProgram(entry: AllowedProgram, root: string, keep: Keep): ProgramFact {
	const real = resolve(entry.path, root);
	checkExecutable(entry.path, real);
	const { path, sha256 } = entry;
	if (sha256 === undefined) return { path, ...needsOf(real, headOf(real), root) };
	const bytes = verified(entry, real);
	return { path, ...needsOf(real, bytes, root), sha256, snapshot: { source: keep(bytes), sizeBytes: bytes.length } };
}

/**
 * One fact for each entry, its links resolved.
 *
 * @param root the host's path of the jail's root; entries are paths in the jail
 * @param keep gets the content of each file that its entry holds to a digest
 * @throws VmjailError PATH_INVALID for a file that is missing, not executable, not readable, or of another content than
 *   its entry says, or for more files than the guard holds
 */
export function probePrograms(
	allow: readonly string[],
	root: string,
	keep: Keep = () => "/dev/null",
): readonly ProgramFact[] {
	const programs = allow.map((entry) => probeProgram(parseProgram(entry), root, keep));
	const files = new Set(programs.flatMap(({ real, interpreters }) => [real, ...interpreters]));
	if (files.size > MOST_FILES) {
		throw invalid(
			`${files.size} files, with the interpreters of scripts, are more than the ${MOST_FILES} that the guard compares with`,
			"List fewer, or a program that does the work of several.",
		);
	}
	return programs;
}

type Needs = Pick<ProgramFact, "real" | "interpreters" | "loaders" | "lookedUp">;

/** Follows #! lines to the interpreters, and each binary to its loader. */
function needsOf(first: string, head: Uint8Array, root: string): Needs {
	const inJail = (file: string) => (root === "/" ? file : file.slice(root.length));
	const interpreters: string[] = [];
	const loaders: string[] = [];
	const lookedUp: string[] = [];
	let bytes: Uint8Array = head;
	for (let depth = 0; depth <= MOST_INTERPRETERS; depth++) {
		const loader = loaderOf(bytes);
		if (loader !== undefined) loaders.push(inJail(resolve(loader, root)));
		const shebang = shebangOf(bytes);
		if (shebang === undefined) break;
		const name = lookedUpBy(shebang);
		if (name !== undefined) lookedUp.push(name);
		const interpreter = resolve(shebang.interpreter, root);
		checkExecutable(shebang.interpreter, interpreter);
		interpreters.push(inJail(interpreter));
		bytes = headOf(interpreter);
	}
	return { real: inJail(first), interpreters, loaders, ...(lookedUp.length === 0 ? {} : { lookedUp }) };
}
