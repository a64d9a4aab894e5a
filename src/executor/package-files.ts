/** Files of vmjail's own package, found from this file in the sources as well as in a bundle. */

import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { VmjailError } from "../errors.ts";

/** The folder with vmjail's package.json: nothing outside it is ever loaded. */
function packageRoot(): string {
	for (let folder = import.meta.dirname; folder !== "/"; folder = dirname(folder)) {
		if (existsSync(join(folder, "package.json"))) return folder;
	}
	throw new VmjailError("EXECUTOR_FAILED", "vmjail's own files are gone", { remedy: "Install it again." });
}

/** @throws VmjailError EXECUTOR_FAILED where the file is not built. */
export function nativePath(name: "vmjail-executor" | "vmjail-confine" | "addon.node"): string {
	const file = join(packageRoot(), "build", name);
	if (existsSync(file)) return file;
	throw new VmjailError("EXECUTOR_FAILED", `${name} is not built`, {
		remedy: "Run `npm run build` in vmjail's folder.",
	});
}

/** A text file of the package, by its path there. */
export function packageText(path: string): string {
	return readFileSync(join(packageRoot(), path), "utf8");
}
