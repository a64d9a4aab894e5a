/** One working directory belongs to the whole process: whoever needs another waits for its turn. */

import { VmjailError } from "../../errors.ts";

const last: { work: Promise<unknown> } = { work: Promise.resolve() };

function enter(folder: string): void {
	try {
		process.chdir(folder);
	} catch (cause) {
		const { code } = cause as NodeJS.ErrnoException;
		throw new VmjailError("PATH_INVALID", `the working directory ${folder} cannot be entered: ${code}`, {
			remedy: "Go to a folder that you may enter.",
			cause,
		});
	}
}

/**
 * Runs the work in a folder, entered with this process's rights: those of the caller. The work looks at its working
 * directory before it resolves, and not after.
 *
 * @throws VmjailError PATH_INVALID where the folder cannot be entered
 */
export function inFolder<T>(folder: string, work: () => Promise<T>): Promise<T> {
	const turn = last.work.then(async () => {
		enter(folder);
		try {
			return await work();
		} finally {
			process.chdir("/");
		}
	});
	last.work = turn.catch(() => undefined);
	return turn;
}
