/** The native addon (native/addon): descriptors over sockets, and nothing else. */

import { nativePath } from "./package-files.ts";

export interface Addon {
	/** Two ends of a SOCK_SEQPACKET pair, close-on-exec. */
	socketpair(): [number, number];
	/** Read end and write end of a pipe, close-on-exec. */
	pipe(): [number, number];
	/** Another descriptor of the same open file, close-on-exec. */
	duplicate(descriptor: number): number;
	/** A memfd with these bytes, sealed against every change. */
	memfd(bytes: Uint8Array): number;
	/**
	 * What lstat(2) and readlink(2) say of paths that each end with NUL, in the form of native/addon/look.c: equal answers are
	 * equal bytes. Empty where there are too many.
	 */
	look(paths: Uint8Array): Buffer;
	/**
	 * For the end of the process: terminals among its standard streams are no longer that. Node would put them back into the mode
	 * that they had at its start, whoever has them by then.
	 */
	leaveTerminals(): void;
	/** Keeps a descriptor from the programs that this process starts. */
	closeOnExec(descriptor: number): void;
	/** Ends one direction of a socket: the peer reads to its end, and is still heard. */
	finish(socket: number): void;
	/** Sends one message with descriptors; false where the socket is full. Throws an Error with `code` otherwise. */
	send(socket: number, message: Uint8Array, descriptors: readonly number[]): boolean;
	/**
	 * Owns the transparent UDP socket; calls back for each datagram with the bytes of two socket addresses: its sender's, and
	 * the destination that the sender wrote. Returns what closes the socket.
	 */
	receiveDatagrams(
		socket: number,
		callback: (payload: Buffer, source: Buffer, destination: Buffer) => void,
	): () => void;
	/** Sends a whole IP packet by a connected raw socket, never waiting; false where it could not be sent. */
	sendPacket(socket: number, packet: Uint8Array): boolean;
	/** Throws away what waits on a socket: connections that nobody has accepted, datagrams. How many that were. */
	discard(socket: number): number;
	/**
	 * sched_setaffinity(2) for each of the tasks.
	 *
	 * @returns how many of them there are still
	 * @throws Error where one may not be set
	 */
	setAffinity(tasks: Int32Array, cpus: Int32Array): number;
	/**
	 * Owns a seccomp listener (seccomp_unotify(2)); calls back for each call that waits: its id, the process as this one
	 * sees it, the number of the call and its arguments. Returns what closes the listener.
	 */
	watchNotifications(
		listener: number,
		callback: (id: bigint, pid: number, call: number, args: BigUint64Array) => void,
	): () => void;
	/** Lets a call go on (0), or has it fail with an errno. */
	answerNotification(listener: number, id: bigint, error: number): void;
	/** Up to 4096 bytes of another process's memory; undefined where it cannot be read. */
	readMemory(pid: number, address: bigint, size: number): Buffer | undefined;
	/** The TCP relay of one jail, on a thread of its own: see src/network/relay/native.ts, which knows the records. */
	startRelay(
		listeners: readonly number[],
		options: {
			readonly connections: number;
			readonly pending: number;
			readonly bytesPerSecond: number;
			readonly tellAll: boolean;
		},
		received: (records: Buffer) => void,
	): {
		post(records: Uint8Array): void;
		take(bytes: number): number;
		connections(): number;
		touched(): boolean;
		close(): Buffer;
	};
	/**
	 * Writes a file below an open root, with the given rights (uid, gid, supplementary groups) and no capability; folders on
	 * the way are made. No link is followed. Throws an Error with `code`, and as message what failed: "mkdir", "open", "copy".
	 */
	putFile(root: number, path: string, content: Uint8Array | number, mode: number, who: Uint32Array): void;
	/** The same for a symbolic link; "symlink" may fail. */
	putLink(root: number, path: string, target: string, who: Uint32Array): void;
	/**
	 * Is there, at a path below an open root or further below, a regular file of this size that was changed since? Looks at
	 * so many entries of folders at most.
	 */
	hasFileOfSize(
		root: number,
		path: string,
		size: number,
		sinceMs: number,
		maxEntries: number,
		who: Uint32Array,
	): boolean;
	/** Reads a regular file below an open root. "open", "not-regular", "too-large" or "copy" may fail. */
	takeFile(root: number, path: string, maxBytes: number, truncate: boolean, who: Uint32Array): Buffer;
	/**
	 * Who connected to the other end of a unix socket, as the kernel noted it then, and a descriptor of that process, which the
	 * caller closes. Throws an Error with `code` where the kernel does not tell.
	 */
	peer(socket: number): Peer;
	/** Is the process behind the descriptor still there? */
	isAlive(pidfd: number): boolean;
	/** Marks every descriptor beyond the standard streams as not for programs that this process starts. */
	closeAllOnExec(): void;
	/** Calls back for each message that arrives, with null when the peer is gone. Owns the socket until "close". */
	watch(socket: number, callback: (message: Buffer | null, descriptors: number[]) => void): WatchControl;
}

export interface Peer {
	readonly pid: number;
	/** Effective, when it connected. */
	readonly uid: number;
	readonly gid: number;
	/** Supplementary groups. */
	readonly groups: readonly number[];
	readonly pidfd: number;
}

/** After "close" it must not be called again. */
export type WatchControl = (action: "close" | "ref" | "unref") => void;

/** @throws Error where the addon is not built. */
export function loadAddon(): Addon {
	loaded.addon ??= load();
	return loaded.addon;
}

/** By hand, and not by `require`, which would first look the file up as a module. */
function load(): Addon {
	const module: { exports: unknown } = { exports: {} };
	process.dlopen(module, nativePath("addon.node"));
	return module.exports as Addon;
}

const loaded: { addon?: Addon } = {};
