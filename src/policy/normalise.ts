/** A checked document → {@link Policy}: the contract's names, defaults that depend on other values, no duplicates. */

import type { PolicyOutput } from "./schema.ts";
import type { Policy, PublishedPort, RlimitName } from "./types.ts";

/** Where neither passed nor set: without PATH nothing is found. */
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export function normalise({ system, security }: PolicyOutput): Policy {
	return {
		system: {
			runtime: system.runtime,
			rollback: system.rollback,
			accel: system.accel,
			root: system.root,
			memory: { ...defined("maxBytes", system.memory.max), swapBytes: system.memory.swap },
			cpu: { ...defined("cores", system.cpu.number), ...defined("pin", system.cpu.pin) },
			pids: defined("max", system.pids.max),
			io: {
				...defined("readBytesPerSecond", system.io.readBps),
				...defined("writeBytesPerSecond", system.io.writeBps),
			},
			time: { ...defined("cpuMs", system.time.cpu), ...defined("wallMs", system.time.wall) },
			output: defined("maxBytes", system.output.max),
			rlimits: rlimits(system.rlimits),
			devices: unique(system.devices),
			capabilities: unique(system.capabilities),
			...defined("user", system.user),
			hostname: system.hostname,
			...defined("cwd", system.cwd),
			env: environment(system.env),
			optional: unique(system.optional),
		},
		security: {
			network: {
				mode: security.network.mode,
				policy: {
					listen: uniqueBy(security.network.policy.listen, published),
					tcp: uniqueBy(security.network.policy.tcp, JSON.stringify),
					udp: uniqueBy(security.network.policy.udp, JSON.stringify),
					dns: uniqueBy(security.network.policy.dns, JSON.stringify),
					...defined("bytesPerSecond", security.network.policy.rate),
				},
			},
			file: {
				writablePaths: unique(security.file.writablePaths),
				readablePaths: unique(security.file.readablePaths),
				maskedPaths: unique(security.file.maskedPaths),
				tmpfs: uniqueBy(
					security.file.tmpfs.map(({ path, size }) => ({ path, sizeBytes: size })),
					({ path }) => path,
				),
			},
			process: { allow: unique(security.process.allow) },
			syscalls: security.syscalls,
			mac: { ...defined("apparmor", security.mac.apparmor), ...defined("selinux", security.mac.selinux) },
		},
	};
}

/** `{ [key]: value }`, or nothing where there is no value: absent keys stay absent. */
function defined<K extends string, T>(key: K, value: T | undefined): { [P in K]?: T } {
	return (value === undefined ? {} : { [key]: value }) as { [P in K]?: T };
}

function rlimits(given: PolicyOutput["system"]["rlimits"]): Policy["system"]["rlimits"] {
	const set = Object.entries(given).filter((entry): entry is [RlimitName, number] => entry[1] !== undefined);
	return Object.fromEntries(set);
}

function environment(env: PolicyOutput["system"]["env"]): Policy["system"]["env"] {
	const pass = unique(env.pass).filter((name) => !Object.hasOwn(env.set, name));
	const hasPath = pass.includes("PATH") || Object.hasOwn(env.set, "PATH");
	return { pass, set: hasPath ? env.set : { PATH: DEFAULT_PATH, ...env.set } };
}

function published({ hostAddress, hostPort }: PublishedPort): string {
	return `${hostAddress} ${hostPort}`;
}

function unique<T>(values: readonly T[]): readonly T[] {
	return [...new Set(values)];
}

function uniqueBy<T>(values: readonly T[], key: (value: T) => string): readonly T[] {
	return [...new Map(values.map((value) => [key(value), value])).values()];
}
