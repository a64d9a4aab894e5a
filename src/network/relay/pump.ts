/** Copies one direction of a connection, for published ports. */

import type { Duplex } from "node:stream";

/** The jail's rate: takes bytes, at once and all of them. Milliseconds to wait before taking again: 0 while there are some left. */
export interface Rate {
	take(bytes: number): number;
}

/** Everything that `from` reads goes to `to`, then its end; a slow `to` or a rate that is used up holds `from` back. */
export function pump(from: Duplex, to: Duplex, rate: Rate): void {
	from.on("data", (chunk: Buffer) => {
		const room = to.write(chunk);
		const wait = rate.take(chunk.length);
		if (room && wait === 0) return;
		from.pause();
		void ready(to, room, wait).then(() => from.resume());
	});
	from.once("end", () => to.end());
}

/** Resolves when the stream has room and the rate allows more; or when the stream is gone, to let the end be noticed. */
async function ready(to: Duplex, room: boolean, waitMs: number): Promise<void> {
	const drained = room
		? undefined
		: new Promise<void>((resolve) => {
				to.once("drain", resolve);
				to.once("close", resolve);
			});
	await Promise.all([drained, waitMs > 0 ? new Promise((resolve) => setTimeout(resolve, waitMs)) : undefined]);
}

/**
 * Two sockets live and die together: a reset or failure of one resets the other; an orderly end of both directions ends both.
 * `closed` is called once, when both are gone.
 */
export function couple(a: Coupled, b: Coupled, closed: () => void): void {
	let open = 2;
	const watch = (one: Coupled, other: Coupled) => {
		one.on("error", () => undefined);
		one.once("close", () => {
			if (one.readableEnded && one.writableFinished) other.destroySoon();
			else reset(other);
			open--;
			if (open === 0) closed();
		});
	};
	watch(a, b);
	watch(b, a);
}

/**
 * Resets a connection. While a shutdown(2) is under way libuv refuses to (EINVAL), and Node then never closes the socket: it is
 * just closed, which the peer hears of as an end that it has been promised already.
 */
export function reset(socket: Coupled): void {
	if (socket.writableEnded && !socket.writableFinished) socket.destroy();
	else socket.resetAndDestroy();
}

/** The part of net.Socket that `couple` uses. */
export type Coupled = Duplex & { destroySoon(): void; resetAndDestroy(): unknown };
