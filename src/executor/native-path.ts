/** Where the build put the native files, seen from this file in the sources as well as in a bundle. */

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { VmjailError } from "../errors.ts";

/** @throws VmjailError EXECUTOR_FAILED where the file is not built. */
export function nativePath(name: "vmjail-executor" | "addon.node"): string {
	for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
		const file = join(folder, "build", name);
		if (existsSync(file)) return file;
		if (folder === "/") break;
	}
	throw new VmjailError("EXECUTOR_FAILED", `${name} is not built`, {
		remedy: "Run `npm run build` in vmjail's folder.",
	});
}
