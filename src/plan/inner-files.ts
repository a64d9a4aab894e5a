/**
 * Files into a jail and out of it, by its own pid 1, where no path of the host leads to them (gVisor). A process of the
 * program's user carries the steps out and ends: it can reach no more than a program could.
 */

import type { Architecture } from "../host/types.ts";
import type { Process } from "../oci/types.ts";
import {
	AT_FDCWD,
	O_CLOEXEC,
	O_CREAT,
	O_NOCTTY,
	O_NOFOLLOW,
	O_NONBLOCK,
	O_PATH,
	O_RDONLY,
	O_WRONLY,
} from "./constants.ts";
import { identitySteps } from "./credentials.ts";
import { cstring, space, struct } from "./steps.ts";
import type { Step, Workload } from "./types.ts";
import { streamSteps } from "./workload.ts";

/** Of struct stat on 64-bit Linux; the same on x86_64 and aarch64 but for where st_mode is. */
export const STAT_SIZE = 144;
export const AT_ST_SIZE = 48;
export const AT_ST_MODE: Readonly<Record<Architecture, number>> = { x86_64: 24, aarch64: 16 };

/** A file system that does not answer must not keep the jail for ever. */
const PATIENCE_MS = 30_000;

/** A copy that a call left unfinished is taken up again so often. */
const ATTEMPTS = 4;

/** What a step is about, for the error that it becomes: the first word of its label. */
export type FileStep = "folder" | "file" | "copy" | "link";

export interface FilesInput {
	readonly arch: Architecture;
	readonly process: Pick<Process, "user" | "capabilities">;
	/** Absolute, without dots. */
	readonly path: string;
}

function workload({ process }: FilesInput, steps: readonly Step[]): Workload {
	const child: readonly Step[] = [
		{ label: "start a session", call: "setsid", args: [] },
		...streamSteps(),
		...identitySteps(process, true),
		{ label: "folder /", call: "openat", args: [AT_FDCWD, cstring("/"), O_PATH | O_CLOEXEC, 0], save: "at" },
		...steps,
		{ label: "copy done", call: "exit_group", args: [0] },
	];
	return { cloneFlags: 0n, before: [], parent: [], child, exec: [], wallLimitMs: PATIENCE_MS };
}

/** To the folder that holds the last name, following no link. */
function walk({ arch, path }: FilesInput, make: boolean): { readonly steps: readonly Step[]; readonly name: string } {
	const names = path.split("/").filter(Boolean);
	const name = names.pop() ?? "";
	const flags = O_PATH | O_NOFOLLOW[arch] | O_CLOEXEC;
	const steps = names.flatMap((folder): readonly Step[] => {
		const made: Step = {
			label: `folder ${folder}`,
			call: "mkdirat",
			args: [{ slot: "at" }, cstring(folder), 0o755],
			// That it is there all the same is told by the next step.
			tolerate: ["EEXIST", "EROFS", "EACCES"],
		};
		const entered: Step = {
			label: `folder ${folder}`,
			call: "openat",
			args: [{ slot: "at" }, cstring(folder), flags, 0],
			save: "at",
		};
		return make ? [made, entered] : [entered];
	});
	return { steps, name };
}

/** Makes a file of standard input, which must hold exactly so many bytes; an old file's content is replaced. */
export function putFileWorkload(input: FilesInput, mode: number, sizeBytes: number): Workload {
	const { steps, name } = walk(input, true);
	const flags = O_WRONLY | O_CREAT | O_NOFOLLOW[input.arch] | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	const status = space(STAT_SIZE, "<struct stat>");
	const offset = space(8, "<offset>");
	const file = { slot: "file" };
	return workload(input, [
		...steps,
		{ label: `file ${name}`, call: "openat", args: [{ slot: "at" }, cstring(name), flags, 0o600], save: "file" },
		{ label: "copy nothing", call: "ftruncate", args: [file, 0] },
		...attempts({ label: "copy", call: "sendfile", args: [file, 0, offset, sizeBytes] }, sizeBytes),
		{ label: "copy size", call: "fstat", args: [file, status] },
		{
			label: "copy all",
			call: "expect_equal",
			args: [status, AT_ST_SIZE, struct(`${sizeBytes}`, [{ u64: sizeBytes }]), 0, 8],
		},
		{ label: "copy mode", call: "fchmod", args: [file, mode] },
	]);
}

/** At its end, sendfile(2) moves nothing more. */
function attempts(step: Step, sizeBytes: number): readonly Step[] {
	return sizeBytes === 0 ? [] : Array.from({ length: ATTEMPTS }, () => step);
}

export function putLinkWorkload(input: FilesInput, target: string): Workload {
	const { steps, name } = walk(input, true);
	const args = [cstring(target), { slot: "at" }, cstring(name)];
	return workload(input, [...steps, { label: `link ${name}`, call: "symlinkat", args }]);
}

/** Writes to standard output the file's struct stat, then at most so many bytes of its content. */
export function takeFileWorkload(input: FilesInput, maxBytes: number): Workload {
	const { steps, name } = walk(input, false);
	const flags = O_RDONLY | O_NOFOLLOW[input.arch] | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	const status = space(STAT_SIZE, "<struct stat>");
	const file = { slot: "file" };
	return workload(input, [
		...steps,
		{ label: `file ${name}`, call: "openat", args: [{ slot: "at" }, cstring(name), flags, 0], save: "file" },
		{ label: "copy status", call: "fstat", args: [file, status] },
		{ label: "copy status", call: "write", args: [1, status, STAT_SIZE] },
		...attempts({ label: "copy", call: "sendfile", args: [1, file, 0, maxBytes] }, maxBytes),
	]);
}
