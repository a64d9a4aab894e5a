/** What the server does for a request, whichever way it came in. */

import type { Logger } from "pino";
import type { Policy } from "../policy/types.ts";
import type { Encoding } from "./answer.ts";
import type { FileStore } from "./file-store.ts";
import { jobsOf } from "./jobs.ts";
import type { Metrics } from "./metrics.ts";
import { HttpProblem } from "./problem.ts";
import type { Queue } from "./queue.ts";
import type { Executes, Runner } from "./runner.ts";
import type { RunRequest } from "./schema.ts";
import type { Result } from "./status.ts";

/** Files that come out of a jail, where the request names no maximum, in bytes. */
const COPY_OUT_MAX = 64 * 1024 * 1024;
/** What a proxy keeps of a pipe, where the request names no maximum, in bytes. */
const PIPE_COPY_MAX = 1024 * 1024;

/** Jails of a policy that a request brought itself. */
export interface OwnPolicy extends Executes {
	readonly policy: Policy;
	close(): Promise<void>;
}

export interface ServiceOptions {
	readonly policy: Policy;
	readonly pool: Executes;
	readonly runner: Runner;
	readonly queue: Queue;
	readonly store: FileStore;
	readonly metrics: Metrics;
	readonly log: Logger;
	/**
	 * Jails for the policy of a request; absent: requests may not bring one, since the server would open its paths with rights
	 * of its own.
	 *
	 * @throws VmjailError for a policy that is wrong or wider than this server's
	 */
	readonly openOwn?: (request: RunRequest, size: number) => Promise<OwnPolicy>;
}

export class Service {
	readonly #options: ServiceOptions;

	constructor(options: ServiceOptions) {
		this.#options = options;
	}

	get policy(): Policy {
		return this.#options.policy;
	}

	get store(): FileStore {
		return this.#options.store;
	}

	get metrics(): Metrics {
		return this.#options.metrics;
	}

	get queue(): Queue {
		return this.#options.queue;
	}

	get log(): Logger {
		return this.#options.log;
	}

	/**
	 * Runs the commands of a request when there is room.
	 *
	 * @throws HttpProblem, and VmjailError where a policy of the request's own cannot be had
	 */
	async run(request: RunRequest, encoding: Encoding, signal: AbortSignal): Promise<readonly Result[]> {
		const { pool, queue, metrics, openOwn } = this.#options;
		const { policy } = this.#options;
		if (request.policy === undefined) {
			if (request.cwd !== undefined) refuse("cwd: goes with a policy of the request's own");
			const jobs = jobsOf(request, { policy, copyOutMaxBytes: COPY_OUT_MAX, pipeCopyMaxBytes: PIPE_COPY_MAX });
			const results = await queue.run(jobs.jobs.length, signal, () =>
				this.#options.runner.run(jobs, pool, encoding, signal),
			);
			for (const result of results) metrics.command(result);
			return results;
		}
		if (openOwn === undefined) {
			refuse("policy: this server runs everything under its own policy; a broker takes one (see docs/server.md)");
		}
		return await queue.run(request.cmd.length, signal, () => this.#runOwn(openOwn, request, encoding, signal));
	}

	async #runOwn(
		openOwn: NonNullable<ServiceOptions["openOwn"]>,
		request: RunRequest,
		encoding: Encoding,
		signal: AbortSignal,
	): Promise<readonly Result[]> {
		const own = await openOwn(request, request.cmd.length);
		try {
			const jobs = jobsOf(request, {
				policy: own.policy,
				copyOutMaxBytes: COPY_OUT_MAX,
				pipeCopyMaxBytes: PIPE_COPY_MAX,
			});
			const results = await this.#options.runner.run(jobs, own, encoding, signal);
			for (const result of results) this.metrics.command(result);
			return results;
		} finally {
			await own.close();
		}
	}
}

function refuse(message: string): never {
	throw new HttpProblem(400, "REQUEST_INVALID", message);
}
