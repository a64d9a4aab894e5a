/** The native addon (native/addon): descriptors over sockets, and nothing else. */

import { createRequire } from "node:module";
import { nativePath } from "./native-path.ts";

export interface Addon {
	/** Two ends of a SOCK_SEQPACKET pair, close-on-exec. */
	socketpair(): [number, number];
	/** Read end and write end of a pipe, close-on-exec. */
	pipe(): [number, number];
	/** A memfd with these bytes, sealed against every change. */
	memfd(bytes: Uint8Array): number;
	/** Sends one message with descriptors; false where the socket is full. Throws an Error with `code` otherwise. */
	send(socket: number, message: Uint8Array, descriptors: readonly number[]): boolean;
	/** Calls back for each message that arrives, with null when the peer is gone. Owns the socket until "close". */
	watch(socket: number, callback: (message: Buffer | null, descriptors: number[]) => void): WatchControl;
}

/** After "close" it must not be called again. */
export type WatchControl = (action: "close" | "ref" | "unref") => void;

/** @throws Error where the addon is not built. */
export function loadAddon(): Addon {
	return createRequire(import.meta.url)(nativePath("addon.node")) as Addon;
}
