/** The executor's probe, once per boot: what the kernel can do does not change before the next one. */

import { dirname, join } from "node:path/posix";
import type { ExecutorProbe } from "./executor-probe.ts";
import { parseExecutorProbe } from "./executor-probe.ts";
import { attempt, type HostFs } from "./fs.ts";

export interface CacheFs extends HostFs {
	/** Makes a folder for the caller alone, parents included; no error where it is there. */
	readonly makeFolder: (path: string) => void;
	/** Replaces the file as a whole, readable by the caller alone. */
	readonly replaceFile: (path: string, content: string) => void;
	readonly remove: (path: string) => void;
}

export interface CacheKey {
	readonly env: Readonly<Record<string, string | undefined>>;
	/** Effective. */
	readonly uid: number;
	readonly kernelRelease: string;
	/** Of the executor's file: another build may probe more. */
	readonly executorModifiedMs: number;
}

/** XDG Base Directory Specification: the runtime folder ends with the session, which is soon enough. */
export function cacheFolder(env: CacheKey["env"]): string | undefined {
	const home = env["HOME"] === undefined ? undefined : join(env["HOME"], ".cache");
	const base = env["XDG_RUNTIME_DIR"] || env["XDG_CACHE_HOME"] || home;
	return base?.startsWith("/") ? join(base, "vmjail") : undefined;
}

/** Nobody else can have put something there. */
function isOurs(path: string, uid: number, fs: HostFs): boolean {
	const stat = attempt(() => fs.lstat(path));
	return stat !== undefined && stat.uid === uid && (stat.mode & 0o022) === 0 && stat.kind !== "link";
}

/**
 * The cached probe of this boot, else a new one, which is kept where the caller has a folder of its own for it. A cache
 * that cannot be read or written is no error.
 *
 * Not for `userNamespace`: a system administrator may forbid or allow those at any time. A caller who needs that asks
 * `run` itself.
 *
 * @param run starts the executor's probe
 * @throws what `run` throws
 */
export function cachedProbe(run: () => ExecutorProbe, key: CacheKey, fs: CacheFs): ExecutorProbe {
	const folder = cacheFolder(key.env);
	const boot = attempt(() => fs.readFile("/proc/sys/kernel/random/boot_id").trim());
	if (folder === undefined || boot === undefined) return run();
	const name = `probe-${key.kernelRelease}-${boot}-${Math.floor(key.executorModifiedMs)}.json`;
	const file = join(folder, name);
	if (isOurs(folder, key.uid, fs) && isOurs(file, key.uid, fs)) {
		const known = attempt(() => parseExecutorProbe(fs.readFile(file)));
		if (known !== undefined) return known;
	}
	const probe = run();
	attempt(() => keep(file, probe, key.uid, fs));
	return probe;
}

function keep(file: string, probe: ExecutorProbe, uid: number, fs: CacheFs): void {
	const folder = dirname(file);
	// Under sudo the folders are another user's: nothing of root's is left there.
	const parent = attempt(() => fs.lstat(dirname(folder)));
	if (parent !== undefined && parent.uid !== uid) return;
	fs.makeFolder(folder);
	if (!isOurs(folder, uid, fs)) return;
	fs.replaceFile(file, `${JSON.stringify(probe)}\n`);
	for (const name of fs.readDirectory(folder)) {
		const old = join(folder, name);
		if (name.startsWith("probe-") && name.endsWith(".json") && old !== file) fs.remove(old);
	}
}
