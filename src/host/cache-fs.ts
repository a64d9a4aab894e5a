/** The real file system, with what a cache writes. */

import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { nodeFs } from "./fs.ts";
import type { CacheFs } from "./probe-cache.ts";

export const nodeCacheFs: CacheFs = {
	...nodeFs,
	makeFolder: (path) => {
		mkdirSync(path, { recursive: true, mode: 0o700 });
	},
	replaceFile: (path, content) => {
		const draft = `${path}.${process.pid}`;
		writeFileSync(draft, content, { mode: 0o600, flag: "wx" });
		renameSync(draft, path);
	},
	remove: (path) => rmSync(path, { force: true }),
};
