import { VmjailError } from "../errors.ts";

/**
 * Where this process is, an absolute path.
 *
 * @throws VmjailError PATH_INVALID where that folder has been removed
 */
export function workingFolder(): string {
	try {
		return process.cwd();
	} catch (cause) {
		throw new VmjailError("PATH_INVALID", "the working directory does not exist any more", {
			remedy: "Go to a folder that exists (cd), and try again.",
			cause,
		});
	}
}
