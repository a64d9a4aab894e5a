/** A request's body as text, from Node's own stream: a Request of the web's kind around it costs a tenth of a millisecond. */

import type { IncomingMessage } from "node:http";
import { HttpProblem } from "./problem.ts";

/** What is refused unread is let run out for so long, in milliseconds. */
const DRAIN_MS = 5_000;

/**
 * Clients send their whole request before they look for an answer: closed meanwhile, they would see a broken connection and not
 * why. Nothing is kept of it.
 */
export function drained(incoming: IncomingMessage): Promise<void> {
	// Without a length the limit was found while reading: somebody else has the stream.
	if (incoming.headers["content-length"] === undefined || incoming.complete) return Promise.resolve();
	return new Promise((resolve) => {
		const timer = setTimeout(resolve, DRAIN_MS);
		const done = () => {
			clearTimeout(timer);
			resolve();
		};
		incoming.once("end", done).once("close", done).resume();
	});
}

export function tooLarge(maxBytes: number): HttpProblem {
	return new HttpProblem(413, "TOO_LARGE", `a request has at most ${maxBytes} bytes (--max-body)`);
}

/**
 * @param maxBytes of the body; a longer one is read no further
 * @throws HttpProblem 413; 400 where the client leaves before its end
 */
export async function bodyText(incoming: IncomingMessage, maxBytes: number): Promise<string> {
	if (Number(incoming.headers["content-length"] ?? 0) > maxBytes) {
		await drained(incoming);
		throw tooLarge(maxBytes);
	}
	return new TextDecoder().decode(await readUpTo(incoming, maxBytes));
}

function readUpTo(incoming: IncomingMessage, maxBytes: number): Promise<Buffer> {
	const chunks: Buffer[] = [];
	let size = 0;
	return new Promise((resolve, reject) => {
		const cut = () => reject(new HttpProblem(400, "REQUEST_SYNTAX", "the request ended before its end"));
		if (incoming.destroyed) cut();
		incoming.on("data", (chunk: Buffer) => {
			size += chunk.length;
			if (size <= maxBytes) {
				chunks.push(chunk);
				return;
			}
			// The answer closes the connection; what still comes until then is not kept.
			chunks.length = 0;
			reject(tooLarge(maxBytes));
		});
		incoming.on("end", () => resolve(Buffer.concat(chunks)));
		incoming.on("error", cut).on("close", cut);
	});
}
