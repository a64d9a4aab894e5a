/** A terminal that a test types into and looks at, by tmux(1). */

import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { isInitsZombie } from "../helpers/clean.ts";
import { PATIENCE } from "../helpers/patience.ts";
import { PATH, type Place } from "./caller.ts";

const PATIENCE_MS = 8_000 * PATIENCE;

/** Longer than a busy machine takes for an echo. */
const AGAIN_MS = 2000;

export class Terminal {
	readonly #place: Place;
	/** A server of its own: the one before may still be about to end. */
	readonly #socket: string;

	/** Starts a shell with the prompt "outer> " in a terminal of 80 columns and 24 rows. */
	constructor(place: Place) {
		this.#place = place;
		this.#socket = join(place.work, `tmux-${randomUUID()}`);
		place.write("tmux.conf", "set -g status off\nset -g default-terminal screen\n");
		place.write("rc", "PS1='outer> '\n");
		this.#tmux("-f", join(place.work, "tmux.conf"), "new-session", "-d", "-x", "80", "-y", "24", "bash --rcfile rc");
	}

	#tmux(...args: readonly string[]): string {
		const { folder, home, work, caller } = this.#place;
		const [program = "", ...rest] = [...caller.prefix, "tmux", "-S", this.#socket, ...args];
		const env = { PATH, HOME: home, LANG: "C.UTF-8", SHELL: "/bin/bash", TMUX_TMPDIR: folder };
		const { status, stdout, stderr } = spawnSync(program, rest, { cwd: work, encoding: "utf8", env });
		if (status !== 0) throw new Error(`tmux ${args.join(" ")}: ${stderr}`);
		return stdout;
	}

	/** Types a line. */
	type(line: string): void {
		this.#tmux("send-keys", "-l", line);
		this.#tmux("send-keys", "Enter");
	}

	/** Presses a key by tmux's name: "C-z". */
	press(key: string): void {
		this.#tmux("send-keys", key);
	}

	/** Empties the screen, so that what is seen next is new. The foreground must be a shell. */
	async clear(): Promise<void> {
		this.type("clear");
		await this.sees(/^(outer|inner)>$/);
	}

	resize(columns: number, rows: number): void {
		this.#tmux("resize-window", "-x", String(columns), "-y", String(rows));
	}

	/** Waits until the screen matches; throws what it shows where it does not in time. */
	async sees(pattern: RegExp, withinMs = PATIENCE_MS): Promise<void> {
		const deadline = Date.now() + withinMs;
		for (;;) {
			const screen = this.#tmux("capture-pane", "-p").replace(/\n+$/, "");
			if (pattern.test(screen)) return;
			if (Date.now() > deadline) throw new Error(`the terminal does not show ${pattern}, but:\n${screen}`);
			await new Promise((resolve) => setTimeout(resolve, 30));
		}
	}

	/** Types a line to a program that is about to read, again and again: what is typed while a shell hands the terminal on is lost. */
	async typesUntil(line: string, pattern: RegExp): Promise<void> {
		const deadline = Date.now() + PATIENCE_MS;
		for (;;) {
			this.type(line);
			try {
				await this.sees(pattern, AGAIN_MS);
				return;
			} catch (error) {
				if (Date.now() > deadline) throw error;
			}
		}
	}

	/** Ends the terminal and waits until its shell has ended: a shell hung up on still writes its history. */
	async close(): Promise<void> {
		const shell = this.#tmux("list-panes", "-F", "#{pane_pid}").trim();
		this.#tmux("kill-server");
		const deadline = Date.now() + PATIENCE_MS;
		while (existsSync(`/proc/${shell}`) && !isInitsZombie(shell)) {
			if (Date.now() > deadline) throw new Error(`the terminal's shell, process ${shell}, does not end`);
			await new Promise((resolve) => setTimeout(resolve, 20));
		}
	}
}
