/** A file system of another host: paths to contents. Folders on the way are there by themselves. */

import type { FileStat, HostFs } from "../../src/host/fs.ts";

export type Entry =
	| string
	| {
			readonly link?: string;
			readonly device?: readonly [number, number];
			readonly folder?: true;
			readonly uid?: number;
			readonly gid?: number;
			readonly mode?: number;
	  };

export interface FakeOptions {
	/** Path, or beginning of paths ending in "/", to the error of a write. */
	readonly refuses?: Readonly<Record<string, string>>;
	/** Path to the error of any other call. */
	readonly fails?: Readonly<Record<string, string>>;
}

function failure(code: string, path: string): Error {
	return Object.assign(new Error(`${code}: ${path}`), { code });
}

export function fakeFs(files: Readonly<Record<string, Entry>>, options: FakeOptions = {}): HostFs {
	const { refuses = {}, fails = {} } = options;
	const isFolder = (path: string): boolean =>
		path === "/" || Object.keys(files).some((file) => file.startsWith(`${path}/`));
	const check = (path: string): void => {
		const code = fails[path];
		if (code !== undefined) throw failure(code, path);
	};
	const lstat = (path: string): FileStat | undefined => {
		check(path);
		const entry = files[path];
		if (entry === undefined && !isFolder(path)) return undefined;
		const about = typeof entry === "object" ? entry : {};
		const folder = isFolder(path) || about.folder === true;
		const kind =
			about.link !== undefined ? "link" : about.device !== undefined ? "char" : folder ? "directory" : "file";
		const [major = 0, minor = 0] = about.device ?? [];
		return { kind, uid: about.uid ?? 0, gid: about.gid ?? 0, mode: about.mode ?? 0o755, major, minor, modifiedMs: 0 };
	};
	return {
		lstat,
		readFile: (path) => {
			check(path);
			const entry = files[path];
			if (typeof entry !== "string") throw failure("ENOENT", path);
			return entry;
		},
		readDirectory: (path) => {
			check(path);
			if (!isFolder(path)) throw failure("ENOENT", path);
			const below = Object.keys(files).filter((file) => file.startsWith(`${path}/`));
			return [...new Set(below.map((file) => file.slice(path.length + 1).split("/")[0] ?? ""))];
		},
		readLink: (path) => {
			const entry = files[path];
			if (typeof entry !== "object" || entry.link === undefined) throw failure("EINVAL", path);
			return entry.link;
		},
		whyNotWritable: (path) => {
			const rule = Object.keys(refuses).find(
				(one) => path === one || (one.endsWith("/") && `${path}/`.startsWith(one)),
			);
			if (rule !== undefined) return refuses[rule];
			return lstat(path) === undefined ? "ENOENT" : undefined;
		},
	};
}
