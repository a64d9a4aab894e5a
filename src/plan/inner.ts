/**
 * Plans for vmjail's pid 1 inside another runtime's jail (gVisor): files, namespaces and limits are the runtime's there;
 * who may run what, and as whom, is decided inside.
 */

import type { Architecture, ProgramFact } from "../host/types.ts";
import type { LinuxSeccomp, Process } from "../oci/types.ts";
import { AT_FDCWD, O_CLOEXEC, O_NOFOLLOW, O_PATH, SIG_SETMASK } from "./constants.ts";
import { becomeKeeping, boundingSteps, identitySteps, rlimitSteps } from "./credentials.ts";
import { type InnerMounts, innerHoldSteps, innerRenewSteps } from "./inner-renew.ts";
import { programFiles, STOP_AT_EXEC } from "./programs.ts";
import { jointFilterStep } from "./seccomp/install.ts";
import { cstring, struct } from "./steps.ts";
import { foregroundSteps, type TerminalStream } from "./terminal.ts";
import type { Plan, SlotName, Step, Workload } from "./types.ts";
import { execSteps, streamSteps } from "./workload.ts";

/**
 * Opens a file component by component, for want of openat2(2) and its RESOLVE_NO_SYMLINKS: a link on the way answers
 * ENOTDIR, and one at its end is a link that nothing executes.
 */
function walk(file: string, flags: number): readonly Step[] {
	const names = file.split("/").filter(Boolean);
	return names.map((name, i): Step => {
		const from = i === 0 ? AT_FDCWD : { slot: "program" };
		const path = cstring(i === 0 ? `/${name}` : name);
		const label = `open /${names.slice(0, i + 1).join("/")} in the jail`;
		return { label, call: "openat", args: [from, path, flags, 0], save: "program" };
	});
}

function allowSteps(programs: readonly ProgramFact[], arch: Architecture): readonly Step[] {
	const flags = O_PATH | O_CLOEXEC | O_NOFOLLOW[arch];
	return programFiles(programs).flatMap((file): readonly Step[] => [
		...walk(file, flags),
		{ label: `let ${file} run`, call: "allow_program", args: [{ slot: "program" }] },
	]);
}

/**
 * An id that no account has, in the runtime's kernel alone: no program can signal pid 1 or trace it, whoever the program
 * is. On the host nothing runs under it.
 */
const INNER_ID = 2_147_483_000;

/**
 * Of pid 1: to end, trace and be told of programs of another user, to become that user, to empty its sets of
 * capabilities, to give it its limits, and to look at files that are that user's alone.
 */
const CAPABILITIES = [
	"CAP_DAC_READ_SEARCH",
	"CAP_KILL",
	"CAP_SETGID",
	"CAP_SETPCAP",
	"CAP_SETUID",
	"CAP_SYS_PTRACE",
	"CAP_SYS_RESOURCE",
] as const;

/** Besides, where the jail is used again: to mount file systems of its kernel's, and what stands on them. */
const RENEWING = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN"] as const;

/** How often a jail runs a program. */
export type Uses = "once" | "again";

/** @param granted capabilities that programs are to have: pid 1 must have what it gives */
export function innerCapabilities(uses: Uses, granted: readonly string[]): readonly string[] {
	return [...new Set([...CAPABILITIES, ...(uses === "again" ? RENEWING : []), ...granted])];
}

export interface InnerPlanOptions {
	readonly arch: Architecture;
	readonly programs: readonly ProgramFact[];
	readonly granted: readonly string[];
	/** Present: the jail is used again. */
	readonly renewed?: InnerMounts;
}

/** What is left to set up inside, by pid 1, which the runtime started as root of its kernel: its own user, and the list. */
export function innerPlanOf({ arch, programs, granted, renewed }: InnerPlanOptions): Plan {
	const none: readonly Step[] = [];
	const child = [
		// Inherited by all programs, as its working folder is: "/", which the runtime was told.
		{ label: "set the umask", call: "umask", args: [0o022] } as const,
		...becomeKeeping(INNER_ID, innerCapabilities(renewed === undefined ? "once" : "again", granted)),
		// gVisor has no securebits: without a bounding set uid 0 gets no capability either. It is inherited by all programs.
		...boundingSteps(granted),
		...(renewed === undefined ? [] : innerHoldSteps(renewed, INNER_ID)),
		...allowSteps(programs, arch),
	];
	return { cloneFlags: 0n, before: none, parent: none, child, account: none, cleanup: none, keep: [] };
}

export interface InnerConfinement {
	readonly arch: Architecture;
	/** Programs are held to a list: the guard looks at each execve(2). */
	readonly guarded: boolean;
	/** In the runtime's words; every one of them holds. */
	readonly filters: readonly LinuxSeccomp[];
}

export interface InnerEntryOptions {
	/** The program has pid 1's own streams: of these the terminal is one. Absent: it gets streams of its own. */
	readonly inherits?: { readonly terminal: readonly TerminalStream[] };
	readonly cpuLimitMs?: number | undefined;
	readonly wallLimitMs?: number | undefined;
}

/**
 * The plan for one program.
 *
 * @throws VmjailError USAGE for arguments that no exec(2) takes
 */
export function innerWorkloadOf(process: Process, options: InnerConfinement & InnerEntryOptions): Workload {
	const { exec, ...entry } = innerEntryOf(process, options);
	return { ...entry, child: [...entry.child, ...innerConfinementSteps(process, options), ...exec] };
}

/** The same for a jail that keeps {@link innerConfinementSteps} and takes them between `child` and `exec`. */
export function innerEntryOf(
	process: Process,
	{ inherits, cpuLimitMs, wallLimitMs }: InnerEntryOptions,
): Workload & { readonly exec: readonly Step[] } {
	const [terminal] = inherits?.terminal ?? [];
	return {
		cloneFlags: 0n,
		before: [],
		parent: [],
		child: [
			...(terminal === undefined
				? [{ label: "start a session", call: "setsid", args: [] } as const]
				: foregroundSteps(STREAM_NUMBER[terminal])),
			...(inherits === undefined ? streamSteps() : []),
			...(process.cwd === "/"
				? []
				: [{ label: `go to ${process.cwd}`, call: "chdir", args: [cstring(process.cwd)] } as const]),
			...rlimitSteps(process.rlimits ?? []),
		],
		exec: execSteps(process),
		...(cpuLimitMs === undefined ? {} : { cpuLimitMs }),
		...(wallLimitMs === undefined ? {} : { wallLimitMs }),
	};
}

/** In the program's process: takes its rights away, in the order in which each step still has the right to do the next. */
export function innerConfinementSteps(
	process: Pick<Process, "user" | "capabilities">,
	{ arch, guarded, filters }: InnerConfinement,
): readonly Step[] {
	return [
		...identitySteps(process, true),
		{ label: "unblock signals", call: "rt_sigprocmask", args: [SIG_SETMASK, struct("[]", [{ u64: 0 }]), 0, 8] },
		{ label: "close every other descriptor", call: "close_range", args: [3, 0x7fff_ffff, 0] },
		jointFilterStep("install the seccomp filter", [...(guarded ? [STOP_AT_EXEC] : []), ...filters], arch),
	];
}

/** In pid 1 while no other process is in the jail. */
export function innerRenewal(mounts: InnerMounts): readonly Step[] {
	return innerRenewSteps(mounts, INNER_ID);
}

const STREAM_NUMBER: Readonly<Record<TerminalStream & SlotName, number>> = { stdin: 0, stdout: 1, stderr: 2 };
