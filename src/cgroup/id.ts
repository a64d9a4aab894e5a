/** Names of our groups: they tell whose they are, so that a later vmjail can clear away what a killed one left. */

import { attempt, type HostFs, nodeFs } from "../host/fs.ts";
import { randomBytes } from "../host/random.ts";

/** The process that made a group: its start time tells it from a later process with the same id. */
export interface GroupOwner {
	readonly pid: number;
	/** In clock ticks since boot: field 22 of /proc/PID/stat. */
	readonly startTime: string;
	/**
	 * The pid namespace that the id is of, as 6 hexadecimal digits of its number. Whether a process of another one lives
	 * cannot be told, nor do cgroup.procs show it.
	 */
	readonly namespace: string;
}

const PREFIX = "vmjail-";
const NAME = /^vmjail-([1-9]\d*)-(\d+)-([0-9a-f]{6})[0-9a-f]{10}$/;

/** Field 22 of /proc/PID/stat. The command, in brackets, may itself hold brackets and blanks. */
export function startTimeIn(stat: string): string {
	return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
}

/** Of this process; see namespaces(7) for what the link says. */
export function ownNamespace(fs: HostFs = nodeFs): string {
	const [, number = "0"] = /^pid:\[(\d+)\]$/.exec(attempt(() => fs.readLink("/proc/self/ns/pid")) ?? "") ?? [];
	return Number(number).toString(16).padStart(6, "0").slice(-6);
}

/** This process. Read once and keep it: it does not change. */
export function ownGroupOwner(fs: HostFs = nodeFs, pid: number = process.pid): GroupOwner {
	return { pid, startTime: startTimeIn(fs.readFile(`/proc/${pid}/stat`)), namespace: ownNamespace(fs) };
}

/** `<pid>-<start time>-<16 hexadecimal digits>`, never the same twice. */
export function newGroupId(owner: GroupOwner): string {
	return `${owner.pid}-${owner.startTime}-${owner.namespace}${randomBytes(5).toString("hex")}`;
}

/** The folder name of a group. */
export function groupName(id: string): string {
	return `${PREFIX}${id}`;
}

/** Whose group a folder is; undefined for a folder that vmjail did not make. */
export function ownerOf(name: string): GroupOwner | undefined {
	const [, pid, startTime, namespace] = NAME.exec(name) ?? [];
	if (pid === undefined || startTime === undefined || namespace === undefined) return undefined;
	return { pid: Number(pid), startTime, namespace };
}
