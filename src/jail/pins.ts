/** Bytes that a jail is to get as they are now, whatever becomes of the files that they were read from. */

import { closeSync } from "node:fs";
import { loadAddon } from "../executor/addon.ts";

/** Sealed memory files; closed when the jail has them, or has ended. */
export class Pins {
	readonly #descriptors: number[] = [];

	/** Keeps the bytes; returns a path by which processes of this user, the executor for one, can open them. */
	readonly keep = (bytes: Uint8Array): string => {
		const descriptor = loadAddon().memfd(bytes);
		this.#descriptors.push(descriptor);
		return `/proc/${process.pid}/fd/${descriptor}`;
	};

	close(): void {
		for (const descriptor of this.#descriptors.splice(0)) closeSync(descriptor);
	}
}
