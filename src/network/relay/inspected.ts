/** The client's direction of a connection whose rule is for names. */

import type { Socket } from "node:net";
import type { NameRule } from "../../policy/types.ts";
import type { DenialReason } from "../events.ts";
import type { TokenBucket } from "./bucket.ts";
import { type Inspection, Inspector } from "./inspector.ts";
import { pump, ready } from "./pump.ts";

export interface InspectedOptions {
	readonly rules: readonly NameRule[];
	readonly bucket: TokenBucket | undefined;
	/** Milliseconds in which begun bytes must be understood. */
	readonly timeoutMs: number;
	/** Called once; afterwards nothing more is passed on. */
	readonly refused: (reason: DenialReason, detail?: string) => void;
}

/** The server's first bytes that decide an upgrade: "HTTP/1.1 101". */
const STATUS_BYTES = 12;

/** Like `pump(client, server)`, but passes on only what the rules allow. */
export function pumpInspected(client: Socket, server: Socket, options: InspectedOptions): void {
	const inspector = new Inspector(options.rules);
	let timer: NodeJS.Timeout | undefined;
	let over = false;

	client.on("data", onData);
	client.once("end", onEnd);
	client.once("close", () => clearTimeout(timer));
	watchAnswer(server, (first) => act(inspector.answered(first)));

	function onData(chunk: Buffer): void {
		const wait = options.bucket?.take(chunk.length) ?? 0;
		const room = act(inspector.push(chunk));
		if (over || (room && wait === 0)) return;
		client.pause();
		void ready(server, room, wait).then(() => client.resume());
	}

	function onEnd(): void {
		act(inspector.end());
		if (!server.writableEnded) server.end();
	}

	/** True where the server can take more. */
	function act({ forward, refusal, done }: Inspection): boolean {
		if (over) return true;
		const room = forward.reduce((all, bytes) => server.write(bytes) && all, true);
		if (refusal !== undefined) refuse(refusal.reason, refusal.detail);
		else if (done) handOver();
		else watchTime();
		return room;
	}

	function watchTime(): void {
		if (inspector.held === 0) {
			clearTimeout(timer);
			timer = undefined;
		} else
			timer ??= setTimeout(
				() => refuse("malformed", "the client began a request and did not go on"),
				options.timeoutMs,
			);
	}

	function refuse(reason: DenialReason, detail: string | undefined): void {
		stop();
		options.refused(reason, detail);
	}

	function handOver(): void {
		stop();
		if (!client.readableEnded) pump(client, server, options.bucket);
	}

	function stop(): void {
		over = true;
		clearTimeout(timer);
		client.off("data", onData);
		client.off("end", onEnd);
	}
}

/** Hears the first bytes of the server without taking them from whoever else listens. */
function watchAnswer(server: Socket, heard: (first: Uint8Array) => void): void {
	let first = Buffer.alloc(0);
	const onData = (chunk: Buffer) => {
		first = Buffer.concat([first, chunk.subarray(0, STATUS_BYTES)]);
		if (first.length < STATUS_BYTES) return;
		server.off("data", onData);
		heard(first);
	};
	server.on("data", onData);
}
