/** What planning asked of the host, and whether the answers are the same still. */

import type { Addon } from "../executor/addon.ts";
import { type FileStat, type HostFs, nodeFs } from "../host/fs.ts";

type Env = Readonly<Record<string, string>>;
type FileAnswer = FileStat | undefined;

/** As native/addon/look.c numbers them; 0: there is nothing. */
const KINDS = ["directory", "link", "char", "block", "fifo", "socket", "file"] as const;

const ANSWER_SIZE = 28;

/**
 * Listens while a plan is made. Planning is a pure function of the policy and of these answers, so equal answers give the
 * same plan: no list of what it depends on has to be kept in step with it.
 */
export class Answers {
	/** To be asked in the place of the file system and of the environment. */
	readonly fs: HostFs;
	readonly env: Env;
	readonly #addon: Pick<Addon, "look">;
	readonly #variables = new Map<string, string | undefined>();
	readonly #files = new Map<string, FileAnswer>();
	readonly #links = new Map<string, string>();
	/** Something was asked that cannot be asked again by {@link areStill}. */
	#unsure = false;
	#paths: Uint8Array | undefined;
	#expected: Uint8Array | undefined;

	constructor(addon: Pick<Addon, "look">, env: Env, fs: HostFs = nodeFs) {
		this.#addon = addon;
		this.env = new Proxy(env, {
			get: (target, name: string) => {
				this.#variables.set(name, target[name]);
				return target[name];
			},
			has: (target, name) => this.#never(() => Reflect.has(target, name)),
			ownKeys: (target) => this.#never(() => Reflect.ownKeys(target)),
		});
		this.fs = {
			lstat: (path) => this.#sure(() => remember(this.#files, path, fs.lstat(path))),
			readLink: (path) => this.#sure(() => remember(this.#links, path, fs.readLink(path))),
			readFile: (path) => this.#never(() => fs.readFile(path)),
			readDirectory: (path) => this.#never(() => fs.readDirectory(path)),
			whyNotWritable: (path) => this.#never(() => fs.whyNotWritable(path)),
		};
	}

	#sure<T>(ask: () => T): T {
		try {
			return ask();
		} catch (error) {
			this.#unsure = true;
			throw error;
		}
	}

	#never<T>(ask: () => T): T {
		this.#unsure = true;
		return ask();
	}

	/** Would everything be answered in the same way now? */
	areStill(env: Env): boolean {
		if (this.#unsure) return false;
		for (const [name, value] of this.#variables) if (env[name] !== value) return false;
		if (this.#files.size === 0) return true;
		this.#paths ??= Buffer.from([...this.#files.keys()].map((path) => `${path}\0`).join(""));
		this.#expected ??= this.#encoded();
		return Buffer.compare(this.#addon.look(this.#paths), this.#expected) === 0;
	}

	#encoded(): Uint8Array {
		const answers = [...this.#files].map(([path, stat]) => encodeAnswer(stat, this.#links.get(path) ?? ""));
		return Buffer.concat(answers);
	}
}

function remember<T>(map: Map<string, T>, path: string, answer: T): T {
	map.set(path, answer);
	return answer;
}

function encodeAnswer(stat: FileAnswer, target: string): Uint8Array {
	const text = Buffer.from(target);
	const bytes = Buffer.alloc(ANSWER_SIZE + ((text.length + 3) & ~3));
	if (stat === undefined) return bytes;
	const { kind, mode, uid, gid, major, minor } = stat;
	const numbers = [KINDS.indexOf(kind) + 1, mode, uid, gid, major, minor, text.length];
	for (const [i, number] of numbers.entries()) bytes.writeUInt32LE(number, i * 4);
	bytes.set(text, ANSWER_SIZE);
	return bytes;
}
