/** A runsc that was seen to work, remembered until the next boot. */

import { createHash } from "node:crypto";
import { lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { attempt } from "../../host/fs.ts";
import type { Accel } from "../../policy/types.ts";
import type { Runsc } from "./find.ts";

export interface ProbeKey {
	readonly path: string;
	/** Of the binary: another build is another answer. */
	readonly modifiedMs: number;
	readonly size: number;
	readonly accel: Accel;
	readonly uid: number;
	readonly env: Readonly<Record<string, string | undefined>>;
}

/** XDG Base Directory Specification: the runtime folder ends with the session, which is soon enough. */
function cacheFolder(env: ProbeKey["env"]): string | undefined {
	const home = env["HOME"];
	const base =
		env["XDG_RUNTIME_DIR"] || env["XDG_CACHE_HOME"] || (home === undefined ? undefined : join(home, ".cache"));
	return base?.startsWith("/") ? join(base, "vmjail") : undefined;
}

/** Nobody else can have put something there. */
function isOurs(path: string, uid: number): boolean {
	const stat = lstatSync(path, { throwIfNoEntry: false });
	return stat !== undefined && stat.uid === uid && (stat.mode & 0o022) === 0 && !stat.isSymbolicLink();
}

function place(key: ProbeKey): { readonly folder: string; readonly file: string } | undefined {
	const folder = cacheFolder(key.env);
	const boot = attempt(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim());
	if (folder === undefined || boot === undefined) return undefined;
	const { path, modifiedMs, size, accel, uid } = key;
	const hash = createHash("sha256").update(JSON.stringify([boot, path, modifiedMs, size, accel, uid]));
	return { folder, file: join(folder, `runsc-${hash.digest("hex").slice(0, 32)}.json`) };
}

/** What was remembered for this binary, platform and user in this boot, if nobody else can have written it. */
export function recall(key: ProbeKey): Runsc | undefined {
	const at = place(key);
	return attempt(() => {
		if (at === undefined || !isOurs(at.folder, key.uid) || !isOurs(at.file, key.uid)) return undefined;
		const { flags, ...rest } = JSON.parse(readFileSync(at.file, "utf8")) as Omit<Runsc["abilities"], "flags"> & {
			flags: string[];
		};
		return { path: key.path, abilities: { ...rest, flags: new Set(flags) } };
	});
}

/** The next run asks again. */
export function forget(key: ProbeKey): void {
	const at = place(key);
	if (at !== undefined) attempt(() => rmSync(at.file, { force: true }));
}

/** A cache that cannot be written is no error. */
export function remember(key: ProbeKey, { abilities }: Runsc): void {
	const at = place(key);
	if (at === undefined) return;
	attempt(() => {
		mkdirSync(at.folder, { recursive: true, mode: 0o700 });
		if (!isOurs(at.folder, key.uid)) return;
		const draft = `${at.file}.${process.pid}`;
		writeFileSync(draft, `${JSON.stringify({ ...abilities, flags: [...abilities.flags] })}\n`, {
			mode: 0o600,
			flag: "wx",
		});
		renameSync(draft, at.file);
	});
}
