/**
 * The privileged part: accepts connections, asks the kernel whose they are, and hands each, unread, to a worker that has become
 * that user. It opens no file, reads no request and runs no jail for anybody.
 */

import { type ChildProcess, fork } from "node:child_process";
import { createServer, type Server, type Socket } from "node:net";
import type { Logger } from "pino";
import { newGroupId, ownGroupOwner } from "../../cgroup/id.ts";
import { sweepStale } from "../../cgroup/sweep.ts";
import { loadAddon } from "../../executor/addon.ts";
import { probeHost } from "../../host/probe.ts";
import { admit, type Caller, Refusal } from "./admit.ts";
import { CallerGroup, type GroupLimits } from "./caller-group.ts";
import { idleOf, type StartMessage, type ToWorker, WORKER_COMMAND } from "./messages.ts";

export interface BrokerOptions {
	readonly start: Omit<StartMessage, "kind" | "caller" | "doors">;
	readonly limits: GroupLimits;
	/** Callers at once; each has a worker, a Node process. */
	readonly mostCallers: number;
	readonly log: Logger;
}

/** Connections that a worker has not yet taken over: more than this, and it is not well. */
const MOST_UNTAKEN = 256;

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

interface Worker {
	readonly process: ChildProcess;
	readonly ended: Promise<void>;
	sent: number;
	untaken: number;
}

function keyOf({ uid, gid, groups }: Caller): string {
	return `${uid}:${gid}:${groups.join()}`;
}

/** Node does not document the descriptor of a socket; without it nobody is let in. */
function descriptorOf(socket: Socket): number {
	const { fd } = (socket as unknown as { readonly _handle?: { readonly fd?: unknown } })._handle ?? {};
	if (typeof fd === "number" && fd >= 0) return fd;
	throw new Refusal("this Node does not show the descriptor of a connection");
}

/** How long somebody who is not let in may take to read why, and how many at a time. */
const PARTING_MS = 1_000;
const MOST_PARTING = 64;

/**
 * An answer to somebody who is not let in, in HTTP, since all of them speak it. The client closes: a connection that is
 * closed from here before the client has looked at it is one that could not be made, to some.
 */
function turnAway(socket: Socket, why: string, parting: Set<Socket>): void {
	const body = `${JSON.stringify({ error: why, code: "FORBIDDEN" })}\n`;
	if (parting.size >= MOST_PARTING) {
		socket.destroy();
		return;
	}
	parting.add(socket);
	const timer = setTimeout(() => socket.destroy(), PARTING_MS);
	socket.on("close", () => {
		clearTimeout(timer);
		parting.delete(socket);
	});
	socket.on("error", () => {});
	socket.on("end", () => socket.destroySoon());
	socket.write(
		`HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
	);
	socket.resume();
}

export class Broker {
	readonly server: Server;
	readonly #options: BrokerOptions;
	readonly #host = probeHost();
	readonly #owner = ownGroupOwner();
	readonly #workers = new Map<string, Worker>();
	/** Those that were told to end, too. */
	readonly #living = new Set<Worker>();
	readonly #parting = new Set<Socket>();

	constructor(options: BrokerOptions) {
		this.#options = options;
		sweepStale(this.#host.cgroup);
		loadAddon().closeAllOnExec(); // what root's shell had open is not for the callers' workers
		// Not a byte is read here: what is read by this process is lost to the worker.
		this.server = createServer({ pauseOnConnect: true }, (socket) => this.#connected(socket));
	}

	#connected(socket: Socket): void {
		const { log } = this.#options;
		socket.on("error", (error) => log.debug({ err: error }, "connection"));
		try {
			const caller = admit(descriptorOf(socket));
			const worker = this.#workerFor(caller);
			if (worker.untaken >= MOST_UNTAKEN) throw new Refusal("too many connections wait for this caller's worker");
			worker.sent++;
			worker.untaken++;
			const message: ToWorker = { kind: "connection" };
			worker.process.send(message, socket, {}, (error) => {
				worker.untaken--;
				if (error !== null) socket.destroy();
			});
		} catch (error) {
			if (!(error instanceof Refusal)) log.error({ err: error }, "connection refused");
			else log.warn({ why: error.message }, "connection refused");
			turnAway(
				socket,
				error instanceof Refusal ? error.message : "the broker cannot serve this caller; its log says why",
				this.#parting,
			);
		}
	}

	#workerFor(caller: Caller): Worker {
		const key = keyOf(caller);
		const known = this.#workers.get(key);
		if (known?.process.connected === true) return known;
		if (this.#living.size >= this.#options.mostCallers) throw new Refusal("too many callers at once");
		const worker = this.#start(caller);
		this.#workers.set(key, worker);
		worker.process.on("message", (message) => this.#idle(key, worker, message));
		worker.process.on("disconnect", () => this.#forget(key, worker));
		return worker;
	}

	#start(caller: Caller): Worker {
		const { start, limits, log } = this.#options;
		const { uid } = caller;
		const group = CallerGroup.make(this.#host.cgroup, newGroupId(this.#owner), caller, limits);
		const child = fork(process.argv[1] ?? "", [WORKER_COMMAND], {
			cwd: "/",
			// io_uring would keep root's credentials (setuid does not reach the kernel's own threads).
			env: { PATH, UV_USE_IO_URING: "0" },
			execArgv: [],
			stdio: ["ignore", "ignore", "inherit", "ipc"],
			detached: true, // a session of its own: neither our terminal's signals nor the terminal itself
		});
		const message: ToWorker = { kind: "start", caller, doors: group.doors, ...start };
		child.send(message);
		log.info({ uid, worker: child.pid }, "worker started");
		const ended = new Promise<void>((resolve) => {
			const end = async (code: number | null, signal: NodeJS.Signals | null): Promise<void> => {
				const left = await group.remove();
				if (left.length > 0) log.error({ uid, left }, "groups that could not be removed");
				log.info({ uid, worker: child.pid, code, signal }, "worker ended");
				resolve();
			};
			// Not "close": Node does not tell of it where it was the broker that disconnected.
			child.once("exit", (code, signal) => void end(code, signal));
			child.on("error", (error) => {
				log.error({ err: error, uid }, "worker");
				if (child.pid === undefined) void end(null, null); // it was not even started
			});
		});
		const worker: Worker = { process: child, ended, sent: 0, untaken: 0 };
		this.#living.add(worker);
		void ended.then(() => this.#living.delete(worker));
		return worker;
	}

	/** A connection may be on its way while the worker says that it has none. */
	#idle(key: string, worker: Worker, message: unknown): void {
		const idle = idleOf(message);
		if (idle === undefined || idle.connections !== worker.sent) return;
		this.#forget(key, worker);
		if (worker.process.connected) worker.process.disconnect();
	}

	#forget(key: string, worker: Worker): void {
		if (this.#workers.get(key) === worker) this.#workers.delete(key);
	}

	/** Takes no more connections; the workers finish what they have. */
	async drain(): Promise<void> {
		this.server.close();
		const message: ToWorker = { kind: "drain" };
		for (const { process: child } of this.#living) if (child.connected) child.send(message);
		await Promise.all([...this.#living].map(({ ended }) => ended));
	}

	/** Ends the workers now; their jails end with them. */
	kill(): void {
		for (const { process: child } of this.#living) child.kill("SIGKILL");
	}
}
