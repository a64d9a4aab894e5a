/**
 * A program's seccomp filter inside gVisor, installed by its own process: a small program of vmjail's is the jail's first one,
 * installs the filter that vmjail compiled and becomes the program. gVisor's own compiler of OCI profiles takes 16 ms for what a
 * seccomp(2) does in one, and knows no error number. Pure.
 */

import { VmjailError } from "../../errors.ts";
import type { Architecture } from "../../host/types.ts";
import type { Process, Spec } from "../../oci/types.ts";
import { AT_FDCWD, O_CLOEXEC, O_CREAT, O_RDONLY, O_WRONLY } from "../../plan/constants.ts";
import { allowsAll } from "../../plan/seccomp/allows.ts";
import { jointFilter, jointFilterStep } from "../../plan/seccomp/install.ts";
import { cstring } from "../../plan/steps.ts";
import type { SlotName, Step } from "../../plan/types.ts";
import { candidates, execSteps } from "../../plan/workload.ts";
import { innerFilters } from "./inner.ts";

/** What native/confine/confine.c still has to call when its filter is on. */
const LAST_CALLS = ["execve", "write", "exit_group"].map((name) => ({ name }));

export interface Confined {
	/** The program's process as the runtime is to start it. */
	readonly process: Process;
	/** What it does before it is the program: for who wants to see it. */
	readonly steps: readonly Step[];
}

/**
 * Undefined where the filter has to be the runtime's own: where a profile refuses what comes after it, and for a program that keeps
 * capabilities, which an execve(2) takes away in builds without ambient ones.
 *
 * @param report descriptor, inside, of a file that is written to where nothing could be executed
 * @throws VmjailError USAGE for arguments that no exec(2) takes, POLICY_INVALID for a profile of more than 4096 instructions
 */
export function confined(spec: Spec, arch: Architecture, report: number): Confined | undefined {
	const { process } = spec;
	const profile = spec.linux.seccomp;
	if (!allowsAll(profile, LAST_CALLS) || (process.capabilities?.permitted ?? []).length > 0) return undefined;
	const filters = innerFilters(profile);
	const { bytes, flags } = jointFilter(filters, arch);
	if (flags !== 0) return undefined;
	const files = candidates(process.args[0] ?? "", process.env);
	const steps = [jointFilterStep("install the seccomp filter", filters, arch), ...execSteps(process)];
	const filter = Buffer.from(bytes).toString("hex");
	const args = ["vmjail-confine", String(report), filter, String(files.length), ...files, ...process.args];
	return { process: { ...process, args }, steps };
}

/** Opens, in the runtime's process, what it passes on: a new file for the report, and the small program. */
export function openSteps(report: string, program: string): readonly (Step & { readonly save: SlotName })[] {
	return [
		{
			label: `make ${report}`,
			call: "openat",
			args: [AT_FDCWD, cstring(report), O_WRONLY | O_CREAT | O_CLOEXEC, 0o600],
			save: "report",
		},
		{
			label: `open ${program}`,
			call: "openat",
			args: [AT_FDCWD, cstring(program), O_RDONLY | O_CLOEXEC, 0],
			save: "program",
		},
	];
}

/** Error numbers by which execve(2) says that a file is not there. */
const MISSING: ReadonlySet<string> = new Set(["ENOENT", "ENOTDIR"]);

/**
 * Why the program was not executed.
 *
 * @param report what the file holds: nothing where the program ran
 * @param errnoName of a number
 */
export function reportedFailure(
	report: string,
	program: string,
	errnoName: (errno: number) => string,
): VmjailError | undefined {
	const [, what, digits] = /^(filter|execute) (\d+)\n$/.exec(report) ?? [];
	if (what === undefined) return undefined;
	const why = errnoName(Number(digits));
	if (what === "filter") {
		return new VmjailError("LAUNCH_FAILED", `runsc: install the seccomp filter: ${why}`, {
			remedy: "Run again with --debug-log DIR to see what gVisor says.",
		});
	}
	if (MISSING.has(why)) {
		return new VmjailError("COMMAND_NOT_FOUND", `${program} is not in the jail`, {
			remedy: "Name a program that the jail shows: its folder may be masked, or missing from PATH.",
		});
	}
	return new VmjailError("COMMAND_NOT_EXECUTABLE", `${program} may not be executed: ${why}`, {
		remedy:
			"It must be an executable file of this machine's architecture, on a mount without noexec, that the jail's user may read.",
	});
}
