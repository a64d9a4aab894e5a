import { rmSync } from "node:fs";

/**
 * Removes a test's folder with all that is in it; nothing where it is missing. A process that was ended a moment ago may
 * still write there (a shell its history): rmSync's own retries would only wait for the folder to become empty, this
 * empties it again. Throws what rmSync throws after `patienceMs`.
 */
export function removeFolder(path: string, patienceMs = 5_000): void {
	const deadline = Date.now() + patienceMs;
	for (;;) {
		try {
			rmSync(path, { recursive: true, force: true });
			return;
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== "ENOTEMPTY" || Date.now() > deadline) throw error;
			Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50); // hooks that remove are not asynchronous
		}
	}
}
