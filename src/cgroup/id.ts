/** Names of our groups: they tell whose they are, so that a later vmjail can clear away what a killed one left. */

import { type HostFs, nodeFs } from "../host/fs.ts";
import { randomBytes } from "../host/random.ts";

/** The process that made a group: its start time tells it from a later process with the same id. */
export interface GroupOwner {
	readonly pid: number;
	/** In clock ticks since boot: field 22 of /proc/PID/stat. */
	readonly startTime: string;
}

const PREFIX = "vmjail-";
const NAME = /^vmjail-([1-9]\d*)-(\d+)-[0-9a-f]{16}$/;

/** Field 22 of /proc/PID/stat. The command, in brackets, may itself hold brackets and blanks. */
export function startTimeIn(stat: string): string {
	return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
}

/** This process. Read once and keep it: it does not change. */
export function ownGroupOwner(fs: HostFs = nodeFs, pid: number = process.pid): GroupOwner {
	return { pid, startTime: startTimeIn(fs.readFile(`/proc/${pid}/stat`)) };
}

/** `<pid>-<start time>-<16 hexadecimal digits>`, never the same twice. */
export function newGroupId(owner: GroupOwner): string {
	return `${owner.pid}-${owner.startTime}-${randomBytes(8).toString("hex")}`;
}

/** The folder name of a group. */
export function groupName(id: string): string {
	return `${PREFIX}${id}`;
}

/** Whose group a folder is; undefined for a folder that vmjail did not make. */
export function ownerOf(name: string): GroupOwner | undefined {
	const [, pid, startTime] = NAME.exec(name) ?? [];
	return pid === undefined || startTime === undefined ? undefined : { pid: Number(pid), startTime };
}
