/** Who is calling, and may they? */

import { closeSync, readlinkSync, statSync } from "node:fs";
import { type Addon, loadAddon } from "../../executor/addon.ts";

/** As the kernel noted it when the caller connected. */
export interface Caller {
	readonly uid: number;
	readonly gid: number;
	/** Supplementary groups, sorted. */
	readonly groups: readonly number[];
}

/** What a caller is told who is refused; also for the log. */
export class Refusal extends Error {}

/** proc(5): a caller in other namespaces of these kinds sees other files or processes than the broker. */
const NAMESPACES = ["user", "mnt", "pid"] as const;

/** What the kernel shows for an id that does not exist in this user namespace (/proc/sys/kernel/overflowuid). */
const OVERFLOW_ID = 65_534;

function viewOf(pid: number | "self"): readonly string[] {
	const root = statSync(`/proc/${pid}/root/`, { bigint: true });
	return [...NAMESPACES.map((name) => readlinkSync(`/proc/${pid}/ns/${name}`)), `root:${root.dev}:${root.ino}`];
}

/**
 * The caller at the other end of a connected unix socket.
 *
 * Refused are callers who live in a jail, a container or a chroot: the same user id, but not the rights to this machine's
 * files; the broker would let a jailed program out. The look at /proc is about the very process that connected: its pidfd
 * says afterwards that the number had not passed on to another.
 *
 * @throws Refusal
 */
export function admit(descriptor: number, addon: Pick<Addon, "peer" | "isAlive"> = loadAddon()): Caller {
	const peer = addon.peer(descriptor);
	try {
		const own = viewOf("self");
		const view = attempt(() => viewOf(peer.pid));
		if (view === undefined || !addon.isAlive(peer.pidfd)) throw new Refusal("the caller has gone");
		if (view.some((part, i) => part !== own[i])) {
			throw new Refusal("the caller is in a jail, a container or a chroot: it sees other files than the broker");
		}
		if (peer.uid === OVERFLOW_ID || peer.gid === OVERFLOW_ID)
			throw new Refusal("the caller's user does not exist here");
		return { uid: peer.uid, gid: peer.gid, groups: [...peer.groups].sort((a, b) => a - b) };
	} finally {
		closeSync(peer.pidfd);
	}
}

function attempt<T>(read: () => T): T | undefined {
	try {
		return read();
	} catch {
		return undefined;
	}
}
