/** Clears away the groups of a vmjail that was killed before it could do so itself. */

import { rmdirSync } from "node:fs";
import { SUPERVISOR } from "../host/cgroup-v2.ts";
import { attempt, type HostFs, nodeFs } from "../host/fs.ts";
import type { CgroupFacts } from "../host/types.ts";
import { type GroupOwner, ownerOf, ownNamespace, startTimeIn } from "./id.ts";
import { EXEC_GROUP, INIT_GROUP } from "./parts.ts";

/** A fresh group may be about to get its first process. */
const SETTLED_MS = 60_000;

export interface SweepEffects {
	readonly fs: HostFs;
	/** rmdir(2): the kernel refuses while a process or a group is inside. */
	readonly removeFolder: (path: string) => void;
	readonly nowMs: number;
}

function lives({ pid, startTime }: GroupOwner, fs: HostFs): boolean {
	const stat = attempt(() => fs.readFile(`/proc/${pid}/stat`));
	return stat !== undefined && startTimeIn(stat) === startTime;
}

function isStale(folder: string, name: string, { fs, nowMs }: SweepEffects): boolean {
	const owner = ownerOf(name);
	// Of another pid namespace: it looks empty and ownerless, whoever lives there.
	if (owner === undefined || owner.namespace !== ownNamespace(fs) || lives(owner, fs)) return false;
	const stat = attempt(() => fs.lstat(folder));
	if (stat?.kind !== "directory" || nowMs - stat.modifiedMs < SETTLED_MS) return false;
	return attempt(() => fs.readFile(`${folder}/cgroup.procs`).trim()) === "";
}

function removes(path: string, { removeFolder }: SweepEffects): boolean {
	// Of a jail that was used again, and of a broker's worker: not there in others.
	for (const name of [EXEC_GROUP, INIT_GROUP, SUPERVISOR]) attempt(() => removeFolder(`${path}/${name}`));
	try {
		removeFolder(path);
		return true;
	} catch {
		return false;
	}
}

/**
 * Removes every `vmjail-…` group whose owner (process id and start time) is gone and that holds no process, directly
 * below the folders where this caller makes its groups. What cannot be removed stays: never throws.
 *
 * @returns the folders removed
 */
export function sweepStale(
	facts: CgroupFacts,
	effects: SweepEffects = { fs: nodeFs, removeFolder: (path) => rmdirSync(path), nowMs: Date.now() },
): readonly string[] {
	const usable = [...facts.v1, ...(facts.v2 === undefined ? [] : [facts.v2])].filter(({ writable }) => writable);
	const folders = new Set(usable.map(({ path }) => path));
	return [...folders].flatMap((folder) =>
		(attempt(() => effects.fs.readDirectory(folder)) ?? [])
			.filter((name) => isStale(`${folder}/${name}`, name, effects))
			.map((name) => `${folder}/${name}`)
			.filter((path) => removes(path, effects)),
	);
}

const RETRY_MS = 20;
const MOST_RETRIES = 100;

/**
 * Removes the groups of one owner, waiting for up to two seconds until their last processes are gone: for a vmjail whose
 * executor died before it could. What cannot be removed stays for {@link sweepStale}: never throws.
 */
export async function removeOwned(
	facts: CgroupFacts,
	owner: GroupOwner,
	effects: SweepEffects = { fs: nodeFs, removeFolder: (path) => rmdirSync(path), nowMs: Date.now() },
): Promise<void> {
	const isOurs = (name: string): boolean => {
		const found = ownerOf(name);
		return found?.pid === owner.pid && found.startTime === owner.startTime;
	};
	const folders = new Set([...facts.v1, ...(facts.v2 === undefined ? [] : [facts.v2])].map(({ path }) => path));
	const left = () =>
		[...folders].flatMap((folder) =>
			(attempt(() => effects.fs.readDirectory(folder)) ?? []).filter(isOurs).map((name) => `${folder}/${name}`),
		);
	for (let tries = 0; tries < MOST_RETRIES; tries++) {
		const remaining = left().filter((path) => !removes(path, effects));
		if (remaining.length === 0) return;
		await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
	}
}
