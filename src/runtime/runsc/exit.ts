/** What runsc wrote about a run → how the program ended, or why it never started. Pure. */

import { VmjailError } from "../../errors.ts";
import { exitOfWait, type RawExit } from "../driver.ts";

export interface LogLine {
	readonly msg: string;
	readonly level: string;
}

/** What `runsc run` writes, at level debug, when the program has been started. */
const STARTED = "Waiting for container ";

/** Nine lines in ten, and long ones: not worth reading. Within a message the quotes would be escaped. */
const isChatter = (line: string) => line.includes('"level":"debug"') && !line.includes(STARTED);

/**
 * JSON log lines, without what is said for debugging; what is not one (a line cut short by a kill, a Go stack trace) is left out. Several objects may share
 * a line: the gofer and the Sentry write to the same file.
 */
export function parseLog(text: string): readonly LogLine[] {
	return text
		.replaceAll('}{"msg":', '}\n{"msg":')
		.split("\n")
		.flatMap((line): readonly LogLine[] => {
			if (isChatter(line)) return [];
			try {
				const { msg, level } = JSON.parse(line) as Partial<LogLine>;
				return typeof msg === "string" && typeof level === "string" ? [{ msg, level }] : [];
			} catch {
				return [];
			}
		});
}

/**
 * The wait status that `runsc run` writes last (the source file and line before it vary by build); undefined where it
 * did not come that far.
 */
export function exitOf(log: readonly LogLine[]): RawExit | undefined {
	const last = log.findLast(({ msg }) => msg.includes("Exiting with status: "));
	const digits = last === undefined ? undefined : /Exiting with status: (\d+)$/.exec(last.msg)?.[1];
	if (digits === undefined) return undefined;
	return exitOfWait(Number(digits));
}

/** `runsc run` waits for the program, or has done so. */
export function hasStarted(log: readonly LogLine[]): boolean {
	return log.some(({ msg }) => msg.includes(STARTED)) || exitOf(log) !== undefined;
}

/** What the debug log puts before a message: "util.go:64] FATAL ERROR: ". */
const PLACE = /^(?:[\w.]+\.go:\d+\] )?(?:FATAL ERROR: )?/;

interface Cause {
	readonly pattern: RegExp;
	readonly explain: (match: RegExpExecArray) => VmjailError;
}

const CAUSES: readonly Cause[] = [
	{
		pattern:
			/failed to load (\S+): (?:no such file or directory|not a directory)|error finding executable "([^"]*)" in PATH/,
		explain: ([, path, name]) =>
			new VmjailError("COMMAND_NOT_FOUND", `${path ?? name} is not in the jail`, {
				remedy: "Name a program that the jail shows: its folder may be masked, or missing from PATH.",
			}),
	},
	{
		pattern: /failed to load (\S+): (.+)$/,
		explain: ([, path, why]) =>
			new VmjailError("COMMAND_NOT_EXECUTABLE", `${path} may not be executed: ${why}`, {
				remedy:
					"It must be an executable file of this machine's architecture, on a mount without noexec, that the jail's user may read.",
			}),
	},
	{
		pattern: /fork\/exec .*(?:operation not permitted|no space left on device|invalid argument)/,
		explain: ([what]) =>
			new VmjailError("HOST_UNSUPPORTED", `runsc may not make user namespaces here: ${what}`, {
				remedy: "Raise user.max_user_namespaces, allow unprivileged user namespaces, or run vmjail as root.",
			}),
	},
	{
		pattern: /error setting up FS: (.+)$/,
		explain: ([, what]) => new VmjailError("LAUNCH_FAILED", `runsc: set up the jail's files: ${what}`),
	},
];

/**
 * Why runsc did not run the program.
 *
 * @param debugLog where the caller finds everything that runsc had to say, if it asked for that
 */
export function failureOf(log: readonly LogLine[], debugLog: string | undefined): VmjailError {
	const errors = log
		.filter(({ level }) => level === "error" || level === "warning")
		.map(({ msg }) => msg.replace(PLACE, ""));
	for (const { pattern, explain } of CAUSES) {
		for (const error of errors) {
			const match = pattern.exec(error);
			if (match !== null) return explain(match);
		}
	}
	const said = errors.filter((error) => !error.startsWith("Failure to execute command")).at(-1);
	return new VmjailError(
		"LAUNCH_FAILED",
		`runsc: ${said?.replace(/^.*FATAL ERROR: /, "") ?? "ended without saying why"}`,
		{
			remedy: debugLog === undefined ? "Run again with --debug-log DIR to see what gVisor says." : `See ${debugLog}.`,
		},
	);
}
