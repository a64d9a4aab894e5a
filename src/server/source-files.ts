/** Files of the server's own that a request may name: below folders that were listed at the start, and nowhere else. */

import { closeSync, constants, fstatSync, openSync, readlinkSync, realpathSync } from "node:fs";
import { isAbsolute } from "node:path";
import { VmjailError } from "../errors.ts";
import { HttpProblem } from "./problem.ts";

/** O_NONBLOCK: a FIFO must not hold the server up. */
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

function isBelow(path: string, folder: string): boolean {
	return path.startsWith(folder === "/" ? "/" : `${folder}/`);
}

export class SourceFiles {
	readonly #prefixes: readonly string[];

	/** @throws VmjailError USAGE for a prefix that is no folder */
	constructor(prefixes: readonly string[]) {
		this.#prefixes = prefixes.map((prefix) => {
			try {
				if (!isAbsolute(prefix)) throw new TypeError("not absolute");
				return realpathSync(prefix);
			} catch (cause) {
				throw new VmjailError("USAGE", `--file-prefix ${prefix}: not a folder that can be looked up`, {
					remedy: "Name an absolute path of a folder that exists.",
					cause,
				});
			}
		});
	}

	get prefixes(): readonly string[] {
		return this.#prefixes;
	}

	/**
	 * Opens a regular file. What was opened is looked at, not what the path named before: links cannot lead outside.
	 *
	 * @throws HttpProblem 400
	 */
	open(path: string, where: string): number {
		const refuse = (why: string) => new HttpProblem(400, "SOURCE_REFUSED", `${where}: ${JSON.stringify(path)} ${why}`);
		if (this.#prefixes.length === 0) {
			throw refuse("cannot be read: this server was started without --file-prefix");
		}
		const outside = "is not below any --file-prefix of this server";
		// Looked at before it is opened, too: opening a device can do something.
		const real = this.#attempt(() => realpathSync(path));
		if (!isAbsolute(path) || real === undefined || !this.#covers(real)) throw refuse(outside);
		const descriptor = this.#attempt(() => openSync(real, FLAGS));
		if (descriptor === undefined) throw refuse("cannot be opened");
		try {
			if (!this.#covers(readlinkSync(`/proc/self/fd/${descriptor}`))) throw refuse(outside);
			if (!fstatSync(descriptor).isFile()) throw refuse("is no regular file");
			return descriptor;
		} catch (error) {
			closeSync(descriptor);
			throw error;
		}
	}

	#covers(path: string): boolean {
		return this.#prefixes.some((prefix) => isBelow(path, prefix));
	}

	#attempt<T>(read: () => T): T | undefined {
		try {
			return read();
		} catch {
			return undefined;
		}
	}
}
