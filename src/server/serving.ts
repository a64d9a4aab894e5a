/** The parts of a server put together, for the one process of `vmjail serve` as for each worker of a broker. */

import type { Logger } from "pino";
import { Pool } from "../jail/pool.ts";
import type { Policy } from "../policy/types.ts";
import { guardOf, readToken } from "./auth.ts";
import { FileStore } from "./file-store.ts";
import { type Front, type FrontOptions, frontOf } from "./front.ts";
import { Metrics } from "./metrics.ts";
import { Queue } from "./queue.ts";
import { Runner } from "./runner.ts";
import { Service, type ServiceOptions } from "./service.ts";
import type { ServeSettings } from "./settings.ts";
import { SourceFiles } from "./source-files.ts";

export interface ServingOptions {
	readonly settings: ServeSettings;
	/** Read before privileges are dropped, where they are. */
	readonly token?: string;
	readonly policy: Policy;
	readonly log: Logger;
	readonly version: string;
	readonly openOwn?: ServiceOptions["openOwn"];
	readonly upgrade?: (service: Service) => NonNullable<FrontOptions["upgrade"]>;
}

export interface Serving extends Front {
	readonly service: Service;
	/**
	 * Opens every jail: what the policy asks for and this host has not is found out before anybody asks.
	 *
	 * @throws VmjailError as Jail.open does
	 */
	warm(): Promise<void>;
	/** After {@link Front.drain}: jails and stored files are gone. */
	close(): Promise<void>;
}

/** Flags that clients of go-judge ask for, and what this server is told. */
function configOf({ settings, policy }: ServingOptions): Readonly<Record<string, unknown>> {
	return {
		copyOutOptional: true,
		pipeProxy: true,
		symlink: true,
		addressSpaceLimit: true,
		stream: false,
		procPeak: true,
		copyOutTruncate: true,
		base64: true,
		parallelism: settings.parallelism,
		queueLength: settings.queueLength,
		maxBodyBytes: settings.maxBodyBytes,
		storeMaxBytes: settings.storeMaxBytes,
		limits: {
			cpuLimit: (policy.system.time.cpuMs ?? 0) * 1e6,
			clockLimit: (policy.system.time.wallMs ?? 0) * 1e6,
			memoryLimit: policy.system.memory.maxBytes ?? 0,
			procLimit: policy.system.pids.max ?? 0,
		},
	};
}

/** @throws VmjailError USAGE for settings that cannot be had */
export function tokenOf({ tokenFile }: ServeSettings): string | undefined {
	return tokenFile === undefined ? undefined : readToken(tokenFile);
}

/** @throws VmjailError USAGE */
export function servingOf(options: ServingOptions): Serving {
	const { settings, policy, log, version, token, openOwn, upgrade } = options;
	const store = new FileStore({
		maxBytes: settings.storeMaxBytes,
		...(settings.storeFolder === undefined ? {} : { folder: settings.storeFolder }),
	});
	const sources = new SourceFiles(settings.filePrefixes);
	const queue = new Queue({ parallelism: settings.parallelism, length: settings.queueLength });
	const metrics = new Metrics(queue, store);
	const pool = new Pool(policy, { size: settings.parallelism });
	const service = new Service({
		policy,
		pool,
		runner: new Runner({ store, sources }),
		queue,
		store,
		metrics,
		log,
		...(openOwn === undefined ? {} : { openOwn }),
	});
	const front = frontOf({
		service,
		guard: guardOf(token, settings.address.kind === "tcp"),
		version,
		maxBodyBytes: settings.maxBodyBytes,
		config: configOf(options),
		...(upgrade === undefined ? {} : { upgrade: upgrade(service) }),
	});
	return {
		...front,
		service,
		warm: () => pool.open(),
		async close() {
			await pool.close();
			store.close();
		},
	};
}
