/** `--result FILE` */

import { writeFileSync } from "node:fs";
import { VmjailError } from "../errors.ts";

/** @throws VmjailError USAGE where the file cannot be written */
export function writeResult(file: string | undefined, result: unknown): void {
	if (file === undefined) return;
	try {
		writeFileSync(file, `${JSON.stringify(result, undefined, 2)}\n`);
	} catch (cause) {
		throw new VmjailError("USAGE", `--result ${file}: cannot be written: ${(cause as NodeJS.ErrnoException).code}`, {
			remedy: "Name a file that you may write.",
			cause,
		});
	}
}
