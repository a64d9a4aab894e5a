/** Which runsc to use, and what it can do. */

import { execFile } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, isAbsolute, join, resolve } from "node:path";
import { promisify } from "node:util";
import { VmjailError } from "../../errors.ts";
import { type Abilities, abilitiesOf } from "./abilities.ts";

export interface Runsc {
	/** Absolute. */
	readonly path: string;
	readonly abilities: Abilities;
}

export interface FindOptions {
	/** `--runsc`: a path, or a name to look up in PATH. Wins over VMJAIL_RUNSC. */
	readonly runsc?: string;
	readonly env: Readonly<Record<string, string | undefined>>;
}

const TIMEOUT_MS = 10_000;

/**
 * The path of runsc: the option, else VMJAIL_RUNSC, else "runsc" in PATH.
 *
 * @throws VmjailError HOST_UNSUPPORTED where there is none that may be executed.
 */
export function runscPath({ runsc, env }: FindOptions): string {
	const asked = runsc ?? env["VMJAIL_RUNSC"];
	const name = asked === undefined || asked === "" ? "runsc" : asked;
	const candidates = name.includes("/")
		? [resolve(name)]
		: (env["PATH"] ?? "")
				.split(delimiter)
				.filter(isAbsolute)
				.map((folder) => join(folder, name));
	const found = candidates.find(isExecutable);
	if (found !== undefined) return found;
	const where = name.includes("/") ? "is not an executable file" : "is not in PATH";
	throw new VmjailError("HOST_UNSUPPORTED", `${name} ${where}`, {
		remedy:
			'Install gVisor (sh scripts/get-runsc.sh), name it with --runsc or VMJAIL_RUNSC, or set system.rollback to "runlc".',
	});
}

/**
 * Finds runsc and asks it what it can do (three short runs, about 30 ms).
 *
 * @throws VmjailError HOST_UNSUPPORTED where there is none, it does not run here, or it is too old.
 */
export async function findRunsc(options: FindOptions): Promise<Runsc> {
	const path = runscPath(options);
	const [version, flags, gofer] = await Promise.all([
		say(path, ["--version"]),
		say(path, ["flags"]),
		say(path, ["help", "gofer"]),
	]);
	return { path, abilities: abilitiesOf(version, flags, gofer) };
}

/** Standard output and error together; runsc prints some help on either, and leaves with either status. */
async function say(path: string, args: readonly string[]): Promise<string> {
	try {
		const { stdout, stderr } = await promisify(execFile)(path, args, { timeout: TIMEOUT_MS, env: {} });
		return stdout + stderr;
	} catch (cause) {
		const { code, stdout = "", stderr = "" } = cause as { code?: unknown; stdout?: string; stderr?: string };
		if (typeof code === "number") return stdout + stderr;
		throw new VmjailError("HOST_UNSUPPORTED", `${path} does not run here`, {
			remedy: "Install a runsc for this machine's architecture (sh scripts/get-runsc.sh).",
			cause,
		});
	}
}

function isExecutable(path: string): boolean {
	try {
		accessSync(path, constants.X_OK);
		return statSync(path).isFile();
	} catch {
		return false;
	}
}
