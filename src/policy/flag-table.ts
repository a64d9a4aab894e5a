/** The flags that change a policy: one table for reading them, for help and for completion. */

import { posix } from "node:path";
import { chain, type Parsed } from "./parsed.ts";
import { PRESET_NAMES, type PresetName } from "./preset-names.ts";
import { alternatives, didYouMean, show } from "./shown.ts";
import { CONTROLS, NETWORK_MODES, ROLLBACKS, RUNTIMES } from "./tables.ts";
import type { Json, JsonPath } from "./tree.ts";

export interface FlagContext {
	/** What relative paths are resolved against; absolute. */
	readonly cwd: string;
	/** What a leading "~/" stands for. */
	readonly home?: string;
}

export interface PolicyFlag {
	/** Without the dashes. */
	readonly name: string;
	readonly metavar: string;
	/** One line. */
	readonly help: string;
	readonly group: "files" | "network" | "limits" | "process" | "policy";
	/** May be given several times: the values add up. */
	readonly repeatable: boolean;
	/** Every value that is accepted, where they are few. */
	readonly choices?: readonly string[];
	/** What the shell may complete. */
	readonly completes?: "path";
	/** Where in the document the value goes. */
	readonly path: JsonPath;
	/** The value as the document has it; what it lacks there, the schema says. */
	readonly read: (value: string, context: FlagContext) => Parsed<Json>;
}

const asIs = (value: string): Parsed<Json> => ({ value });
const listOf = (value: string): Parsed<Json> => ({ value: [value] });
const number = (value: string): Parsed<Json> => ({ value: /^\d+(\.\d+)?$/.test(value) ? Number(value) : value });

/** Absolute, "~/" resolved: on a command line both mean what they mean in a shell. */
function resolvePath(value: string, { cwd, home }: FlagContext): Parsed<string> {
	if (value === "") return { problem: "expected a path, got an empty one" };
	const inHome = value === "~" || value.startsWith("~/");
	if (inHome && home === undefined) return { problem: `no home folder is known for ${show(value)}` };
	return { value: posix.resolve(cwd, inHome ? `${home}/${value.slice(2)}` : value) };
}

const onePath = (value: string, context: FlagContext): Parsed<Json> => resolvePath(value, context);
const pathList = (value: string, context: FlagContext): Parsed<Json> =>
	chain(resolvePath(value, context), (path) => ({ value: [path] }));

/** PATH or PATH:SIZE; a path that itself ends in ":64MiB" cannot be said here. */
function readTmpfs(value: string, context: FlagContext): Parsed<Json> {
	const [, place = value, size] = /^(.+):([\d.]+ ?[A-Za-z]*)$/s.exec(value) ?? [];
	return chain(resolvePath(place, context), (path) => ({ value: [size === undefined ? { path } : { path, size }] }));
}

function readExecutable(value: string, context: FlagContext): Parsed<Json> {
	if (!value.includes("/"))
		return {
			problem: `expected the path of an executable, got ${show(value)}: write "./${value}" for one in this folder, else the whole path`,
		};
	return pathList(value, context);
}

function readVariable(value: string): Parsed<Json> {
	const equals = value.indexOf("=");
	// Names that JavaScript gives a meaning of its own; the schema library would drop them without a word.
	if (/^(__proto__|constructor|prototype)=/.test(value))
		return { problem: `the name in ${show(value)} is not accepted` };
	if (equals > 0) return { value: { [value.slice(0, equals)]: value.slice(equals + 1) } };
	return { problem: `expected NAME=VALUE, got ${show(value)}: --pass-env NAME passes the caller's own value on` };
}

function readUser(value: string): Parsed<Json> {
	const [, uid, gid] = /^(\d{1,10}):(\d{1,10})$/.exec(value) ?? [];
	if (uid === undefined || gid === undefined)
		return { problem: `expected two numeric ids such as "1000:1000", got ${show(value)}` };
	return { value: { uid: Number(uid), gid: Number(gid) } };
}

function readPreset(value: string): Parsed<Json> {
	if (isPreset(value)) return { value: [value] };
	return { problem: `expected ${alternatives(PRESET_NAMES)}, got ${show(value)}${didYouMean(value, PRESET_NAMES)}` };
}

export function isPreset(name: string): name is PresetName {
	return PRESET_NAMES.some((known) => known === name);
}

const FILE = ["security", "file"] as const;
export const NETWORK = ["security", "network"] as const;
const RULE = "implies --net hostwithpolicy";

export const POLICY_FLAGS: readonly PolicyFlag[] = [
	{
		name: "preset",
		metavar: "NAME",
		help: "start from a preset",
		group: "policy",
		repeatable: true,
		choices: PRESET_NAMES,
		path: ["extends"],
		read: readPreset,
	},
	{
		name: "runtime",
		metavar: "NAME",
		help: "what runs the jail",
		group: "policy",
		repeatable: false,
		choices: RUNTIMES,
		path: ["system", "runtime"],
		read: asIs,
	},
	{
		name: "rollback",
		metavar: "NAME",
		help: "runtime to fall back to",
		group: "policy",
		repeatable: false,
		choices: ROLLBACKS.slice(1),
		path: ["system", "rollback"],
		read: asIs,
	},
	{
		name: "optional",
		metavar: "CONTROL",
		help: "a control that may be missing on this host",
		group: "policy",
		repeatable: true,
		choices: CONTROLS,
		path: ["system", "optional"],
		read: listOf,
	},
	{
		name: "rw",
		metavar: "PATH",
		help: "writable file or folder",
		group: "files",
		repeatable: true,
		completes: "path",
		path: [...FILE, "writablePaths"],
		read: pathList,
	},
	{
		name: "ro",
		metavar: "PATH",
		help: "file or folder shown read-only over masks",
		group: "files",
		repeatable: true,
		completes: "path",
		path: [...FILE, "readablePaths"],
		read: pathList,
	},
	{
		name: "mask",
		metavar: "PATH",
		help: "file or folder that is not visible",
		group: "files",
		repeatable: true,
		completes: "path",
		path: [...FILE, "maskedPaths"],
		read: pathList,
	},
	{
		name: "tmpfs",
		metavar: "PATH[:SIZE]",
		help: "empty file system in memory",
		group: "files",
		repeatable: true,
		completes: "path",
		path: [...FILE, "tmpfs"],
		read: readTmpfs,
	},
	{
		name: "net",
		metavar: "MODE",
		help: "network mode",
		group: "network",
		repeatable: false,
		choices: NETWORK_MODES,
		path: [...NETWORK, "mode"],
		read: asIs,
	},
	{
		name: "allow-dns",
		metavar: "NAME:PORT",
		help: `destination by name; ${RULE}`,
		group: "network",
		repeatable: true,
		path: [...NETWORK, "policy", "dns"],
		read: listOf,
	},
	{
		name: "allow-tcp",
		metavar: "ADDRESS:PORT",
		help: `destination by address; ${RULE}`,
		group: "network",
		repeatable: true,
		path: [...NETWORK, "policy", "tcp"],
		read: listOf,
	},
	{
		name: "allow-udp",
		metavar: "ADDRESS:PORT",
		help: `UDP destination by address; ${RULE}`,
		group: "network",
		repeatable: true,
		path: [...NETWORK, "policy", "udp"],
		read: listOf,
	},
	{
		name: "listen",
		metavar: "[[ADDRESS:]PORT->]PORT",
		help: `port published on the host; ${RULE}`,
		group: "network",
		repeatable: true,
		path: [...NETWORK, "policy", "listen"],
		read: listOf,
	},
	{
		name: "net-rate",
		metavar: "SIZE",
		help: "most bytes per second under network rules, such as 10MiB",
		group: "network",
		repeatable: false,
		path: [...NETWORK, "policy", "rate"],
		read: asIs,
	},
	{
		name: "mem",
		metavar: "SIZE",
		help: "most memory, such as 512MiB",
		group: "limits",
		repeatable: false,
		path: ["system", "memory", "max"],
		read: asIs,
	},
	{
		name: "swap",
		metavar: "SIZE",
		help: "swap beyond --mem",
		group: "limits",
		repeatable: false,
		path: ["system", "memory", "swap"],
		read: asIs,
	},
	{
		name: "cpu",
		metavar: "CORES",
		help: "cores' worth of CPU, such as 2 or 0.5",
		group: "limits",
		repeatable: false,
		path: ["system", "cpu", "number"],
		read: number,
	},
	{
		name: "pin",
		metavar: "CPUS",
		help: "CPUs to run on, such as 0-1,3",
		group: "limits",
		repeatable: false,
		path: ["system", "cpu", "pin"],
		read: asIs,
	},
	{
		name: "pids",
		metavar: "N",
		help: "most processes and threads",
		group: "limits",
		repeatable: false,
		path: ["system", "pids", "max"],
		read: number,
	},
	{
		name: "time",
		metavar: "DURATION",
		help: "most CPU time, such as 10s",
		group: "limits",
		repeatable: false,
		path: ["system", "time", "cpu"],
		read: asIs,
	},
	{
		name: "wall",
		metavar: "DURATION",
		help: "most time from start to end, such as 1m",
		group: "limits",
		repeatable: false,
		path: ["system", "time", "wall"],
		read: asIs,
	},
	{
		name: "output",
		metavar: "SIZE",
		help: "most output, such as 64MiB",
		group: "limits",
		repeatable: false,
		path: ["system", "output", "max"],
		read: asIs,
	},
	{
		name: "exec",
		metavar: "PATH",
		help: "the only executables that may run",
		group: "process",
		repeatable: true,
		completes: "path",
		path: ["security", "process", "allow"],
		read: readExecutable,
	},
	{
		name: "syscalls",
		metavar: "SET",
		help: "system call filter",
		group: "process",
		repeatable: false,
		choices: ["default", "strict"],
		path: ["security", "syscalls"],
		read: asIs,
	},
	{
		name: "env",
		metavar: "NAME=VALUE",
		help: "set an environment variable",
		group: "process",
		repeatable: true,
		path: ["system", "env", "set"],
		read: readVariable,
	},
	{
		name: "pass-env",
		metavar: "NAME",
		help: "pass an environment variable on",
		group: "process",
		repeatable: true,
		path: ["system", "env", "pass"],
		read: listOf,
	},
	{
		name: "cwd",
		metavar: "PATH",
		help: "working directory inside",
		group: "process",
		repeatable: false,
		completes: "path",
		path: ["system", "cwd"],
		read: onePath,
	},
	{
		name: "user",
		metavar: "UID:GID",
		help: "user and group id of the program",
		group: "process",
		repeatable: false,
		path: ["system", "user"],
		read: readUser,
	},
	{
		name: "hostname",
		metavar: "NAME",
		help: "name of the host inside",
		group: "process",
		repeatable: false,
		path: ["system", "hostname"],
		read: asIs,
	},
];
