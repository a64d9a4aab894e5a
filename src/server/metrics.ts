/** Figures for Prometheus. */

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { FileStore } from "./file-store.ts";
import type { Queue } from "./queue.ts";
import type { Result } from "./status.ts";

const NS_PER_S = 1e9;

/** Seconds: from a program that does nothing to one that computes for a minute. */
const TIMES = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60];
/** Bytes: 1 MiB to 4 GiB. */
const SIZES = Array.from({ length: 13 }, (_, power) => 2 ** (20 + power));

export class Metrics {
	readonly registry = new Registry();
	readonly #commands: Counter<"status">;
	readonly #requests: Counter<"path" | "code">;
	readonly #cpu: Histogram;
	readonly #wall: Histogram;
	readonly #memory: Histogram;

	constructor(queue: Queue, store: FileStore) {
		const { registry } = this;
		const registers = [registry];
		collectDefaultMetrics({ register: registry, prefix: "vmjail_" });
		this.#commands = new Counter({
			name: "vmjail_commands_total",
			help: "Commands that ended, by status",
			labelNames: ["status"],
			registers,
		});
		this.#requests = new Counter({
			name: "vmjail_http_requests_total",
			help: "Requests answered, by path and HTTP status",
			labelNames: ["path", "code"],
			registers,
		});
		const histogram = (name: string, help: string, buckets: readonly number[]) =>
			new Histogram({ name, help, buckets: [...buckets], registers });
		this.#cpu = histogram("vmjail_command_cpu_seconds", "CPU time of commands", TIMES);
		this.#wall = histogram("vmjail_command_wall_seconds", "Wall time of commands", TIMES);
		this.#memory = histogram("vmjail_command_memory_bytes", "Peak memory of commands", SIZES);
		const gauge = (name: string, help: string, read: () => number) =>
			new Gauge({
				name,
				help,
				registers,
				collect() {
					this.set(read());
				},
			});
		gauge("vmjail_commands_running", "Commands that run now", () => queue.running);
		gauge("vmjail_requests_waiting", "Requests that wait for room", () => queue.waiting);
		gauge("vmjail_store_bytes", "Bytes of stored files", () => store.bytes);
		gauge("vmjail_store_files", "Stored files", () => store.count);
	}

	/** One command ended. */
	command({ status, time, runTime, memory }: Result): void {
		this.#commands.inc({ status });
		this.#cpu.observe(time / NS_PER_S);
		this.#wall.observe(runTime / NS_PER_S);
		this.#memory.observe(memory);
	}

	/** @param path the route, not what the client wrote: labels must stay few */
	request(path: string, code: number): void {
		this.#requests.inc({ path, code: String(code) });
	}
}
