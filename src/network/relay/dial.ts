/** Connecting to the first of several addresses that answers (RFC 8305, without its sorting by past success). */

import { connect, isIPv6, type Socket } from "node:net";

export type Connect = (address: string, port: number) => Socket;

/** Milliseconds before the next address is tried beside the last, and before all are given up. */
const NEXT_AFTER_MS = 250;
const GIVE_UP_AFTER_MS = 15_000;

export const connectDirectly: Connect = (address, port) =>
	connect({ host: address, port, allowHalfOpen: true, noDelay: true });

/** IPv6 and IPv4 in turns, IPv6 first. */
export function interleave(addresses: readonly string[]): readonly string[] {
	const six = addresses.filter((address) => isIPv6(address));
	const four = addresses.filter((address) => !isIPv6(address));
	return Array.from({ length: Math.max(six.length, four.length) }, (_, i) => [six[i], four[i]])
		.flat()
		.filter((address) => address !== undefined);
}

/**
 * The connected socket that came first; all others are destroyed. It reads nothing before a "data" listener is there.
 *
 * @param signal gives up
 * @throws the last error of connect(2), ETIMEDOUT or the signal's reason
 */
export function dialFirst(
	addresses: readonly string[],
	port: number,
	connectTo: Connect,
	signal: AbortSignal,
): Promise<Socket> {
	const waiting = [...addresses];
	const trying = new Set<Socket>();
	return new Promise((resolve, reject) => {
		let next: NodeJS.Timeout | undefined;
		const giveUp = setTimeout(() => settle(undefined, new Error("no address answered: ETIMEDOUT")), GIVE_UP_AFTER_MS);
		const aborted = () => settle(undefined, signal.reason);
		signal.addEventListener("abort", aborted, { once: true });

		function settle(winner: Socket | undefined, error?: unknown): void {
			clearTimeout(next);
			clearTimeout(giveUp);
			signal.removeEventListener("abort", aborted);
			waiting.length = 0;
			for (const socket of trying) if (socket !== winner) socket.destroy();
			trying.clear();
			if (winner === undefined) reject(error);
			else resolve(winner);
		}

		function tryNext(): void {
			clearTimeout(next);
			const address = waiting.shift();
			if (address === undefined) return;
			const socket = connectTo(address, port);
			trying.add(socket);
			socket.once("connect", () => {
				socket.removeAllListeners("error");
				// Whoever gets the socket listens for itself; until then an error must not be unhandled.
				socket.on("error", () => undefined);
				settle(socket);
			});
			socket.once("error", (error) => {
				if (!trying.delete(socket)) return;
				if (waiting.length > 0) tryNext();
				else if (trying.size === 0) settle(undefined, error);
			});
			socket.once("close", () => trying.delete(socket));
			next = setTimeout(tryNext, NEXT_AFTER_MS);
		}

		if (signal.aborted) settle(undefined, signal.reason);
		else if (waiting.length === 0) settle(undefined, new Error("no address"));
		else tryNext();
	});
}
