/** Starts ./vmjail as a person would: as root and as an ordinary user, in a folder of the test's own. */

import { type ChildProcess, type StdioOptions, spawn, spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { removeFolder } from "../helpers/folder.ts";
import { PATIENCE } from "../helpers/patience.ts";

export const CHECKOUT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const VMJAIL = join(CHECKOUT, "vmjail");

/** The tests' own: folders of somebody's home (version managers, say) are hidden in a jail. */
export const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Who starts vmjail. */
export interface Caller {
	readonly name: "root" | "user";
	readonly uid: number;
	/** Put before a command, it runs as this caller. */
	readonly prefix: readonly string[];
}

const IS_ROOT = process.getuid?.() === 0;

/** No account has this id: what runs under it is ours. */
const STRANGER = 54_321;

export const ROOT: Caller = { name: "root", uid: 0, prefix: [] };

/** An ordinary user: somebody else where the tests run as root, else whoever runs them. */
export const USER: Caller = IS_ROOT
	? {
			name: "user",
			uid: STRANGER,
			prefix: ["setpriv", `--reuid=${STRANGER}`, `--regid=${STRANGER}`, "--clear-groups", "--"],
		}
	: { name: "user", uid: process.getuid?.() ?? -1, prefix: [] };

export const CALLERS: readonly Caller[] = [ROOT, USER];

/** Why this caller cannot be had here, with the remedy; undefined where it can. */
export function missingCaller(caller: Caller): string | undefined {
	if (caller.name === "root") return IS_ROOT ? undefined : "tests of root's jails need root: sudo npm test";
	const [program = "", ...args] = [...caller.prefix, VMJAIL, "--", "true"];
	const { status, stderr, error } = spawnSync(program, args, { cwd: "/", encoding: "utf8", env: { PATH } });
	if (error !== undefined) return `setpriv does not start (${error.message}): apt-get install util-linux`;
	return status === 0 ? undefined : `an ordinary user cannot start a jail here (see vmjail doctor): ${stderr.trim()}`;
}

/** Why these programs cannot be had here, with the remedy; undefined where they can. */
export function missingPrograms(...names: readonly string[]): string | undefined {
	const absent = names.filter((name) => spawnSync("sh", ["-c", `command -v ${name}`], { env: { PATH } }).status !== 0);
	return absent.length === 0 ? undefined : `not installed: ${absent.join(", ")}: sh scripts/setup.sh --for-tests`;
}

/**
 * A folder of the caller's: the working folder of its commands, with a home folder beside it. Made when it is first
 * asked for: a test that is left out has no afterAll that would remove it.
 */
export class Place {
	readonly caller: Caller;
	#folder: string | undefined;

	constructor(caller: Caller) {
		this.caller = caller;
	}

	get folder(): string {
		if (this.#folder !== undefined) return this.#folder;
		const folder = mkdtempSync(join(tmpdir(), "system-test-"));
		this.#folder = folder;
		for (const name of ["home", "work"]) mkdirSync(join(folder, name));
		for (const path of [folder, this.home, this.work]) chmodSync(this.own(path), 0o755);
		return folder;
	}

	get home(): string {
		return join(this.folder, "home");
	}

	get work(): string {
		return join(this.folder, "work");
	}

	/** Makes a file or folder the caller's; returns it. */
	own(path: string): string {
		if (IS_ROOT) chownSync(path, this.caller.uid, this.caller.uid);
		return path;
	}

	/** Writes a file of the caller's into the working folder; returns its path. */
	write(name: string, content: string | Uint8Array, mode = 0o644): string {
		const path = join(this.work, name);
		writeFileSync(path, content);
		chmodSync(path, mode);
		return this.own(path);
	}

	remove(): void {
		if (this.#folder !== undefined) removeFolder(this.#folder);
	}
}

export interface RunOptions {
	/** Added to a minimal environment. */
	readonly env?: Readonly<Record<string, string>>;
	readonly input?: string | Uint8Array;
	readonly cwd?: string;
	/** Open files of ours that the command gets as 3, 4, … */
	readonly descriptors?: readonly number[];
	/** Gets the process once it runs. */
	readonly onStart?: (child: ChildProcess) => void;
	readonly onOutput?: (soFar: string, child: ChildProcess) => void;
	/** Killed after this. A test that comes so far fails. */
	readonly timeoutMs?: number;
}

export interface Ran {
	/** Exit status; 128 + n where the command was ended by signal n, as shells count. */
	readonly status: number;
	readonly stdout: string;
	readonly stderr: string;
	/** Standard output as it came. */
	readonly bytes: Buffer;
}

/** Runs a command as the place's caller, in its folder. */
export async function run(place: Place, command: readonly string[], options: RunOptions = {}): Promise<Ran> {
	const [program = "", ...args] = [...place.caller.prefix, ...command];
	const stdio: StdioOptions = ["pipe", "pipe", "pipe", ...(options.descriptors ?? [])];
	const child = spawn(program, args, {
		cwd: options.cwd ?? place.work,
		env: { PATH, HOME: place.home, LANG: "C.UTF-8", TERM: "dumb", ...options.env },
		stdio,
	});
	const output: Buffer[] = [];
	const errors: Buffer[] = [];
	child.stdout?.on("data", (chunk: Buffer) => {
		output.push(chunk);
		options.onOutput?.(Buffer.concat(output).toString(), child);
	});
	child.stderr?.on("data", (chunk: Buffer) => errors.push(chunk));
	child.stdin?.on("error", () => {}); // a program need not read its input
	child.stdin?.end(options.input ?? "");
	options.onStart?.(child);
	const guard = setTimeout(() => child.kill("SIGKILL"), (options.timeoutMs ?? 30_000) * PATIENCE);
	const status = await new Promise<number>((resolve, reject) => {
		child.on("error", reject);
		child.on("close", (code, signal) => resolve(code ?? 128 + signalNumber(signal)));
	});
	clearTimeout(guard);
	const bytes = Buffer.concat(output);
	return { status, stdout: bytes.toString(), stderr: Buffer.concat(errors).toString(), bytes };
}

function signalNumber(signal: NodeJS.Signals | null): number {
	return signal === "SIGKILL" ? 9 : signal === "SIGTERM" ? 15 : signal === "SIGINT" ? 2 : 0;
}

/** Runs `./vmjail` with these arguments. */
export function vmjail(place: Place, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
	return run(place, [VMJAIL, ...args], options);
}
