/** The process that starts and times programs (timer.c), as an object. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** A contender that did not do what it should: says what it said on standard error. */
class SampleError extends Error {}

export class Timer {
	#process;
	#lines;
	#errors;
	#read = 0;

	/**
	 * @param {string} folder for what the programs write to standard error
	 * @param {string} program the compiled timer.c
	 * @param {readonly string[]} wrapper what starts the timer, where its programs need a host that looks different
	 */
	constructor(folder, program, wrapper = []) {
		const [command, ...args] = [...wrapper, program];
		this.#errors = join(folder, `stderr-${Math.random().toString(36).slice(2)}`);
		const errors = openSync(this.#errors, "a");
		this.#process = spawn(command, args, { stdio: ["pipe", "pipe", errors] });
		closeSync(errors);
		this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
	}

	/** What was written to standard error since the last call. */
	#newErrors() {
		const text = readFileSync(this.#errors, "utf8");
		const fresh = text.slice(this.#read).trim();
		this.#read = text.length;
		return fresh;
	}

	/**
	 * One request, one answer.
	 *
	 * @returns wall and processor time in ms
	 * @throws SampleError where the program did not end with status 0
	 */
	async measure(fields) {
		this.#process.stdin.write(`${fields.join("\t")}\n`);
		const { value, done } = await this.#lines.next();
		if (done) throw new SampleError(this.#newErrors() || "the timer ended");
		const [wall, cpu, status] = value.split(" ").map(Number);
		if (status !== 0) throw new SampleError(this.#newErrors() || `${fields[1]}: wait status ${status}`);
		return { wallMs: wall / 1e6, cpuMs: cpu / 1e3 };
	}

	async close() {
		this.#process.stdin.end();
		if (this.#process.exitCode === null && this.#process.signalCode === null) await once(this.#process, "exit");
	}
}
