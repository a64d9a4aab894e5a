/** A step that failed → an error that says which, why, and what to do. */

import { VmjailError } from "../errors.ts";
import type { StepFailure } from "../executor/frames.ts";
import { errnoName } from "../host/errno.ts";
import type { Launch, Plan, Step } from "../plan/types.ts";

const DOCTOR = "Run `vmjail doctor`: it tries what a jail needs and names the fix.";

/** What an error number most likely means for a call, where that is not plain. */
const REMEDIES: Readonly<Record<string, string>> = {
	"clone3 EPERM": "This host forbids user namespaces to you. Run `vmjail doctor`: it names the setting.",
	"clone3 ENOSPC": "The host's limit of namespaces is reached: raise user.max_user_namespaces (sysctl).",
	"clone3 EAGAIN": "The host's limit of processes is reached (ulimit -u, or the pids cgroup that vmjail itself is in).",
	"openat2 ELOOP":
		"A component of the path became a symbolic link after the policy was read. Run again, and mind who can write there.",
	"openat2 ENOENT": "The path, or the place for it in the jail's root, is gone. Make it, or take it out of the policy.",
	"write ENODEV":
		"Somebody removed the control group meanwhile. A jail that is used again makes another one: try again.",
	"move_mount ENOENT": "The place to mount on is gone.",
	"prlimit64 EPERM":
		"The limit is above what vmjail itself may have (ulimit -H). Lower it in the policy, or raise vmjail's own.",
	"chdir ENOENT": "The working folder does not exist in the jail. Set system.cwd (--cwd) to one that does.",
	"chdir EACCES": "The program's user may not enter the working folder. Set system.cwd (--cwd) to one that it may.",
};

/** Of execve(2). */
const EXEC_REMEDIES: Readonly<Record<string, string>> = {
	E2BIG: "Its arguments and environment are longer than the stack limit allows: split them (xargs), or use a file.",
	ENOEXEC: "It is no program for this machine, or a script without a first line such as #!/bin/sh.",
	ENOMEM: "The memory limit is too small for it to start.",
	ETXTBSY: "Somebody has it open for writing.",
};

const EXEC_LABEL = "execute ";

function stepOf(launch: Launch | Plan, failure: StepFailure): Step | undefined {
	if (failure.step === undefined) return undefined;
	const { cloneFlags: _, ...sections } = launch;
	const steps: Readonly<Partial<Record<string, unknown>>> = sections;
	const section = steps[failure.section];
	return Array.isArray(section) ? (section[failure.step] as Step) : undefined;
}

/**
 * The error for a failure. An execve(2) that failed is COMMAND_NOT_FOUND or COMMAND_NOT_EXECUTABLE, anything else
 * LAUNCH_FAILED. `refused`: the file that the exec guard refused.
 */
export function launchError(
	launch: Launch | Plan,
	failure: StepFailure,
	command: readonly string[],
	refused?: string,
): VmjailError {
	const step = stepOf(launch, failure);
	const name = errnoName(failure.error);
	if (step?.call === "execve") return execError(step, name, failure, command[0] ?? "", refused);
	const label = step?.label ?? "start a process in new namespaces";
	const call = step?.call ?? "clone3";
	return new VmjailError("LAUNCH_FAILED", `${label}: ${name}`, { remedy: REMEDIES[`${call} ${name}`] ?? DOCTOR });
}

function execError(step: Step, name: string, failure: StepFailure, program: string, refused?: string): VmjailError {
	const file = program.includes("/") ? step.label.slice(EXEC_LABEL.length) : program;
	if (refused !== undefined) {
		return new VmjailError("COMMAND_NOT_EXECUTABLE", `refused: ${refused} is not in security.process.allow`, {
			remedy: `Allow it: --exec ${refused} (\`vmjail check\` tells what else it needs).`,
		});
	}
	const denied = failure.denied !== 0 && (name === "ENOENT" || name === "ENOTDIR");
	if ((name === "ENOENT" || name === "ENOTDIR") && !denied) {
		return new VmjailError("COMMAND_NOT_FOUND", `${file}: not found in the jail`, {
			remedy: program.includes("/")
				? "The file, or the interpreter that its first line names, is not there: check the path, and that no mask hides it."
				: "No folder of the jail's PATH has it: give its whole path, set PATH (--env PATH=…), or take away the mask that hides it.",
		});
	}
	const why = denied ? errnoName(failure.denied) : name;
	const remedy =
		EXEC_REMEDIES[why] ?? "Make it executable (chmod +x), and check that its file system is not mounted noexec.";
	return new VmjailError("COMMAND_NOT_EXECUTABLE", `${file}: cannot be executed: ${why}`, { remedy });
}
