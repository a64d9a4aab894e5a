/** A broker's worker: becomes its caller, then serves the connections that it is handed. */

import { writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Logger } from "pino";
import { VmjailError } from "../../errors.ts";
import { Jail } from "../../jail/jail.ts";
import { closeSession } from "../../jail/session.ts";
import { loadPolicy } from "../../policy/load.ts";
import type { Policy } from "../../policy/types.ts";
import { guardOf } from "../auth.ts";
import { logOf } from "../log.ts";
import type { RunRequest } from "../schema.ts";
import type { OwnPolicy, Service } from "../service.ts";
import { type Serving, servingOf } from "../serving.ts";
import { headOf } from "../socket.ts";
import { narrowed } from "./ceiling.ts";
import { become } from "./drop.ts";
import { serveExec } from "./exec.ts";
import { EXEC_PATH, PROTOCOL } from "./frames.ts";
import { inFolder } from "./in-folder.ts";
import type { IdleMessage, StartMessage, ToWorker } from "./messages.ts";

/** A worker without work ends after this. */
const IDLE_MS = 30_000;

/** Limits first, as root; then root's rights go. */
function enter({ doors, caller }: StartMessage): void {
	for (const door of doors) writeFileSync(door, String(process.pid), { flag: "r+" });
	become(caller);
}

/** A jail for each command: opened in the caller's folder, which a relative policy may mean. */
async function openOwn(request: RunRequest, size: number, ceiling: Policy): Promise<OwnPolicy> {
	const cwd = request.cwd ?? "/";
	const loaded = loadPolicy({ text: JSON.stringify(request.policy), source: "policy", cwd });
	const policy = narrowed(loaded, ceiling);
	const opened: Jail[] = [];
	const close = async () => {
		await Promise.all(opened.map((jail) => jail.close()));
	};
	try {
		for (let i = 0; i < size; i++) opened.push(await inFolder(cwd, () => Jail.open(policy)));
	} catch (error) {
		await close();
		throw error;
	}
	const free = [...opened];
	return {
		policy,
		exec(command, options) {
			const jail = free.pop();
			if (jail === undefined) throw new RangeError("more commands than jails");
			return jail.exec(command, options);
		},
		close,
	};
}

function isExec({ url, headers }: IncomingMessage): boolean {
	return url === EXEC_PATH && headers.upgrade?.toLowerCase() === PROTOCOL;
}

class Worker {
	readonly #serving: Serving;
	#connections = 0;
	#open = 0;
	#idleTimer: NodeJS.Timeout | undefined;

	constructor(message: StartMessage, log: Logger) {
		const { settings, version } = message;
		const ceiling = loadPolicy(message.ceiling);
		const policy = narrowed(loadPolicy(message.policy), ceiling);
		this.#serving = servingOf({
			settings,
			policy,
			log,
			version,
			openOwn: (request, size) => openOwn(request, size, ceiling),
			upgrade: (service) => (request, socket, head) => this.#upgrade(service, ceiling, request, socket, head),
		});
		this.#idle();
	}

	#upgrade(service: Service, ceiling: Policy, request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
		if (!isExec(request)) return false;
		guardOf(undefined, false)(headOf(request));
		serveExec(socket, head, { service, ceiling, inFolder });
		return true;
	}

	connected(socket: Socket | undefined): void {
		this.#connections++;
		if (socket === undefined) return; // it was closed on its way
		this.#open++;
		clearTimeout(this.#idleTimer);
		socket.once("close", () => {
			this.#open--;
			this.#idle();
		});
		this.#serving.server.emit("connection", socket);
		socket.resume();
	}

	/** Stored files keep their worker: their ids would be worth nothing in the next. */
	#idle(): void {
		clearTimeout(this.#idleTimer);
		this.#idleTimer = setTimeout(() => {
			const message: IdleMessage = { kind: "idle", connections: this.#connections };
			if (this.#open > 0) return;
			if (this.#serving.service.store.count === 0) process.send?.(message);
			this.#idle();
		}, IDLE_MS);
	}

	async drain(): Promise<void> {
		clearTimeout(this.#idleTimer);
		await this.#serving.drain();
		await this.#serving.close();
		await closeSession();
	}
}

/**
 * Serves until the broker has gone or says so. Ends the process.
 *
 * @returns never before that; the exit status
 */
export function work(): Promise<number> {
	const at: { worker?: Worker } = {};
	return new Promise((resolve) => {
		// Without the broker there is nobody to answer for: the kernel ends the jails with this process.
		process.on("disconnect", () => process.exit(0));
		process.on("message", (message: ToWorker, handle: unknown) => {
			try {
				if (message.kind === "start") {
					enter(message);
					const log = logOf(message.settings.logLevel, { role: "worker", uid: message.caller.uid });
					at.worker = new Worker(message, log);
				} else if (message.kind === "connection") at.worker?.connected(handle as Socket | undefined);
				else void at.worker?.drain().then(() => resolve(0));
			} catch (error) {
				logOf("error", { role: "worker" }).error({ err: error }, "cannot serve");
				process.exit(error instanceof VmjailError ? 125 : 1);
			}
		});
	});
}
