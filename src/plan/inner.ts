/**
 * Plans for vmjail's pid 1 inside another runtime's jail (gVisor): files, namespaces and limits are the runtime's there;
 * who may run what, and as whom, is decided inside.
 */

import type { Architecture, ProgramFact } from "../host/types.ts";
import type { LinuxSeccomp, Process } from "../oci/types.ts";
import { AT_FDCWD, O_CLOEXEC, O_PATH, SIG_SETMASK } from "./constants.ts";
import { becomeKeeping, credentialSteps, rlimitSteps } from "./credentials.ts";
import { programFiles, stopAtExecSteps } from "./programs.ts";
import { filterStep } from "./seccomp/install.ts";
import { cstring, struct } from "./steps.ts";
import { foregroundSteps, type TerminalStream } from "./terminal.ts";
import type { Plan, SlotName, Step, Workload } from "./types.ts";
import { execSteps, streamSteps } from "./workload.ts";

/** fcntl.h of the two architectures. */
const O_NOFOLLOW: Readonly<Record<Architecture, number>> = { x86_64: 0o400000, aarch64: 0o100000 };

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
export const INNER_CAPABILITIES = [
	"CAP_DAC_READ_SEARCH",
	"CAP_KILL",
	"CAP_SETGID",
	"CAP_SETPCAP",
	"CAP_SETUID",
	"CAP_SYS_PTRACE",
	"CAP_SYS_RESOURCE",
] as const;

export interface InnerPlanOptions {
	readonly arch: Architecture;
	readonly programs: readonly ProgramFact[];
	/** Capabilities that programs are to have: pid 1 must have what it gives. */
	readonly granted: readonly string[];
}

/** What is left to set up inside, by pid 1, which the runtime started as root of its kernel: its own user, and the list. */
export function innerPlanOf({ arch, programs, granted }: InnerPlanOptions): Plan {
	const none: readonly Step[] = [];
	const child = [
		...becomeKeeping(INNER_ID, [...new Set([...INNER_CAPABILITIES, ...granted])]),
		...allowSteps(programs, arch),
	];
	return { cloneFlags: 0n, before: none, parent: none, child, account: none, cleanup: none, keep: [] };
}

export interface InnerWorkloadOptions {
	readonly arch: Architecture;
	/** Programs are held to a list: the guard looks at each execve(2). */
	readonly guarded: boolean;
	/** In the runtime's words; every one of them holds. */
	readonly filters: readonly LinuxSeccomp[];
	/** The program has pid 1's own streams: of these the terminal is one. Absent: it gets streams of its own. */
	readonly inherits?: { readonly terminal: readonly TerminalStream[] };
	readonly cpuLimitMs?: number;
	readonly wallLimitMs?: number;
}

/**
 * The plan for one program.
 *
 * @throws VmjailError USAGE for arguments that no exec(2) takes
 */
export function innerWorkloadOf(process: Process, options: InnerWorkloadOptions): Workload {
	const { arch, guarded, filters, inherits, cpuLimitMs, wallLimitMs } = options;
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
			{ label: `go to ${process.cwd}`, call: "chdir", args: [cstring(process.cwd)] },
			{ label: "set the umask", call: "umask", args: [0o022] },
			...rlimitSteps(process.rlimits ?? []),
			...credentialSteps(process, true, false),
			{ label: "unblock signals", call: "rt_sigprocmask", args: [SIG_SETMASK, struct("[]", [{ u64: 0 }]), 0, 8] },
			{ label: "close every other descriptor", call: "close_range", args: [3, 0x7fff_ffff, 0] },
			...(guarded ? stopAtExecSteps(arch) : []),
			...filters.map((profile, i) => filterStep(`install seccomp filter ${i + 1}`, profile, arch)),
			...execSteps(process),
		],
		...(cpuLimitMs === undefined ? {} : { cpuLimitMs }),
		...(wallLimitMs === undefined ? {} : { wallLimitMs }),
	};
}

const STREAM_NUMBER: Readonly<Record<TerminalStream & SlotName, number>> = { stdin: 0, stdout: 1, stderr: 2 };
