/** The command line: finds the command, leaves the work to it, and turns what it throws into a message and a status. */

import { CommanderError } from "commander";
import { VmjailError } from "../errors.ts";
import { loadAddon } from "../executor/addon.ts";
import { receiveExecutor } from "../executor/handed-over.ts";
import { dispatch } from "./commands.ts";
import { isTerminal } from "./is-terminal.ts";
import { describe, FAILED, say, statusOf } from "./report.ts";

function asVmjailError(error: unknown): unknown {
	if (!(error instanceof CommanderError)) return error;
	const message = error.message.replace(/^error: /, "");
	return new VmjailError("USAGE", message, { remedy: "See `vmjail --help`.", cause: error });
}

/** A pager that reads what vmjail prints, or an editor before it, keeps the mode that it has given to the terminal. */
function leaveTerminals(): void {
	try {
		loadAddon().leaveTerminals();
	} catch {
		// It is not built, which has been said, or was of no use.
	}
}

export async function main(args: readonly string[]): Promise<number> {
	if ([0, 1, 2].some(isTerminal)) process.on("exit", leaveTerminals);
	try {
		return await dispatch(receiveExecutor(args));
	} catch (error) {
		// Commander's own way of saying that help or the version was shown.
		if (error instanceof CommanderError && error.exitCode === 0) return 0;
		say(describe(asVmjailError(error)));
		return error instanceof CommanderError ? FAILED : statusOf(error);
	}
}
