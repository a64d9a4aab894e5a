/** Pipes between the commands of one request. */

import { closeSync } from "node:fs";
import { Socket } from "node:net";
import { loadAddon } from "../executor/addon.ts";
import type { Pipe } from "./jobs.ts";

export interface OpenPipe {
	/** For the command that writes. */
	readonly writeEnd: number;
	/** For the command that reads. */
	readonly readEnd: number;
	/** To be called when the writer has ended: the reader then sees the end. */
	writerEnded(): void;
	/** To be called when the reader has ended: the writer then gets SIGPIPE, or nobody listens where a proxy is in between. */
	readerEnded(): void;
	/** What has passed, as far as it was to be kept; resolves when everything has. */
	readonly copied: Promise<Buffer | undefined>;
}

function once(close: number): () => void {
	const open = [close];
	return () => {
		for (const descriptor of open.splice(0)) closeSync(descriptor);
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
	return { writeEnd, readEnd, writerEnded: once(writeEnd), readerEnded: once(readEnd), copied };
}

export function openPipe(wanted: Pipe): OpenPipe {
	if (wanted.proxy) return proxy(wanted);
	const [readEnd, writeEnd] = loadAddon().pipe();
	return {
		writeEnd,
		readEnd,
		writerEnded: once(writeEnd),
		readerEnded: once(readEnd),
		copied: Promise.resolve(undefined),
	};
}
