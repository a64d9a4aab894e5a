/** The executor's peer as nobody should be: sends whatever bytes and descriptors a test wants. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, readdirSync, readFileSync } from "node:fs";
import { type Addon, loadAddon, type WatchControl } from "../../src/executor/addon.ts";
import { encodeHalves, encodePlan, encodeWorkload } from "../../src/executor/encode.ts";
import { decodeFrame, encodeFrame, type FrameHeader } from "../../src/executor/frames.ts";
import { nativePath } from "../../src/executor/package-files.ts";
import { FRAME } from "../../src/executor/wire.ts";
import { CLONE_NEW } from "../../src/plan/constants.ts";
import { cstring, stringArray } from "../../src/plan/steps.ts";
import type { Plan, Step, Workload } from "../../src/plan/types.ts";

export const TOKEN = new Uint8Array(16).fill(42);

const ARCH = process.arch === "arm64" ? "aarch64" : "x86_64";

/** A jail that is nothing but namespaces. */
const PLAN: Plan = {
	cloneFlags: CLONE_NEW.user | CLONE_NEW.pid,
	before: [],
	parent: [],
	child: [],
	account: [],
	cleanup: [],
	keep: [],
};

function workload(...argv: readonly string[]): Workload {
	const [program = ""] = argv;
	return {
		cloneFlags: 0n,
		before: [],
		parent: [],
		child: [
			{ label: "stdout", call: "dup3", args: [{ slot: "stdout" }, 1, 0] },
			{ label: "exec", call: "execve", args: [cstring(program), stringArray(argv, "argv"), stringArray([], "envp")] },
		],
	};
}

/** The same jail, made ahead of its use; what finishes it does what `steps` say. */
function halves(...steps: readonly Step[]) {
	const session: Step = { label: "start a session", call: "setsid", args: [] };
	const plan: Plan = { ...PLAN, child: [session, ...steps], ahead: 1 };
	return encodeHalves(plan, encodePlan(plan, ARCH), ARCH);
}
const named = halves({ label: "make a mask", call: "umask", args: [0o77] });
export const UNFINISHED = named.ahead.bytes;
export const REST = named.rest.bytes;
/** Its second step goes to a folder that there is not. */
export const FAILING_REST = halves(
	{ label: "make a mask", call: "umask", args: [0o77] },
	{ label: "go nowhere", call: "chdir", args: [cstring("/does/not/exist")] },
).rest.bytes;
/** A jail that differs from that one, and workloads of it, as frames have them. */
export function jailOf(change: Partial<Plan>) {
	const plan = { ...PLAN, ...change };
	const encoded = encodePlan(plan, ARCH);
	return {
		launch: encoded.bytes,
		exec: (argv: readonly string[], more: Partial<Workload> = {}): Uint8Array =>
			encodeWorkload({ ...workload(...argv), ...more }, encoded, plan, ARCH).bytes,
	};
}

const { launch, exec } = jailOf({});
export const LAUNCH = launch;
export const EXIT_7 = exec(["/bin/sh", "-c", "exit 7"]);
/** 7 where the jail is finished. */
export const EXIT_BY_MASK = exec(["/bin/sh", "-c", "test $(umask) = 0077 && exit 7"]);
export const SLEEP = exec(["/bin/sleep", "1000"]);

/** A sound header where nothing else is asked for. */
export function frame(header: Partial<FrameHeader>, payload: Uint8Array = new Uint8Array()): Uint8Array {
	return encodeFrame({ type: FRAME.launch, sequence: 1, jail: 1, token: TOKEN, descriptors: 0, ...header }, payload);
}

/** One socket: what arrived, and whether the peer is gone. */
export class Socket {
	readonly types: number[] = [];
	readonly payloads: Uint8Array[] = [];
	readonly #addon: Addon;
	readonly #socket: number;
	readonly #control: WatchControl;
	#waiting: (() => void)[] = [];
	#gone = false;
	#closed = false;

	constructor(addon: Addon, socket: number) {
		this.#addon = addon;
		this.#socket = socket;
		this.#control = addon.watch(socket, (message, descriptors) => {
			for (const descriptor of descriptors) closeSync(descriptor);
			const got = message === null ? undefined : decodeFrame(message);
			if (got === undefined) this.#gone = true;
			else {
				this.types.push(got.header.type);
				this.payloads.push(Uint8Array.from(got.payload));
			}
			for (const wake of this.#waiting.splice(0)) wake();
		});
	}

	/** False where the peer is gone. */
	send(message: Uint8Array, descriptors: readonly number[] = []): boolean {
		try {
			return this.#addon.send(this.#socket, message, descriptors);
		} catch {
			return false;
		}
	}

	/** Until a frame of this type came: its payload. Undefined where the peer left without one. */
	async frame(type: number): Promise<Uint8Array | undefined> {
		while (!this.types.includes(type) && !this.#gone) await new Promise<void>((wake) => this.#waiting.push(wake));
		const at = this.types.indexOf(type);
		return at < 0 ? undefined : this.payloads[at];
	}

	async gone(): Promise<void> {
		while (!this.#gone) await new Promise<void>((wake) => this.#waiting.push(wake));
	}

	close(): void {
		if (!this.#closed) this.#control("close");
		this.#closed = true;
	}
}

/** An executor with which a test may do what it wants. */
export class Executor {
	readonly addon: Addon = loadAddon();
	readonly socket: Socket;
	readonly #process: ChildProcess;
	readonly #exited: Promise<unknown>;
	readonly #sockets: Socket[] = [];

	constructor() {
		const [here, there] = this.addon.socketpair();
		this.#process = spawn(nativePath("vmjail-executor"), ["serve", "3"], {
			stdio: ["ignore", "ignore", "ignore", there],
		});
		closeSync(there);
		this.#exited = once(this.#process, "exit");
		this.socket = new Socket(this.addon, here);
	}

	get pid(): number {
		return this.#process.pid ?? -1;
	}

	/** Launches a sound jail; returns the other end of its control socket. */
	launch(sequence: number, program: Uint8Array = LAUNCH): Socket {
		const [here, there] = this.addon.socketpair();
		this.socket.send(frame({ sequence, jail: sequence, descriptors: 1 }, program), [there]);
		closeSync(there);
		const socket = new Socket(this.addon, here);
		this.#sockets.push(socket);
		return socket;
	}

	/** Exit status, once it has ended by itself or by {@link Executor.close}. */
	async ended(): Promise<number | null> {
		await this.#exited;
		return this.#process.exitCode;
	}

	async close(): Promise<void> {
		this.socket.close();
		for (const socket of this.#sockets) socket.close();
		await this.#exited;
	}
}

/** The name of the process that waits for a jail's next program. */
export const WAITING = "vmjail-waiting";

/** Empty where there is none any more. */
export function nameOf(pid: number): string {
	try {
		return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
	} catch {
		return "";
	}
}

/** Processes whose parent is `pid`. */
export function childrenOf(pid: number): readonly number[] {
	const parentOf = (child: string): number => {
		try {
			const stat = readFileSync(`/proc/${child}/stat`, "utf8");
			return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
		} catch {
			return -1;
		}
	};
	return readdirSync("/proc")
		.filter((name) => /^\d+$/.test(name) && parentOf(name) === pid)
		.map(Number);
}
