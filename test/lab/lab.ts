/**
 * A fake Internet on this machine, and a fake host in front of it, as two network namespaces. They have no names and are held by
 * child processes that end with their standard input: whatever becomes of the test, nothing of the lab stays. Needs root.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { build } from "esbuild";
import { removeFolder } from "../helpers/folder.ts";
import { PATIENCE } from "../helpers/patience.ts";
import { makeCertificates } from "./certificates.ts";
import type { LabEvent } from "./events.ts";
import { address, addresses, host, resolver, router, zone } from "./zone.ts";

export interface Finished {
	/** Exit status; 128 + n for signal n. */
	readonly status: number;
	readonly stdout: string;
	readonly stderr: string;
}

export interface ExecOptions {
	readonly env?: Readonly<Record<string, string>>;
	readonly cwd?: string;
	readonly input?: string;
	/** Run as this user id, without groups and capabilities. */
	readonly uid?: number;
	/** Milliseconds after which the command is killed. */
	readonly timeoutMs?: number;
}

export class Lab implements AsyncDisposable {
	/** Certificates, and room for the test's own files; everybody may read it. */
	readonly folder: string;
	/** All that the Internet and the host's own services have received so far. */
	readonly log: LabEvent[] = [];
	readonly #children: ChildProcess[] = [];
	#hostPid = 0;

	private constructor() {
		this.folder = mkdtempSync(join(tmpdir(), `vmjlab-${process.pid}-`));
		chmodSync(this.folder, 0o755);
	}

	/** @throws Error where a command fails: not root, or ip(8), openssl(1), nsenter(1) are missing */
	static async start(): Promise<Lab> {
		const lab = new Lab();
		try {
			await lab.#build();
			return lab;
		} catch (error) {
			await lab[Symbol.asyncDispose]();
			throw error;
		}
	}

	/** Runs a program on the lab's host and waits for its end. */
	async hostExec(command: readonly string[], options: ExecOptions = {}): Promise<Finished> {
		const user =
			options.uid === undefined
				? []
				: ["--reuid", `${options.uid}`, "--regid", `${options.uid}`, "--clear-groups", "--no-new-privs"];
		return await run([...this.#enterHost(user, options.cwd), ...command], {
			...options,
			env: { ...this.env, ...options.env },
		});
	}

	/** Like `hostExec`, for a program that goes on running; killed with the lab. */
	hostSpawn(command: readonly string[], stdio: "inherit" | "pipe" = "pipe"): ChildProcess {
		const [program = "", ...args] = [...this.#enterHost(), ...command];
		return this.#keep(spawn(program, args, { stdio, env: { ...process.env, ...this.env } }));
	}

	/** What makes curl and wget trust the lab's certificates. */
	get env(): Readonly<Record<string, string>> {
		const authority = join(this.folder, "ca.pem");
		return { SSL_CERT_FILE: authority, CURL_CA_BUNDLE: authority, WGETRC: join(this.folder, "wgetrc") };
	}

	/** What was received since `mark` (an earlier `log.length`), after what is under way has had time to arrive. */
	async since(mark: number): Promise<readonly LabEvent[]> {
		await delay(50);
		return this.log.slice(mark);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		for (const child of this.#children.splice(0).reverse()) {
			if (child.exitCode !== null || child.signalCode !== null) continue;
			const gone = once(child, "exit");
			child.stdin?.end();
			child.kill("SIGKILL");
			await gone;
		}
		removeFolder(this.folder);
	}

	async #build(): Promise<void> {
		makeCertificates(this.folder, [...Object.keys(zone), "*.wild.test"]);
		writeFileSync(join(this.folder, "resolv.conf"), `nameserver ${resolver}\n`);
		await build({
			entryPoints: [join(import.meta.dirname, "internet.ts")],
			outfile: join(this.folder, "internet.mjs"),
			bundle: true,
			platform: "node",
			format: "esm",
			target: "node20",
			logLevel: "error",
			banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
		});
		const internetPid = await this.#namespace("true");
		this.#hostPid = await this.#namespace(
			`mount --make-rprivate / && mount --bind '${this.folder}/resolv.conf' /etc/resolv.conf`,
		);
		await this.#wire(internetPid);
		await this.#serve(internetPid, "internet");
		await this.#serve(this.#hostPid, "host");
	}

	/** A process in namespaces of its own, that waits for the end of its input, and then tidies up where the test could not. */
	async #namespace(prepare: string): Promise<number> {
		const script = `ip link set lo up && ${prepare} && echo ready && read -r _; rm -rf '${this.folder}'`;
		const child = this.#keep(
			spawn("unshare", ["--net", "--mount", "sh", "-c", script], { stdio: ["pipe", "pipe", "inherit"] }),
		);
		await firstLine(child);
		return child.pid ?? 0;
	}

	async #wire(internetPid: number): Promise<void> {
		const inInternet = [
			`link add inet0 type veth peer name host0 netns ${this.#hostPid}`,
			`addr add ${router.v4}/30 dev inet0`,
			`addr add ${router.v6}/126 dev inet0 nodad`,
			"link set inet0 up",
			...addresses.map((each) => `addr add ${each} dev lo${each.includes(":") ? " nodad" : ""}`),
		];
		const onHost = [
			`addr add ${host.v4}/30 dev host0`,
			`addr add ${host.v6}/126 dev host0 nodad`,
			"link set host0 up",
			`route add default via ${router.v4}`,
			`-6 route add default via ${router.v6}`,
		];
		const enter = (pid: number) => ["nsenter", "-t", `${pid}`, "-n"];
		for (const [pid, lines] of [
			[internetPid, inInternet],
			[this.#hostPid, onHost],
		] as const) {
			for (const line of lines) await must([...enter(pid), "ip", ...line.split(" ")]);
		}
		// Without a route there is no way; a black hole swallows.
		await must([...enter(internetPid), "ip", "-6", "route", "add", "blackhole", address.blackhole6]);
	}

	async #serve(pid: number, role: "internet" | "host"): Promise<void> {
		const args = ["-t", `${pid}`, "-n", process.execPath, join(this.folder, "internet.mjs"), role, this.folder];
		const child = this.#keep(spawn("nsenter", args, { stdio: ["pipe", "pipe", "inherit"] }));
		const lines = createInterface({ input: child.stdout ?? process.stdin });
		await new Promise<void>((resolve, reject) => {
			lines.on("line", (line) => {
				const event = JSON.parse(line) as LabEvent;
				if (event.kind === "ready") resolve();
				else this.log.push(event);
			});
			child.once("exit", () => reject(new Error(`the lab's ${role} did not start`)));
		});
	}

	/** What runs there ends with this process, and with it all that it has started: it has a namespace of processes of its own. */
	#enterHost(user: readonly string[] = [], cwd = process.cwd()): readonly string[] {
		const enter = ["nsenter", "-t", `${this.#hostPid}`, "-n", "-m"];
		const dieWithParent = ["setpriv", "--pdeathsig", "KILL"];
		const pidNamespace = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", `--wd=${cwd}`];
		// Again at the end: a change of the user id clears the signal.
		return [...enter, ...dieWithParent, ...pidNamespace, ...dieWithParent, ...user, "--"];
	}

	#keep(child: ChildProcess): ChildProcess {
		child.stdin?.on("error", () => undefined);
		this.#children.push(child);
		return child;
	}
}

async function firstLine(child: ChildProcess): Promise<void> {
	const failed = once(child, "exit").then(() =>
		Promise.reject(new Error("a namespace of the lab could not be made (root?)")),
	);
	await Promise.race([child.stdout === null ? failed : once(child.stdout, "data"), failed]);
	failed.catch(() => undefined);
}

async function must(command: readonly string[]): Promise<void> {
	const { status, stderr } = await run(command, {});
	if (status !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
}

async function run(command: readonly string[], options: ExecOptions): Promise<Finished> {
	const [program = "", ...args] = command;
	const child = spawn(program, args, {
		stdio: ["pipe", "pipe", "pipe"],
		env: { ...process.env, ...options.env },
		...(options.cwd === undefined ? {} : { cwd: options.cwd }),
		timeout: (options.timeoutMs ?? 60_000) * PATIENCE,
		killSignal: "SIGKILL",
	});
	child.stdin.on("error", () => undefined);
	child.stdin.end(options.input ?? "");
	let stdout = "";
	let stderr = "";
	child.stdout.setEncoding("utf8").on("data", (text: string) => {
		stdout += text;
	});
	child.stderr.setEncoding("utf8").on("data", (text: string) => {
		stderr += text;
	});
	const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
	return { status: code ?? (signal === "SIGKILL" ? 137 : 143), stdout, stderr };
}
