/** Files into a jail and out of it. */

import path from "node:path/posix";
import { VmjailError } from "../errors.ts";
import { type Addon, loadAddon } from "../executor/addon.ts";
import type { IdMapping, Spec } from "../oci/types.ts";

/** A file or a link that a program is to find. Folders on the way are made. */
export interface CopyIn {
	/** In the jail; below the working folder where it is not absolute. */
	readonly path: string;
	/** Text (as UTF-8), bytes, or a descriptor of a file, which is read from its beginning and stays the caller's. */
	readonly content?: Uint8Array | string | { readonly descriptor: number };
	/** The target of a symbolic link, in the place of content. */
	readonly symlink?: string;
	/** Default 0o644. */
	readonly mode?: number;
}

/** A file that a program is to leave behind. */
export interface CopyOut {
	readonly path: string;
	readonly maxBytes: number;
	/** It is no error where there is none. */
	readonly optional?: boolean;
	/** A longer file is cut at `maxBytes` instead of being an error. */
	readonly truncate?: boolean;
}

export interface FileError {
	/** As the caller spelled it. */
	readonly path: string;
	readonly kind: "open" | "not-regular" | "too-large" | "create-folder" | "create-file" | "copy" | "symlink";
	readonly message: string;
}

const IN_KINDS: Readonly<Record<string, FileError["kind"]>> = {
	mkdir: "create-folder",
	open: "create-file",
	copy: "copy",
	symlink: "symlink",
};

const OUT_KINDS: Readonly<Record<string, FileError["kind"]>> = {
	open: "open",
	"not-regular": "not-regular",
	"too-large": "too-large",
	copy: "copy",
};

const WHAT: Readonly<Record<FileError["kind"], string>> = {
	open: "cannot be opened",
	"not-regular": "is no regular file",
	"too-large": "is larger than maxBytes",
	"create-folder": "a folder on the way cannot be made",
	"create-file": "cannot be made",
	copy: "cannot be copied",
	symlink: "cannot be made as a link",
};

function hostId(mappings: readonly IdMapping[] | undefined, id: number): number {
	const found = mappings?.find(({ containerID, size }) => id >= containerID && id < containerID + size);
	return found === undefined ? id : found.hostID + (id - found.containerID);
}

/** The program's ids as the host counts them. */
export function identityOf({ process, linux }: Spec): Uint32Array {
	const { uid, gid, additionalGids = [] } = process.user;
	const group = (id: number) => hostId(linux.gidMappings, id);
	return new Uint32Array([hostId(linux.uidMappings, uid), group(gid), ...additionalGids.map(group)]);
}

/**
 * The path in the jail. Dots are resolved before anything is looked up: nothing leads out of the root.
 *
 * @throws VmjailError USAGE for a path that names no file
 */
export function checkedPath(cwd: string, given: string): string {
	const whole = path.resolve(cwd, given);
	if (given === "" || given.includes("\0") || given.endsWith("/") || whole === "/") {
		throw new VmjailError("USAGE", `${JSON.stringify(given)} names no file`, { remedy: "Give the path of a file." });
	}
	return whole;
}

/** @throws VmjailError USAGE for an entry that says neither content nor link, or both, or names no file */
export function checkFiles(copyIn: readonly CopyIn[], copyOut: readonly CopyOut[], cwd: string): void {
	for (const entry of copyIn) sourceOf(entry);
	for (const { path: name } of [...copyIn, ...copyOut]) checkedPath(cwd, name);
}

/** Reads and writes in one jail, with its program's rights; entries that {@link checkFiles} found sound. */
export interface Files {
	putAll(entries: readonly CopyIn[], cwd: string): MaybePromise<readonly FileError[]>;
	takeAll(entries: readonly CopyOut[], cwd: string): MaybePromise<Taken>;
	/** Is there, in one of these places of the jail, a file that ends exactly at this size and was changed since? */
	hasFileOfSize(places: readonly string[], size: number, sinceMs: number): boolean;
}

type MaybePromise<T> = T | Promise<T>;

export interface Taken {
	readonly files: ReadonlyMap<string, Buffer>;
	readonly errors: readonly FileError[];
}

/** Below one jail's root on the host. */
export class JailFiles implements Files {
	readonly #addon: Addon = loadAddon();
	readonly #root: number;
	readonly #who: Uint32Array;

	/** @param root the jail's open root, which stays the caller's */
	constructor(root: number, who: Uint32Array) {
		this.#root = root;
		this.#who = who;
	}

	/** Of entries that {@link checkFiles} found sound. */
	putAll(entries: readonly CopyIn[], cwd: string): readonly FileError[] {
		return entries.flatMap((entry): readonly FileError[] => {
			const below = checkedPath(cwd, entry.path).slice(1);
			const { content, symlink } = sourceOf(entry);
			const put = () =>
				symlink === undefined
					? this.#addon.putFile(this.#root, below, content, entry.mode ?? 0o644, this.#who)
					: this.#addon.putLink(this.#root, below, symlink, this.#who);
			const error = faultOf(put);
			return error === undefined ? [] : [fileError(entry.path, error, IN_KINDS)];
		});
	}

	hasFileOfSize(places: readonly string[], size: number, sinceMs: number): boolean {
		return places.some((place) =>
			this.#addon.hasFileOfSize(this.#root, place.slice(1), size, sinceMs, MOST_ENTRIES, this.#who),
		);
	}

	takeAll(entries: readonly CopyOut[], cwd: string): Taken {
		const files = new Map<string, Buffer>();
		const errors = entries.flatMap(({ path: name, maxBytes, optional, truncate = false }): readonly FileError[] => {
			const below = checkedPath(cwd, name).slice(1);
			const error = faultOf(() => {
				files.set(name, this.#addon.takeFile(this.#root, below, maxBytes, truncate, this.#who));
			});
			const absent = error?.message === "open" && (error.code === "ENOENT" || error.code === "ENOTDIR");
			return error === undefined || (absent && optional === true) ? [] : [fileError(name, error, OUT_KINDS)];
		});
		return { files, errors };
	}
}

/** So many entries of folders are looked at where a program may have met its limit of file size. */
const MOST_ENTRIES = 20_000;

type Source =
	| { readonly content: Uint8Array | number; readonly symlink?: undefined }
	| { readonly content?: undefined; readonly symlink: string };

/** @throws VmjailError USAGE for an entry that says neither content nor link, or both */
export function sourceOf({ path: name, content, symlink }: CopyIn): Source {
	if ((content === undefined) === (symlink === undefined)) {
		throw new VmjailError("USAGE", `copyIn: ${name}: give content or symlink`, { remedy: "Exactly one of the two." });
	}
	if (symlink !== undefined) return { symlink };
	if (typeof content === "string") return { content: Buffer.from(content) };
	return { content: content instanceof Uint8Array ? content : (content?.descriptor ?? -1) };
}

function faultOf(action: () => void): NodeJS.ErrnoException | undefined {
	try {
		action();
		return undefined;
	} catch (error) {
		return error as NodeJS.ErrnoException;
	}
}

function fileError(
	name: string,
	{ message, code = "" }: NodeJS.ErrnoException,
	kinds: Readonly<Record<string, FileError["kind"]>>,
): FileError {
	return fileErrorOf(name, kinds[message] ?? "copy", code);
}

/** @param code of the errno */
export function fileErrorOf(name: string, kind: FileError["kind"], code: string): FileError {
	const why = kind === "not-regular" || kind === "too-large" ? "" : `: ${code}`;
	return { path: name, kind, message: `${name} ${WHAT[kind]}${why}` };
}
