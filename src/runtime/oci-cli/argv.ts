/** The command lines of runc and crun. Pure. */

export type OciRuntime = "runc" | "crun";

export interface OciArgvInput {
	readonly runtime: OciRuntime;
	/** Absolute path of the binary. */
	readonly path: string;
	/** Private state folder of this run. */
	readonly state: string;
	/** JSON lines: why the runtime fails. */
	readonly log: string;
	readonly bundle: string;
	readonly id: string;
}

/** Options before the command; crun can leave control groups alone, runc goes on without where it may not make any. */
function globalOptions({ runtime, state, log }: OciArgvInput): readonly string[] {
	const common = ["--root", state, "--log", log, "--log-format", "json"];
	return [...common, runtime === "crun" ? "--cgroup-manager=disabled" : "--rootless=true"];
}

/** In the foreground: the exit status is the program's, or 128 and the number of the signal that ended it. */
export function runArgv(input: OciArgvInput): readonly string[] {
	return [input.path, ...globalOptions(input), "run", "--bundle", input.bundle, input.id];
}

/** Removes what a killed runtime has left: state, and control groups of runc's own. */
export function deleteArgv(input: OciArgvInput): readonly string[] {
	return [input.path, ...globalOptions(input), "delete", "--force", input.id];
}
