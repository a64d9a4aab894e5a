/** Pipes between the commands of one request. */

import { closeSync } from "node:fs";
import { Socket } from "node:net";
import { loadAddon } from "../executor/addon.ts";
import type { Taken } from "../jail/stdio.ts";
import type { Pipe } from "./jobs.ts";

export interface OpenPipe {
	/** For the command that writes. */
	readonly writeEnd: Taken;
	/** For the command that reads. */
	readonly readEnd: Taken;
	/** What has passed, as far as it was to be kept; resolves when everything has. */
	readonly copied: Promise<Buffer | undefined>;
	/** To be called where the commands are not run. */
	discard(): void;
}

function ends(readEnd: number, writeEnd: number, copied: OpenPipe["copied"]): OpenPipe {
	return {
		readEnd: { take: readEnd },
		writeEnd: { take: writeEnd },
		copied,
		discard() {
			closeSync(readEnd);
			closeSync(writeEnd);
		},
	};
}

/** The first bytes of a stream. */
class Head {
	readonly #chunks: Buffer[] = [];
	#left: number;

	constructor(max: number) {
		this.#left = max;
	}

	add(chunk: Buffer): void {
		if (this.#left <= 0) return;
		this.#chunks.push(chunk.subarray(0, this.#left));
		this.#left -= chunk.length;
	}

	bytes(): Buffer {
		return Buffer.concat(this.#chunks);
	}
}

/** Passes on what the writer writes; when the reader has gone, it goes nowhere, and the writer is not disturbed. */
function proxy({ copy }: Pipe): OpenPipe {
	const { pipe } = loadAddon();
	const [fromWriter, writeEnd] = pipe();
	const [readEnd, toReader] = pipe();
	const head = copy === undefined ? undefined : new Head(copy.max);
	const source = new Socket({ fd: fromWriter, readable: true, writable: false });
	const sink = new Socket({ fd: toReader, readable: false, writable: true });
	sink.on("error", () => {
		sink.destroy();
		source.resume();
	});
	source.on("data", (chunk: Buffer) => {
		head?.add(chunk);
		if (sink.destroyed || sink.write(chunk)) return;
		source.pause();
		sink.once("drain", () => source.resume());
	});
	const copied = new Promise<Buffer | undefined>((resolve) => {
		source.on("error", () => source.destroy());
		source.on("close", () => {
			sink.end();
			resolve(head?.bytes());
		});
	});
	return ends(readEnd, writeEnd, copied);
}

export function openPipe(wanted: Pipe): OpenPipe {
	if (wanted.proxy) return proxy(wanted);
	const [readEnd, writeEnd] = loadAddon().pipe();
	return ends(readEnd, writeEnd, Promise.resolve(undefined));
}
