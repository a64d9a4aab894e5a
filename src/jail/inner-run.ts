/** One program by vmjail's own pid 1 inside another runtime's jail, in two conversations: with that pid 1, and with the one around. */

import { closeSync } from "node:fs";
import { loadAddon } from "../executor/addon.ts";
import { encodePlan, encodeWorkload } from "../executor/encode.ts";
import { openInnerJail } from "../executor/inner-jail.ts";
import type { ExecReply, ExecRequest, JailProcess } from "../executor/jail-process.ts";
import type { Architecture } from "../host/types.ts";
import type { Launch, Plan, Workload } from "../plan/types.ts";

export class InnerRun {
	readonly #arch: Architecture;
	readonly #plan: Plan;
	readonly #workload: Workload;
	#process: JailProcess | undefined;
	#replied = false;

	constructor(plan: Plan, workload: Workload, arch: Architecture) {
		this.#plan = plan;
		this.#workload = workload;
		this.#arch = arch;
	}

	get plans(): { readonly plan: Plan; readonly workload: Workload } {
		return { plan: this.#plan, workload: this.#workload };
	}

	/** Did the program's own pid 1 say how it ended? */
	get replied(): boolean {
		return this.#replied;
	}

	/** What a failure that {@link exec} resolves to is about. */
	launchOf(reply: Extract<ExecReply, { kind: "failed" }>): Launch {
		return reply.of === "jail" ? this.#plan : this.#workload;
	}

	/**
	 * Starts the runtime by the jail around, and the program by pid 1 inside, which has the runtime's standard streams.
	 * The program's end, as far as pid 1 could tell; else the runtime's.
	 */
	async exec(outer: JailProcess, request: ExecRequest): Promise<ExecReply> {
		const { control, executor, ended } = this.#startOr(() => outer.close(), request);
		const around = outer.exec({ ...request, descriptors: [...request.descriptors, control, executor] });
		for (const descriptor of [control, executor]) closeSync(descriptor);
		void outer.end.then(() => this.#process?.ended(undefined));
		const [inside, outside] = await Promise.all([ended, around]);
		if (inside.kind === "lost") return outside;
		this.#replied = true;
		if (inside.kind === "failed" || outside.kind !== "exited") return inside;
		const { status, cause } = inside.exit;
		// A limit that the jail around enforced came first, whatever the program made of it.
		const first = outside.exit.cause === "none" ? cause : outside.exit.cause;
		return { kind: "exited", exit: { ...outside.exit, status, cause: first } };
	}

	/** What cannot be started must not keep the jail around waiting. */
	#startOr(giveUp: () => void, request: ExecRequest) {
		try {
			return this.#start(request);
		} catch (error) {
			giveUp();
			throw error;
		}
	}

	#start(request: ExecRequest) {
		const plan = encodePlan(this.#plan, this.#arch);
		const program = encodeWorkload(this.#workload, plan, this.#plan, this.#arch);
		const { process, descriptors } = openInnerJail(plan);
		this.#process = process;
		// Every workload is sent three streams; this one inherits pid 1's.
		const pipe = loadAddon().pipe();
		const [unused] = pipe;
		const { onDenied } = request;
		const ended = process.exec({
			...{ program, last: true, descriptors: [unused, unused, unused], close: pipe },
			...(onDenied === undefined ? {} : { onDenied }),
		});
		return { ...descriptors, ended };
	}

	signal(number: number): void {
		this.#process?.signal(number);
	}
}
