/** What the broker and its workers say to each other. */

import type { LoadOptions } from "../../policy/load.ts";
import type { ServeSettings } from "../settings.ts";
import type { Caller } from "./admit.ts";

/** How a policy is loaded, as plain data. */
export type PolicySource = Pick<LoadOptions, "source" | "preset" | "flags" | "cwd" | "home"> & {
	readonly text?: string;
};

/** To a worker that has just been started, and is still root. */
export interface StartMessage {
	readonly kind: "start";
	readonly caller: Caller;
	/** The group to enter: paths of cgroup.procs. */
	readonly doors: readonly string[];
	readonly settings: ServeSettings;
	/** For requests that bring no policy. */
	readonly policy: PolicySource;
	/** What no policy may exceed. */
	readonly ceiling: PolicySource;
	readonly version: string;
}

export type ToWorker =
	| StartMessage
	/** With a connection beside it. */
	| { readonly kind: "connection" }
	| { readonly kind: "drain" };

/** From a worker: nothing to do any more, after so many connections. */
export interface IdleMessage {
	readonly kind: "idle";
	readonly connections: number;
}

/** A worker is its caller's by now: what it says is looked at like anybody's. */
export function idleOf(message: unknown): IdleMessage | undefined {
	const { kind, connections } = (message ?? {}) as Partial<IdleMessage>;
	return kind === "idle" && Number.isSafeInteger(connections)
		? { kind, connections: connections as number }
		: undefined;
}

/** The hidden command that a worker is started by. */
export const WORKER_COMMAND = "broker-worker";
