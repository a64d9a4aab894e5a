/** Becoming the caller, for good. */

import { readdirSync, readFileSync } from "node:fs";
import { VmjailError } from "../../errors.ts";
import type { Caller } from "./admit.ts";

function refuse(what: string): never {
	throw new VmjailError("HOST_UNSUPPORTED", `the broker's worker could not become its caller: ${what}`, {
		remedy: "Start `vmjail serve` as root, with CAP_SETUID and CAP_SETGID.",
	});
}

function field(status: string, name: string): string {
	return new RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(status)?.[1]?.trim().replaceAll(/\s+/g, " ") ?? "";
}

/** All threads: Node has some before this runs, and the C library changes each (nptl(7)). */
function check({ uid, gid, groups }: Caller): void {
	for (const thread of readdirSync("/proc/self/task")) {
		const status = readFileSync(`/proc/self/task/${thread}/status`, "utf8");
		if (field(status, "Uid") !== `${uid} ${uid} ${uid} ${uid}`) refuse(`thread ${thread} has other user ids`);
		if (field(status, "Gid") !== `${gid} ${gid} ${gid} ${gid}`) refuse(`thread ${thread} has other group ids`);
		const own = field(status, "Groups").split(" ").filter(Boolean).map(Number);
		if (own.toSorted((a, b) => a - b).join() !== groups.join()) refuse(`thread ${thread} is in other groups`);
		if (uid === 0) continue;
		for (const set of ["CapPrm", "CapEff", "CapInh", "CapAmb"]) {
			if (!/^0+$/.test(field(status, set))) refuse(`thread ${thread} has kept capabilities (${set})`);
		}
	}
}

/**
 * Takes the caller's ids and gives up all rights beyond them; checked against what the kernel shows. A process that does this
 * without executing a program cannot be traced by its user (PR_SET_DUMPABLE), so its decisions stay its own.
 *
 * @throws VmjailError where anything of root's is left: the worker must end then
 */
export function become(caller: Caller): void {
	const { setgroups, setgid, setuid } = process;
	if (setgroups === undefined || setgid === undefined || setuid === undefined) refuse("no such calls here");
	setgroups.call(process, [...caller.groups]);
	setgid.call(process, caller.gid);
	setuid.call(process, caller.uid);
	check(caller);
	if (caller.uid !== 0 && canSetUid(0)) refuse("it could go back");
}

function canSetUid(uid: number): boolean {
	try {
		process.setuid?.(uid);
		return true;
	} catch {
		return false;
	}
}
