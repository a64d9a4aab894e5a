/** The programs of one jail as the executor takes them: many runs differ in their input only. */

import { type EncodedProgram, encodeWorkload } from "../executor/encode.ts";
import { MAX_FRAME, SIZE } from "../executor/wire.ts";
import type { Workload } from "../plan/types.ts";
import type { Program, Reusable } from "./reusable.ts";

export interface Prepared {
	readonly workload: Workload;
	readonly encoded: EncodedProgram;
}

/** What is remembered: so many, and none with a longer key. */
const MOST = 64;
const LONGEST_KEY = 8192;

function isShort({ command, env = {} }: Program): boolean {
	const texts = [...command, ...Object.keys(env), ...Object.values(env)];
	return texts.length < 256 && texts.reduce((sum, one) => sum + one.length, 0) < LONGEST_KEY / 2;
}

/**
 * Surely the same, seen at a glance: what may be changed in place (an environment, limits of its own, a terminal) is not.
 * Limits of the policy's are one object, which nobody changes.
 */
function isSame(last: Program, { command, cwd, env, limits, terminal }: Program): boolean {
	if (last.limits !== limits || last.cwd !== cwd || last.command.length !== command.length) return false;
	if (env !== undefined || last.env !== undefined || terminal !== undefined || last.terminal !== undefined)
		return false;
	return command.every((part, i) => part === last.command[i]);
}

/** Nothing of it depends on the state of the host: the paths that a program names are looked up by its own process. */
export class Programs {
	readonly #remembered = new Map<string, Prepared>();
	/** With a copy of its command: the caller may change the array. */
	#last: { readonly program: Program; readonly prepared: Prepared } | undefined;
	readonly #reusable: Reusable;
	readonly #jail: EncodedProgram;

	constructor(reusable: Reusable, jail: EncodedProgram) {
		this.#reusable = reusable;
		this.#jail = jail;
	}

	/** @throws VmjailError USAGE for arguments that no exec(2) takes */
	prepare(program: Program): Prepared {
		const last = this.#last;
		if (last !== undefined && isSame(last.program, program)) return last.prepared;
		if (!isShort(program)) return this.#make(program);
		const { command, cwd, env, limits, terminal } = program;
		const size = terminal === undefined ? undefined : [terminal.size, terminal.streams];
		const key = JSON.stringify([command, cwd, env, limits, size]);
		const prepared = this.#remembered.get(key) ?? this.#make(program);
		this.#remembered.delete(key);
		this.#remembered.set(key, prepared);
		const [oldest] = this.#remembered.keys();
		if (this.#remembered.size > MOST && oldest !== undefined) this.#remembered.delete(oldest);
		this.#last = { program: { ...program, command: [...command] }, prepared };
		return prepared;
	}

	/** What does not fit into one message takes the longer way, in a process of its own. */
	#make(program: Program): Prepared {
		const waiting = this.#encode(program, true);
		const large = waiting.encoded.bytes.length > MAX_FRAME - SIZE.frameHeader;
		return large && waiting.workload.waits ? this.#encode(program, false) : waiting;
	}

	#encode(program: Program, mayWait: boolean): Prepared {
		const workload = this.#reusable.program(program, mayWait);
		const { plan, facts } = this.#reusable;
		return { workload, encoded: encodeWorkload(workload, this.#jail, plan, facts.arch) };
	}
}
