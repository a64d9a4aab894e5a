/**
 * Files that outlive a request. They have no name on the host: sealed memory, or an unlinked file in a folder, so that nothing is
 * left however the server ends, and nobody can put a link in their place.
 */

import { randomBytes } from "node:crypto";
import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import { VmjailError } from "../errors.ts";
import { loadAddon } from "../executor/addon.ts";
import { HttpProblem } from "./problem.ts";

/** Each holds a descriptor. */
const MOST_FILES = 4096;

/** open(2): a file without a name; not among Node's constants. The second bit is O_DIRECTORY. */
const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY;

interface Stored {
	readonly name: string;
	readonly size: number;
	readonly descriptor: number;
}

export interface FileStoreOptions {
	/** Of all files together. */
	readonly maxBytes: number;
	/** Where they lie; absent: in memory. */
	readonly folder?: string;
}

function writeAll(descriptor: number, bytes: Uint8Array): void {
	for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done);
}

export class FileStore {
	readonly #files = new Map<string, Stored>();
	readonly #maxBytes: number;
	readonly #folder: string | undefined;
	#bytes = 0;

	/** @throws VmjailError USAGE where the folder cannot hold files without names */
	constructor({ maxBytes, folder }: FileStoreOptions) {
		this.#maxBytes = maxBytes;
		this.#folder = folder;
		if (folder !== undefined) closeSync(this.#nameless(folder));
	}

	get bytes(): number {
		return this.#bytes;
	}

	get count(): number {
		return this.#files.size;
	}

	#nameless(folder: string): number {
		try {
			return openSync(folder, O_TMPFILE | constants.O_RDWR, 0o600);
		} catch (cause) {
			const { code } = cause as NodeJS.ErrnoException;
			throw new VmjailError("USAGE", `--store ${folder}: no files can be made there (${code})`, {
				remedy: "Name a folder that you may write, on a file system with O_TMPFILE (ext4, xfs, btrfs, tmpfs).",
				cause,
			});
		}
	}

	/**
	 * @returns the file's id
	 * @throws HttpProblem 413 where the store is full, 500 where the disk is
	 */
	add(name: string, bytes: Uint8Array): string {
		if (this.#bytes + bytes.length > this.#maxBytes || this.#files.size >= MOST_FILES) {
			throw new HttpProblem(
				413,
				"STORE_FULL",
				`the store holds at most ${this.#maxBytes} bytes and ${MOST_FILES} files: delete some`,
			);
		}
		const descriptor = this.#folder === undefined ? loadAddon().memfd(bytes) : this.#write(this.#folder, bytes);
		const id = randomBytes(12).toString("base64url");
		this.#files.set(id, { name, size: bytes.length, descriptor });
		this.#bytes += bytes.length;
		return id;
	}

	#write(folder: string, bytes: Uint8Array): number {
		const descriptor = this.#nameless(folder);
		try {
			writeAll(descriptor, bytes);
			return descriptor;
		} catch (cause) {
			closeSync(descriptor);
			const { code } = cause as NodeJS.ErrnoException;
			throw new HttpProblem(500, "STORE_FAILED", `the file could not be stored: ${code ?? String(cause)}`);
		}
	}

	/** Ids and names. */
	list(): Readonly<Record<string, string>> {
		return Object.fromEntries([...this.#files].map(([id, { name }]) => [id, name]));
	}

	#get(id: string): Stored {
		const stored = this.#files.get(id);
		if (stored === undefined) throw new HttpProblem(404, "FILE_UNKNOWN", `there is no file ${JSON.stringify(id)}`);
		return stored;
	}

	has(id: string): boolean {
		return this.#files.has(id);
	}

	/** @throws HttpProblem 404 */
	read(id: string): { readonly name: string; readonly bytes: Buffer } {
		const { name, size, descriptor } = this.#get(id);
		const bytes = Buffer.alloc(size);
		for (let done = 0; done < size; ) {
			const read = readSync(descriptor, bytes, done, size - done, done);
			if (read === 0) break;
			done += read;
		}
		return { name, bytes };
	}

	/**
	 * The file opened anew, to be read from its start: readers share no position, and a deletion does not disturb them. The
	 * caller closes it.
	 *
	 * @throws HttpProblem 404
	 */
	open(id: string): number {
		return openSync(`/proc/self/fd/${this.#get(id).descriptor}`, constants.O_RDONLY);
	}

	/** @throws HttpProblem 404 */
	remove(id: string): void {
		const { size, descriptor } = this.#get(id);
		this.#files.delete(id);
		this.#bytes -= size;
		closeSync(descriptor);
	}

	close(): void {
		for (const id of [...this.#files.keys()]) this.remove(id);
	}
}
