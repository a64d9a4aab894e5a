/** The exec allow-list as steps: what the guard lets run, what Landlock lets be executed, and the filter that stops execve. */

import type { Architecture, HostFacts, ProgramFact } from "../host/types.ts";
import { hasAny } from "../oci/seccomp/masks.ts";
import { withKey } from "../oci/seccomp-of.ts";
import type { LinuxSeccomp, Mount } from "../oci/types.ts";
import { AT_FDCWD, O_CLOEXEC, O_PATH, O_WRONLY, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS } from "./constants.ts";
import { ROOT } from "./mounts.ts";
import { parseOptions } from "./options.ts";
import { filterStep } from "./seccomp/install.ts";
import { cstring, struct, text } from "./steps.ts";
import type { Step } from "./types.ts";

/** asm-generic/errno{-base,}.h, sched.h */
const EPERM = 1;
const ENOSYS = 38;
const CLONE_UNTRACED = 0x0080_0000;

const LINK_FREE = struct("{O_PATH|O_CLOEXEC, RESOLVE_NO_SYMLINKS}", [
	{ u64: O_PATH | O_CLOEXEC },
	{ u64: 0 },
	{ u64: RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS },
]);

const unique = (paths: readonly string[]): readonly string[] => [...new Set(paths)];

/** The files that may become programs: those listed, and the interpreters that run in the place of listed scripts. */
export function programFiles(programs: readonly ProgramFact[]): readonly string[] {
	return unique(programs.flatMap(({ real, interpreters }) => [real, ...interpreters]));
}

/** The files that the kernel opens for execution: programs, and the loaders that they name. */
export function executableFiles(programs: readonly ProgramFact[]): readonly string[] {
	return unique([...programFiles(programs), ...programs.flatMap(({ loaders }) => loaders)]);
}

/** In pid 1, when the root is in place: tells the guard the allowed files, by inode. */
export function allowSteps(programs: readonly ProgramFact[]): readonly Step[] {
	return programFiles(programs).flatMap((file): readonly Step[] => [
		{
			label: `open ${file} in the jail`,
			call: "openat2",
			args: [AT_FDCWD, cstring(file), LINK_FREE, 24],
			save: "program",
		},
		{ label: `let ${file} run`, call: "allow_program", args: [{ slot: "program" }] },
	]);
}

/**
 * In pid 1, while /proc/sys can still be written: memory files are not executable, and no program can ask that they be
 * (Documentation/userspace-api/mfd_noexec.rst, Linux 6.3; the guard holds without it).
 */
export function memfdSteps(): readonly Step[] {
	const enforced = text("2\n");
	return [
		{
			label: "open memfd_noexec of the jail",
			call: "openat",
			args: [{ slot: ROOT }, cstring("proc/sys/vm/memfd_noexec"), O_WRONLY | O_CLOEXEC, 0],
			save: "memfd",
			tolerate: ["ENOENT", "EACCES"],
		},
		{
			label: "make memory files not executable",
			call: "write",
			args: [{ slot: "memfd" }, enforced, enforced.bytes.length],
			tolerate: ["EBADF", "EINVAL", "EPERM"],
		},
	];
}

/** Writable mounts lose the right to execute, except where the kernel must open a file of theirs to execute it. */
export function withoutExec(mounts: readonly Mount[], programs: readonly ProgramFact[]): readonly Mount[] {
	const covered = new Set(programs.flatMap(({ real, snapshot }) => (snapshot === undefined ? [] : [real])));
	const executable = executableFiles(programs).filter((file) => !covered.has(file));
	return mounts.map((mount) => {
		const { destination, options = [] } = mount;
		const holdsProgram = executable.some((file) => file === destination || file.startsWith(`${destination}/`));
		if (parseOptions(options, destination).readonly || holdsProgram) return mount;
		return { ...mount, options: [...options, "noexec", ...(options.includes("rbind") ? ["rnoexec"] : [])] };
	});
}

/**
 * Keeps every process under the guard. A process without a tracer cannot execute anything (SECCOMP_RET_TRACE answers
 * ENOSYS then), but it could have another one trace it, or answer its own calls by a seccomp listener, which comes first:
 * so nobody traces, and nobody is born untraced. clone3's flags lie behind a pointer; without it C libraries use clone.
 */
export const STOP_AT_EXEC: LinuxSeccomp = withKey("stop-at-exec", {
	defaultAction: "SCMP_ACT_ALLOW",
	syscalls: [
		{ names: ["execve", "execveat"], action: "SCMP_ACT_TRACE" },
		{ names: ["ptrace"], action: "SCMP_ACT_ERRNO", errnoRet: EPERM },
		{ names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: ENOSYS },
		{ names: ["clone"], action: "SCMP_ACT_ERRNO", errnoRet: EPERM, args: [...hasAny(0, CLONE_UNTRACED)] },
	],
});

/** The same for a guard that has the filter's listener: it traces from each call until the new program was looked at. */
const ANNOUNCE_EXEC: LinuxSeccomp = {
	...STOP_AT_EXEC,
	syscalls: (STOP_AT_EXEC.syscalls ?? []).map((rule) =>
		rule.action === "SCMP_ACT_TRACE" ? { ...rule, action: "SCMP_ACT_NOTIFY" } : rule,
	),
	flags: ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
};

/**
 * In the workload, before its other filter: execve(2) and execveat(2) stop for the guard. Calls of other architectures
 * (32-bit, x32) are refused, as in every filter of ours: their execve has another number.
 */
export function stopAtExecSteps(arch: Architecture): readonly Step[] {
	return [filterStep("stop at execve for the guard", STOP_AT_EXEC, arch)];
}

/** The same, while the process can still speak to pid 1. */
export function announceExecSteps(arch: Architecture): readonly Step[] {
	return [
		{ ...filterStep("announce execve to the guard", ANNOUNCE_EXEC, arch), save: "announced" },
		{ label: "hand the announcements to the guard", call: "watch_exec", args: [{ slot: "announced" }] },
	];
}

/**
 * Can the guard have a listener? Of all filters of a process one may: not another one's as well. And a caller that was
 * announced must not be interrupted by a signal (Linux 5.19).
 */
export function mayAnnounce(
	{ major, minor }: HostFacts["kernel"],
	others: { readonly profile: LinuxSeccomp | undefined; readonly steps: readonly Step[] },
): boolean {
	const notifies = (others.profile?.syscalls ?? []).some(({ action }) => action === "SCMP_ACT_NOTIFY");
	return (
		(major > 5 || (major === 5 && minor >= 19)) && !notifies && !others.steps.some(({ call }) => call === "seccomp")
	);
}
