import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { removeFolder } from "../helpers/folder.ts";
import type { Scratch } from "./runtime.ts";

/** A folder that any user may enter; not below the folder for temporary files, which some jails cover. */
export async function withScratch(caller: Scratch["caller"], use: (scratch: Scratch) => Promise<void>): Promise<void> {
	const path = mkdtempSync("/var/tmp/vmjail-conformance-");
	chmodSync(path, 0o755);
	const inside = (name: string) => join(path, name);
	const isRoot = process.getuid?.() === 0;
	/** Everything below is the caller's, folders on the way included. */
	const own = (name: string): string => {
		for (let at = inside(name); isRoot && at.length >= path.length; at = dirname(at))
			chownSync(at, caller.uid, caller.gid);
		return inside(name);
	};
	try {
		await use({
			path,
			caller,
			file(name, content = "", mode = 0o644) {
				mkdirSync(dirname(inside(name)), { recursive: true });
				writeFileSync(inside(name), content);
				chmodSync(inside(name), mode);
				return own(name);
			},
			folder(name) {
				mkdirSync(inside(name), { recursive: true });
				return own(name);
			},
			read: (name) => readFileSync(inside(name), "utf8"),
			exists: (name) => existsSync(inside(name)),
		});
	} finally {
		removeFolder(path);
	}
}
