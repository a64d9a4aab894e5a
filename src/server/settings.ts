/** What `vmjail serve` can be told, with every default. Pure. */

import { VmjailError } from "../errors.ts";
import { type Address, DEFAULT_LISTEN, parseListen } from "./listen.ts";

export const LOG_LEVELS = ["silent", "error", "warn", "info", "debug"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** As the command line gives it. */
export interface ServeFlags {
	readonly listen?: string;
	readonly tokenFile?: string;
	readonly parallelism?: string;
	readonly queue?: string;
	readonly filePrefix?: readonly string[];
	readonly store?: string;
	readonly storeMax?: string;
	readonly maxBody?: string;
	readonly socketMode?: string;
	readonly logLevel?: string;
}

export interface ServeSettings {
	readonly address: Address;
	readonly tokenFile?: string;
	readonly parallelism: number;
	readonly queueLength: number;
	readonly filePrefixes: readonly string[];
	readonly storeFolder?: string;
	readonly storeMaxBytes: number;
	readonly maxBodyBytes: number;
	/** Of a unix socket; absent: 0600, and 0666 for a broker. */
	readonly socketMode?: number;
	readonly logLevel: LogLevel;
}

const MIB = 1024 * 1024;
const DEFAULT_QUEUE = 1024;
const DEFAULT_STORE = 512 * MIB;
const DEFAULT_BODY = 256 * MIB;
const MOST_PARALLEL = 1024;

const UNITS: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: MIB, GiB: 1024 * MIB };

function refuse(flag: string, text: string, expected: string): never {
	throw new VmjailError("USAGE", `--${flag} ${text}: expected ${expected}`, { remedy: "See `vmjail serve --help`." });
}

function count(flag: string, text: string | undefined, fallback: number, least: number, most: number): number {
	if (text === undefined) return fallback;
	const value = Number(text);
	if (/^\d{1,9}$/.test(text) && value >= least && value <= most) return value;
	return refuse(flag, text, `a number from ${least} to ${most}`);
}

function size(flag: string, text: string | undefined, fallback: number): number {
	if (text === undefined) return fallback;
	const [, digits, unit = ""] = /^(\d{1,9})(B|KiB|MiB|GiB)$/.exec(text) ?? [];
	return digits === undefined
		? refuse(flag, text, "a size with its unit, such as 64MiB")
		: Number(digits) * (UNITS[unit] ?? 1);
}

function levelOf(text = "info"): LogLevel {
	return LOG_LEVELS.find((level) => level === text) ?? refuse("log-level", text, LOG_LEVELS.join(", "));
}

function modeOf(text: string | undefined): number | undefined {
	if (text === undefined) return undefined;
	return /^0?[0-7]{3}$/.test(text)
		? Number.parseInt(text, 8)
		: refuse("socket-mode", text, "an octal mode such as 0660");
}

/**
 * @param cpus what to run at once, where nothing else is said
 * @throws VmjailError USAGE
 */
export function settingsOf(flags: ServeFlags, cpus: number): ServeSettings {
	const mode = modeOf(flags.socketMode);
	return {
		address: parseListen(flags.listen ?? DEFAULT_LISTEN),
		...(flags.tokenFile === undefined ? {} : { tokenFile: flags.tokenFile }),
		parallelism: count("parallelism", flags.parallelism, cpus, 1, MOST_PARALLEL),
		queueLength: count("queue", flags.queue, DEFAULT_QUEUE, 0, 1_000_000),
		filePrefixes: flags.filePrefix ?? [],
		...(flags.store === undefined ? {} : { storeFolder: flags.store }),
		storeMaxBytes: size("store-max", flags.storeMax, DEFAULT_STORE),
		maxBodyBytes: size("max-body", flags.maxBody, DEFAULT_BODY),
		...(mode === undefined ? {} : { socketMode: mode }),
		logLevel: levelOf(flags.logLevel),
	};
}
