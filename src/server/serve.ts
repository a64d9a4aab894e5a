/** `vmjail serve`: from settings and a policy to a server that runs until it is told to end. */

import { VmjailError } from "../errors.ts";
import { closeSession } from "../jail/session.ts";
import { loadPolicy } from "../policy/load.ts";
import type { Policy } from "../policy/types.ts";
import { listenOn } from "./bind.ts";
import { Broker } from "./broker/broker.ts";
import type { GroupLimits } from "./broker/caller-group.ts";
import type { PolicySource } from "./broker/messages.ts";
import { refuseOpenDoor } from "./listen.ts";
import { logOf } from "./log.ts";
import { servingOf, tokenOf } from "./serving.ts";
import type { ServeSettings } from "./settings.ts";

export interface ServeOptions {
	readonly settings: ServeSettings;
	readonly policy: PolicySource;
	/** Did the caller name a policy at all? */
	readonly isPolicyGiven: boolean;
	readonly version: string;
}

const OWNER_ONLY = 0o600;
const EVERYBODY = 0o666;

/** Programs of strangers do not run as root, not even as one without capabilities: root owns the host's files. */
const NOBODY = { uid: 65_534, gid: 65_534 };

/** A broker's, where its administrator names none: no masks, since callers show their own files as they like. */
const DEFAULT_CEILING: PolicySource = {
	source: "the broker's default policy",
	cwd: "/",
	text: JSON.stringify({
		system: {
			memory: { max: "4GiB" },
			pids: { max: 1024 },
			optional: ["memory", "swap", "cpu", "cpuset", "pids", "io"],
		},
		security: { network: { mode: "none" } },
	}),
};

/** Beyond what its jails get, a caller's worker has this for itself: Node, and what it holds of requests. In bytes. */
const WORKER_BYTES = 1024 * 1024 * 1024;
const WORKER_TASKS = 128;
const MOST_CALLERS = 64;

/** Resolves at the first SIGTERM or SIGINT; at the second, `hurry` is called. */
function toldToEnd(hurry: () => void): Promise<NodeJS.Signals> {
	return new Promise((resolve) => {
		const times = { told: 0 };
		for (const signal of ["SIGTERM", "SIGINT"] as const) {
			process.on(signal, () => {
				if (times.told++ === 0) resolve(signal);
				else hurry();
			});
		}
	});
}

function withoutRoot(policy: Policy): Policy {
	if (process.getuid?.() !== 0 || policy.system.user !== undefined) return policy;
	return { ...policy, system: { ...policy.system, user: NOBODY } };
}

/** All of a caller's jails at once, and its worker. */
function limitsOf({ system }: Policy, settings: ServeSettings): GroupLimits {
	const { maxBytes } = system.memory;
	const { max } = system.pids;
	return {
		...(maxBytes === undefined
			? {}
			: { memoryBytes: maxBytes * settings.parallelism + settings.storeMaxBytes + WORKER_BYTES }),
		...(max === undefined ? {} : { pids: max * settings.parallelism + WORKER_TASKS }),
	};
}

/** As root on a unix socket: the callers' jails are their own. */
async function serveBroker({ settings, policy, isPolicyGiven, version }: ServeOptions): Promise<number> {
	const log = logOf(settings.logLevel, { role: "broker" });
	const ceiling = isPolicyGiven ? policy : DEFAULT_CEILING;
	const loaded = loadPolicy(ceiling);
	if (settings.tokenFile !== undefined) {
		throw new VmjailError("USAGE", "--token-file: a broker's callers are known by the kernel, not by a token", {
			remedy: "Leave it out; --socket-mode says who may connect.",
		});
	}
	if (loaded.system.user !== undefined) {
		throw new VmjailError("USAGE", "system.user: a broker runs each jail as its caller", {
			remedy: "Take system.user out of the policy.",
		});
	}
	const start = { settings, policy: isPolicyGiven ? policy : { preset: "judge" as const, cwd: "/" }, ceiling, version };
	loadPolicy(start.policy);
	const broker = new Broker({ start, limits: limitsOf(loaded, settings), mostCallers: MOST_CALLERS, log });
	const told = toldToEnd(() => broker.kill());
	const address = await listenOn(broker.server, settings.address, settings.socketMode ?? EVERYBODY);
	log.info({ address }, "listening; jails run as their callers");
	log.info({ signal: await told }, "shutting down");
	await broker.drain();
	log.info("ended");
	return 0;
}

async function serveAlone({ settings, policy, version }: ServeOptions): Promise<number> {
	const log = logOf(settings.logLevel);
	const token = tokenOf(settings);
	refuseOpenDoor(settings.address, token !== undefined);
	const serving = servingOf({
		settings,
		policy: withoutRoot(loadPolicy(policy)),
		log,
		version,
		...(token === undefined ? {} : { token }),
	});
	await serving.warm();
	// The kernel ends every jail with this process, and the executor clears away what they leave.
	const told = toldToEnd(() => process.exit(1));
	const address = await listenOn(serving.server, settings.address, settings.socketMode ?? OWNER_ONLY);
	log.info({ address, parallelism: settings.parallelism }, "listening");
	log.info({ signal: await told }, "shutting down");
	await serving.drain();
	await serving.close();
	await closeSession();
	log.info("ended");
	return 0;
}

/**
 * Serves until SIGTERM or SIGINT; a second one ends it at once.
 *
 * @returns the exit status
 * @throws VmjailError before anything listens, where a setting or the policy cannot be had
 */
export function serve(options: ServeOptions): Promise<number> {
	const isBroker = options.settings.address.kind === "unix" && process.getuid?.() === 0;
	return isBroker ? serveBroker(options) : serveAlone(options);
}
