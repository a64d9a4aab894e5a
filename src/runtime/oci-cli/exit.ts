/** What runc or crun wrote, and their exit status → how the program ended, or why it never started. Pure. */

import { VmjailError } from "../../errors.ts";
import type { RawExit } from "../driver.ts";
import type { OciRuntime } from "./argv.ts";

/** Signals are numbered 1–64 on Linux. */
const LAST_SIGNAL = 64;

/** Messages of level "error" in a log of JSON lines. */
export function errorsIn(text: string): readonly string[] {
	return text.split("\n").flatMap((line) => {
		try {
			const { msg, level } = JSON.parse(line) as { msg?: unknown; level?: unknown };
			return typeof msg === "string" && level === "error" ? [msg] : [];
		} catch {
			return [];
		}
	});
}

/**
 * Both runtimes report a signal n as exit status 128 + n, so that a program that exits with such a status by itself
 * counts as ended by the signal.
 */
export function exitOfStatus(status: number): RawExit {
	const signal = status - 128;
	return signal > 0 && signal <= LAST_SIGNAL ? { kind: "signaled", signal } : { kind: "exited", exitCode: status };
}

/** @param errors of {@link errorsIn}; empty where the runtime was killed before it wrote any */
export function failureOf(runtime: OciRuntime, errors: readonly string[]): VmjailError {
	const said = errors.at(-1) ?? "ended without saying why";
	// runc: exec: "x": stat x: no such file…; crun: executable file `x` not found in $PATH, open executable: …
	const name = /exec: "([^"]+)"|executable file [`']([^`']+)[`'] not found/.exec(said);
	const program = name?.[1] ?? name?.[2] ?? "the program";
	if (/(exec|executable).*(no such file|not found)/i.test(said)) {
		return new VmjailError("COMMAND_NOT_FOUND", `${program} is not in the jail`, {
			remedy: "Name a program that the jail shows: its folder may be masked, or missing from PATH.",
		});
	}
	if (/(exec|executable).*(permission denied|is a directory|exec format error)/i.test(said)) {
		return new VmjailError("COMMAND_NOT_EXECUTABLE", `${program} may not be executed: ${said}`, {
			remedy: "It must be an executable file of this machine's architecture, on a mount without noexec.",
		});
	}
	return new VmjailError("LAUNCH_FAILED", `${runtime}: ${said}`, {
		remedy: `Set system.runtime to "runlc", or export the bundle and run ${runtime} by hand: vmjail oci export DIR.`,
	});
}
