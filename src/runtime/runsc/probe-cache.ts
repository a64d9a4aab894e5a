/** A runsc that was seen to work, remembered until the next boot. */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { nodeCacheFs } from "../../host/cache-fs.ts";
import { attempt } from "../../host/fs.ts";
import { type CacheFs, type CacheKey, cacheFolder } from "../../host/probe-cache.ts";
import type { Accel } from "../../policy/types.ts";
import type { Runsc } from "./find.ts";

export interface ProbeKey {
	readonly path: string;
	/** Of the binary: another build is another answer. */
	readonly modifiedMs: number;
	readonly size: number;
	readonly accel: Accel;
	readonly uid: number;
	readonly env: CacheKey["env"];
}

const isOurs = (fs: CacheFs, path: string, uid: number): boolean => {
	const stat = attempt(() => fs.lstat(path));
	return stat !== undefined && stat.uid === uid && (stat.mode & 0o022) === 0 && stat.kind !== "link";
};

function place(key: ProbeKey, fs: CacheFs): { readonly folder: string; readonly file: string } | undefined {
	const folder = cacheFolder(key.env);
	const boot = attempt(() => fs.readFile("/proc/sys/kernel/random/boot_id").trim());
	if (folder === undefined || boot === undefined) return undefined;
	const { path, modifiedMs, size, accel, uid } = key;
	const hash = createHash("sha256").update(JSON.stringify([boot, path, modifiedMs, size, accel, uid]));
	return { folder, file: join(folder, `runsc-${hash.digest("hex").slice(0, 32)}.json`) };
}

/** What was remembered for this binary, platform and user in this boot, if nobody else can have written it. */
export function recall(key: ProbeKey, fs: CacheFs = nodeCacheFs): Runsc | undefined {
	const at = place(key, fs);
	if (at === undefined || !isOurs(fs, at.folder, key.uid) || !isOurs(fs, at.file, key.uid)) return undefined;
	return attempt(() => {
		const { flags, ...rest } = JSON.parse(fs.readFile(at.file)) as Omit<Runsc["abilities"], "flags"> & {
			flags: string[];
		};
		return { path: key.path, abilities: { ...rest, flags: new Set(flags) } };
	});
}

/** A cache that cannot be written is no error. */
export function remember(key: ProbeKey, { abilities }: Runsc, fs: CacheFs = nodeCacheFs): void {
	const at = place(key, fs);
	if (at === undefined) return;
	attempt(() => {
		fs.makeFolder(at.folder);
		if (!isOurs(fs, at.folder, key.uid)) return;
		fs.replaceFile(at.file, `${JSON.stringify({ ...abilities, flags: [...abilities.flags] })}\n`);
	});
}
