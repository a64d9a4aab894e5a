/** What the programs of an allow-list are and what else must run for them to run. */

import { createHash } from "node:crypto";
import { closeSync, openSync, readFileSync, readSync, realpathSync, statSync } from "node:fs";
import { VmjailError } from "../errors.ts";
import { type AllowedProgram, parseProgram } from "../policy/programs.ts";
import { loaderOf, shebangOf } from "./program-format.ts";
import type { ProgramFact } from "./types.ts";

const WHERE = "security.process.allow";

/** Interpreters of interpreters, as far as the kernel follows them (binfmt_script: BINPRM_MAX_RECURSION). */
const MOST_INTERPRETERS = 5;

/** As much of a file as the kernel looks at to tell a script (BINPRM_BUF_SIZE), and ELF headers with their segments. */
const HEAD = 64 * 1024;

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

function headOf(file: string): Buffer {
	const descriptor = openSync(file, "r");
	try {
		const buffer = Buffer.alloc(HEAD);
		return buffer.subarray(0, readSync(descriptor, buffer, 0, HEAD, 0));
	} finally {
		closeSync(descriptor);
	}
}

function headOrUnread(file: string): Buffer {
	try {
		return headOf(file);
	} catch {
		// Executable and not readable: a program all the same, whose needs cannot be told.
		return Buffer.alloc(0);
	}
}

function checkContent(entry: AllowedProgram, real: string): void {
	if (entry.sha256 === undefined) return;
	const found = createHash("sha256").update(readFileSync(real)).digest("hex");
	if (found === entry.sha256) return;
	throw invalid(
		`${entry.path} is not the file that was listed: its sha256 is ${found}`,
		"Find out who changed it; then list the new digest.",
	);
}

/**
 * One fact for each entry, its links resolved.
 *
 * @param root the host's path of the jail's root; entries are paths in the jail
 * @throws VmjailError PATH_INVALID for a file that is missing, not executable, or of another content than its entry says
 */
export function probePrograms(allow: readonly string[], root: string): readonly ProgramFact[] {
	return allow.map(parseProgram).map((entry) => {
		const real = resolve(entry.path, root);
		const info = statSync(real);
		if (!info.isFile() || (info.mode & 0o111) === 0) {
			throw invalid(`${entry.path} is not an executable file`, "Name a file with execute permission (chmod +x).");
		}
		checkContent(entry, real);
		return {
			path: entry.path,
			...needsOf(real, root),
			...(entry.sha256 === undefined ? {} : { sha256: entry.sha256 }),
		};
	});
}

/** Follows #! lines to the interpreters, and each binary to its loader. */
function needsOf(first: string, root: string): Pick<ProgramFact, "real" | "interpreters" | "loaders"> {
	const inJail = (file: string) => (root === "/" ? file : file.slice(root.length));
	const interpreters: string[] = [];
	const loaders: string[] = [];
	let file: string | undefined = first;
	for (let depth = 0; file !== undefined && depth <= MOST_INTERPRETERS; depth++) {
		const head = headOrUnread(file);
		const loader = loaderOf(head);
		if (loader !== undefined) loaders.push(inJail(resolve(loader, root)));
		const named = shebangOf(head);
		file = named === undefined ? undefined : resolve(named, root);
		if (file !== undefined) interpreters.push(inJail(file));
	}
	return { real: inJail(first), interpreters, loaders };
}
