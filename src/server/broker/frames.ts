/** What passes between `vmjail --broker` and its worker, once their connection is theirs: type, length, bytes. */

export const FRAME = {
	/** To the worker: JSON, first of all. */
	request: 1,
	input: 2,
	inputEnd: 3,
	/** One byte: the signal's number. */
	signal: 4,
	cancel: 5,
	/** From the worker. */
	stdout: 16,
	stderr: 17,
	/** JSON: runtime and what is missing; the program runs. */
	started: 18,
	/** JSON: a refusal that the program met. */
	denial: 19,
	/** JSON: an outcome, or an error; the last frame. */
	end: 20,
} as const;

export type FrameType = (typeof FRAME)[keyof typeof FRAME];

const HEAD = 5;
/** Policies have at most 1 MiB, arguments and environment of a program about 2. */
const MOST_BYTES = 8 * 1024 * 1024;

export function frame(type: FrameType, payload: Uint8Array = new Uint8Array()): Buffer {
	const head = Buffer.alloc(HEAD);
	head.writeUInt8(type, 0);
	head.writeUInt32BE(payload.length, 1);
	return Buffer.concat([head, payload]);
}

export function jsonFrame(type: FrameType, value: unknown): Buffer {
	return frame(type, Buffer.from(JSON.stringify(value)));
}

/** Cuts a stream of bytes into frames. */
export class FrameReader {
	#buffered: Buffer[] = [];
	#size = 0;
	readonly #onFrame: (type: number, payload: Buffer) => void;

	constructor(onFrame: (type: number, payload: Buffer) => void) {
		this.#onFrame = onFrame;
	}

	/** @throws RangeError for a frame that is too long: the connection is to be ended */
	push(chunk: Buffer): void {
		this.#buffered.push(chunk);
		this.#size += chunk.length;
		while (this.#size >= HEAD) {
			const all = this.#buffered.length === 1 ? (this.#buffered[0] as Buffer) : Buffer.concat(this.#buffered);
			this.#buffered = [all];
			const length = all.readUInt32BE(1);
			if (length > MOST_BYTES) throw new RangeError(`a frame of ${length} bytes`);
			if (all.length < HEAD + length) return;
			this.#buffered = [all.subarray(HEAD + length)];
			this.#size -= HEAD + length;
			this.#onFrame(all.readUInt8(0), all.subarray(HEAD, HEAD + length));
		}
	}
}

/** What `vmjail --broker` sends first. */
export interface ExecRequest {
	readonly command: readonly string[];
	/** As for `loadPolicy`, which checks it. */
	readonly text?: string;
	readonly source?: string;
	readonly flags: Readonly<Record<string, readonly string[]>>;
	readonly home?: string;
	/** The caller's working directory and environment. */
	readonly cwd: string;
	readonly env: Readonly<Record<string, string>>;
}

/** The name of the protocol, in the header "Upgrade". */
export const PROTOCOL = "vmjail-exec";
export const EXEC_PATH = "/exec";
