/** The private folder of one run: bundle, state and logs of a runtime. */

import { randomBytes } from "node:crypto";
import {
	accessSync,
	chmodSync,
	constants,
	lstatSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	realpathSync,
	rmSync,
	statfsSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface RunDir {
	readonly path: string;
	/** Unguessable, and of full length: runtimes accept any prefix of an id that is unique. */
	readonly id: string;
	readonly bundle: string;
	readonly state: string;
	/** An empty folder: the place of the jail's root. */
	readonly root: string;
	/** An empty read-only file. */
	readonly emptyFile: string;
	/** Where a resolv.conf of the jail's own is put. */
	readonly resolver: string;
	/** Folder for what the runtime has to say about itself. */
	readonly logs: string;
	remove(): void;
}

const PREFIX = "vmjail-run-";

const MEMORY = "/dev/shm";
/** statfs(2). */
const TMPFS_MAGIC = 0x01021994;
/** Logs and all, a run takes a tenth of this. */
const ROOM_BYTES = 8 << 20;

/** In memory, where making and removing folders takes no time and waits for no disk; else the folder for temporary files. */
export function defaultParent(memory = MEMORY): string {
	try {
		const { type, bavail, bsize } = statfsSync(memory);
		accessSync(memory, constants.W_OK | constants.X_OK);
		return type === TMPFS_MAGIC && bavail * bsize > ROOM_BYTES ? memory : tmpdir();
	} catch {
		return tmpdir();
	}
}

/**
 * Makes the folder below `folder` (default: {@link defaultParent}). Others may pass through it to the root, which
 * is empty outside of the jail's mount namespace; the rest is the caller's alone. First removes those of processes
 * that were killed before they could.
 */
export function makeRunDir(folder: string = defaultParent()): RunDir {
	const parent = realpathSync(folder);
	const namespace = pidNamespace();
	sweep(parent, namespace);
	const path = mkdtempSync(join(parent, `${PREFIX}${namespace}-${process.pid}-${startTime(process.pid) ?? 0}-`));
	const dir: RunDir = {
		path,
		id: randomBytes(16).toString("hex"),
		bundle: join(path, "bundle"),
		state: join(path, "state"),
		root: join(path, "root"),
		emptyFile: join(path, "empty"),
		resolver: join(path, "resolv.conf"),
		logs: join(path, "logs"),
		remove: () => rmSync(path, { recursive: true, force: true }),
	};
	try {
		for (const folder of [dir.bundle, dir.state, dir.logs, dir.root]) mkdirSync(folder, { mode: 0o700 });
		// A runtime may look at the root as another user than the caller.
		for (const folder of [path, dir.root]) chmodSync(folder, 0o711);
		writeFileSync(dir.emptyFile, "");
		chmodSync(dir.emptyFile, 0o444);
	} catch (cause) {
		dir.remove();
		throw cause;
	}
	return dir;
}

/** A folder's name says whose it is: pid namespace, pid, and when that process started (in case the pid is used again). */
function sweep(parent: string, namespace: string): void {
	for (const name of readdirSync(parent)) {
		const [owner, pid, started] = name.startsWith(PREFIX) ? name.slice(PREFIX.length).split("-") : [];
		if (owner === undefined || pid === undefined) continue;
		if (owner === namespace ? startTime(Number(pid)) === started : !isGone(owner, namespace)) continue;
		const path = join(parent, name);
		// Only what nobody else can have made or filled: a planted tree could make rm follow a link elsewhere.
		const stat = lstatSync(path, { throwIfNoEntry: false });
		if (stat?.isDirectory() !== true || stat.uid !== process.geteuid?.() || (stat.mode & 0o022) !== 0) continue;
		try {
			rmSync(path, { recursive: true, force: true });
		} catch {
			// Another process is removing it as well.
		}
	}
}

/** PROC_PID_INIT_INO of include/linux/proc_ns.h. */
const INITIAL_NAMESPACE = "4026531836";

/**
 * Has the pid namespace come to its end, and its vmjail with it? To be known only from the first namespace, which sees all
 * processes, and by who may ask each for its namespace.
 */
function isGone(namespace: string, own: string): boolean {
	if (own !== INITIAL_NAMESPACE) return false;
	return readdirSync("/proc").every((pid) => {
		if (!/^\d+$/.test(pid)) return true;
		try {
			// With one number it lives in this very namespace (proc_pid_status(5)), even if it may not be asked for it.
			if (/^NSpid:\t\d+$/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))) return true;
			return pidNamespace(pid) !== namespace;
		} catch (error) {
			// Ended meanwhile; or it may not be asked.
			return ["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "");
		}
	});
}

/** A process of another container may share our folder for temporary files: its pid means nothing here. */
function pidNamespace(pid = "self"): string {
	return /\d+/.exec(readlinkSync(`/proc/${pid}/ns/pid`))?.[0] ?? "0";
}

/** proc_pid_stat(5), field 22, in clock ticks since boot; undefined where there is no such process, or it is dead (Z). */
function startTime(pid: number): string | undefined {
	try {
		const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
		// The name in parentheses may itself hold blanks and parentheses.
		const [state, ...rest] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
		return state === "Z" ? undefined : rest[18];
	} catch {
		return undefined;
	}
}

/** Everybody may read it: the runtime may look as another user than the caller. Returns its path. */
export function writeResolver({ resolver }: RunDir, content: string): string {
	writeFileSync(resolver, content);
	chmodSync(resolver, 0o444);
	return resolver;
}
