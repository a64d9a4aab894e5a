/** The private folder of one run: bundle, state and logs of a runtime. */

import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
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
	/** Where a supervisor writes why it failed; may not exist. */
	readonly report: string;
	remove(): void;
}

/** Makes the folder, mode 0700, below `parent` (default: the folder for temporary files). */
export function makeRunDir(parent: string = tmpdir()): RunDir {
	const path = mkdtempSync(join(parent, "vmjail-run-"));
	const dir: RunDir = {
		path,
		id: randomBytes(16).toString("hex"),
		bundle: join(path, "bundle"),
		state: join(path, "state"),
		root: join(path, "root"),
		emptyFile: join(path, "empty"),
		report: join(path, "report"),
		remove: () => rmSync(path, { recursive: true, force: true }),
	};
	try {
		for (const folder of [dir.bundle, dir.state, dir.root]) mkdirSync(folder, { mode: 0o700 });
		writeFileSync(dir.emptyFile, "");
		chmodSync(dir.emptyFile, 0o444);
	} catch (cause) {
		dir.remove();
		throw cause;
	}
	return dir;
}
