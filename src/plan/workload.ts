/** What a workload's process does between its clone and its exec. */

import { posix as path } from "node:path";
import { VmjailError } from "../errors.ts";
import type { HostFacts } from "../host/types.ts";
import type { Process, Rlimit, Spec } from "../oci/types.ts";
import { CLONE_NEW, PR_SET_DUMPABLE, SIG_SETMASK } from "./constants.ts";
import { credentialSteps, rlimitSteps } from "./credentials.ts";
import { restrictSteps } from "./landlock.ts";
import { macSteps } from "./mac.ts";
import { idMapSteps } from "./namespaces.ts";
import { announceExecSteps, mayAnnounce, stopAtExecSteps } from "./programs.ts";
import { allowsAll, type KnownCall } from "./seccomp/allows.ts";
import { filterStep } from "./seccomp/install.ts";
import { cstring, stringArray, struct } from "./steps.ts";
import { foregroundSteps, openTerminalSteps, type Terminal } from "./terminal.ts";
import type { Step, Waiting, Workload } from "./types.ts";

const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The kernel's own bound on one string of argv or envp: MAX_ARG_STRLEN, 32 pages of 4 KiB. */
const MAX_STRING = 131072;

/** The kernel's own bound on all of argv and envp: three quarters of the default stack limit of 8 MiB (fs/exec.c). */
const MAX_STRINGS_SIZE = 6 * 1024 * 1024;

/** As many as one step can point to. */
const MAX_STRINGS = 65533;

export interface WorkloadOptions {
	readonly terminal?: Terminal;
	readonly cpuLimitMs?: number;
	readonly wallLimitMs?: number;
	/** Before the filters, while the process can still speak to vmjail. */
	readonly beforeFilters?: readonly Step[];
}

/** The files that the name of a program may mean, as execvp(3) tries them. */
export function candidates(program: string, env: readonly string[]): readonly string[] {
	if (program.includes("/")) return [program];
	const search = env.find((entry) => entry.startsWith("PATH="))?.slice("PATH=".length) ?? DEFAULT_PATH;
	return search.split(":").map((folder) => path.join(folder === "" ? "." : folder, program));
}

function checkStrings(process: Process): void {
	const [program] = process.args;
	if (program === undefined || program === "") {
		throw new VmjailError("USAGE", "no program to run", { remedy: "Name one after --." });
	}
	const texts = [...process.args, ...process.env];
	const sizes = texts.map((text) => new TextEncoder().encode(text).length + 1);
	const size = sizes.reduce((sum, one) => sum + one, 0);
	if (size > MAX_STRINGS_SIZE || texts.length > MAX_STRINGS) {
		throw new VmjailError("USAGE", `${texts.length} arguments and variables of ${size} bytes are too many`, {
			remedy: `At most ${MAX_STRINGS}, and ${MAX_STRINGS_SIZE} bytes. Split them (xargs -n), or pass them in a file.`,
		});
	}
	for (const [i, text] of texts.entries()) {
		if (text.includes("\0")) {
			throw new VmjailError("USAGE", `an argument or variable holds a NUL byte: ${JSON.stringify(text.slice(0, 40))}`, {
				remedy: "The kernel passes NUL-terminated strings: take the NUL out.",
			});
		}
		if ((sizes[i] ?? 0) > MAX_STRING) {
			throw new VmjailError("USAGE", `an argument or variable is longer than the kernel's ${MAX_STRING} bytes`, {
				remedy: "Pass it in a file or on standard input.",
			});
		}
	}
}

export function execSteps(process: Process): readonly Step[] {
	checkStrings(process);
	const argv = stringArray(process.args, JSON.stringify(process.args));
	const envp = stringArray(process.env, `<${process.env.length} variables>`);
	const files = candidates(process.args[0] ?? "", process.env);
	return files.map((file, i) => ({
		label: `execute ${file}`,
		call: "execve",
		args: [cstring(file), argv, envp],
		...(i < files.length - 1 ? { tolerate: ["ENOENT", "ENOTDIR", "EACCES"] } : {}),
	}));
}

export function streamSteps(): readonly Step[] {
	return (["stdin", "stdout", "stderr"] as const).map((slot, number) => ({
		label: `use ${slot}`,
		call: "dup3",
		args: [{ slot }, number, 0],
	}));
}

function seccompSteps(spec: Spec, facts: HostFacts): readonly Step[] {
	const profile = spec.linux.seccomp;
	if (profile === undefined) return [];
	return [filterStep("install the seccomp filter", profile, facts.arch)];
}

/**
 * The plan for one program in a jail that {@link planOf} planned.
 *
 * @throws VmjailError USAGE for arguments that no exec(2) takes.
 */
export function workloadOf(spec: Spec, facts: HostFacts, options: WorkloadOptions = {}): Workload {
	const { exec, ...entry } = entryOf(spec, facts, options);
	const { beforeFilters = [] } = options;
	const { child, last } = confinementSteps(spec, facts, beforeFilters);
	return { ...entry, child: [...entry.child, ...child, ...last, ...exec] };
}

/**
 * Pid 1 ends a program at its limit of CPU time; should pid 1 be stopped, the kernel ends each process a little later, by
 * SIGXCPU and then by SIGKILL.
 */
function withCpuLimit(rlimits: readonly Rlimit[], cpuLimitMs: number | undefined): readonly Rlimit[] {
	if (cpuLimitMs === undefined || rlimits.some(({ type }) => type === "RLIMIT_CPU")) return rlimits;
	const soft = Math.ceil(cpuLimitMs / 1000) + 1;
	return [...rlimits, { type: "RLIMIT_CPU", soft, hard: soft + 1 }];
}

/**
 * The same for a jail that keeps {@link confinementSteps} and takes them between `child` and `exec`.
 *
 * @throws VmjailError USAGE for arguments that no exec(2) takes.
 */
export function entryOf(
	spec: Pick<Spec, "process" | "linux">,
	facts: Pick<HostFacts, "caller">,
	options: Omit<WorkloadOptions, "beforeFilters">,
): Workload & { readonly exec: readonly Step[] } {
	const { process } = spec;
	const { terminal, cpuLimitMs } = options;
	return {
		...birthOf(spec, facts),
		before: terminal === undefined ? [] : openTerminalSteps(terminal, process.user.uid),
		child: [
			...(terminal === undefined ? [SESSION] : foregroundSteps()),
			...streamSteps(),
			...placeSteps(process),
			...rlimitSteps(withCpuLimit(process.rlimits ?? [], cpuLimitMs)),
		],
		exec: execSteps(process),
		...limitsOf(options),
	};
}

function limitsOf({ cpuLimitMs, wallLimitMs }: WorkloadOptions): Pick<Workload, "cpuLimitMs" | "wallLimitMs"> {
	return {
		...(cpuLimitMs === undefined ? {} : { cpuLimitMs }),
		...(wallLimitMs === undefined ? {} : { wallLimitMs }),
	};
}

function birthOf(spec: Pick<Spec, "process" | "linux">, facts: Pick<HostFacts, "caller">) {
	const hasCapabilities = (spec.process.capabilities?.permitted ?? []).length > 0;
	return {
		// A capability is granted over a user namespace below the one that owns the jail's mounts and network.
		cloneFlags: hasCapabilities ? CLONE_NEW.user : 0n,
		parent: hasCapabilities ? idMapSteps(spec.linux, facts.caller.privileged) : [],
	};
}

const SESSION: Step = { label: "start a session", call: "setsid", args: [] };

function enterFolder({ cwd }: Pick<Process, "cwd">): Step {
	return { label: `go to ${cwd}`, call: "chdir", args: [cstring(cwd)] };
}

function placeSteps(process: Process): readonly Step[] {
	return [enterFolder(process), { label: "set the umask", call: "umask", args: [0o022] }];
}

/** A process that waits takes its program's descriptors with its limits on: at most 8, beside four of its own. */
const LEAST_DESCRIPTORS = 16;

/** How a process is made that waits for its program, up to {@link confinementSteps}; undefined where it could not take one. */
export function waitingOf(
	spec: Pick<Spec, "process" | "linux">,
	facts: Pick<HostFacts, "caller">,
	cpuLimitMs: number | undefined,
): Waiting | undefined {
	const { rlimits = [] } = spec.process;
	if (rlimits.some(({ type, soft }) => type === "RLIMIT_NOFILE" && soft < LEAST_DESCRIPTORS)) return undefined;
	const limits = rlimitSteps(withCpuLimit(rlimits, cpuLimitMs));
	return { ...birthOf(spec, facts), entry: [SESSION, ...placeSteps(spec.process), ...limits] };
}

/**
 * A program for the process that waits, in the same working folder. Another one may have that name by now, so it is entered
 * again; where its user may not do that (pid 1's rights were needed), the process stays where it is.
 *
 * @param waiting what that process has gone through
 * @throws VmjailError USAGE for arguments that no exec(2) takes.
 */
export function entryOfWaiting(
	process: Process,
	waiting: { readonly rlimits: readonly Rlimit[]; readonly cpuLimitMs: number | undefined },
	options: Omit<WorkloadOptions, "beforeFilters" | "terminal">,
): Workload & { readonly exec: readonly Step[] } {
	const had = withCpuLimit(waiting.rlimits, waiting.cpuLimitMs);
	const limits = withCpuLimit(process.rlimits ?? [], options.cpuLimitMs);
	const isNew = ({ type, soft, hard }: Rlimit) =>
		!had.some((one) => one.type === type && one.soft === soft && one.hard === hard);
	return {
		waits: true,
		cloneFlags: 0n,
		before: [],
		parent: [],
		child: [...streamSteps(), { ...enterFolder(process), tolerate: ["EACCES"] }, ...rlimitSteps(limits.filter(isNew))],
		exec: execSteps(process),
		...limitsOf(options),
	};
}

/** What a process that waits calls when its filters may be on already; in the executor (pid1-wait.c) and by its steps. */
const CALLS_AFTER_WAITING: readonly KnownCall[] = [
	{ name: "prctl", args: [PR_SET_DUMPABLE, 0] },
	{ name: "prlimit64", args: [0] },
	...["close_range", "recvmsg", "dup3", "chdir", "rt_sigprocmask", "execve"].map((name) => ({ name })),
	...["nanosleep", "clock_nanosleep", "exit_group"].map((name) => ({ name })),
];

/** May a process wait with its filters on, which take the kernel longer than all else to install? */
export function mayWaitFiltered({ linux }: Pick<Spec, "linux">): boolean {
	return allowsAll(linux.seccomp, CALLS_AFTER_WAITING);
}

export interface Confinement {
	readonly child: readonly Step[];
	/** After what is left to do with the streams and limits of one program: then only exec is left. */
	readonly last: readonly Step[];
}

/**
 * In the program's process, in the order in which each step still has the right to do the next.
 *
 * @param filtered the filters are put on in `child`, where {@link mayWaitFiltered} says that they may be
 */
export function confinementSteps(
	spec: Spec,
	facts: HostFacts,
	beforeFilters: readonly Step[],
	filtered = false,
): Confinement {
	const { arch, kernel, programs = [] } = facts;
	const announces = mayAnnounce(kernel, { profile: spec.linux.seccomp, steps: beforeFilters });
	const announced = programs.length > 0 && announces ? announceExecSteps(arch) : [];
	const stopped = programs.length > 0 && !announces ? stopAtExecSteps(arch) : [];
	const filters = [...stopped, ...seccompSteps(spec, facts)];
	return {
		child: [
			...macSteps(spec.process),
			...credentialSteps(spec.process, facts.caller.privileged),
			...(facts.landlockAbi > 0 ? restrictSteps() : []),
			...(filtered ? [...announced, ...filters] : []),
		],
		last: [
			...beforeFilters,
			...(filtered ? [] : announced),
			{ label: "unblock signals", call: "rt_sigprocmask", args: [SIG_SETMASK, struct("[]", [{ u64: 0 }]), 0, 8] },
			{ label: "close every other descriptor", call: "close_range", args: [3, 0xffff_ffff, 0] },
			...(filtered ? [] : filters),
		],
	};
}
