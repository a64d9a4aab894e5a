/** The command line: finds the command, leaves the work to it, and turns what it throws into a message and a status. */

import { CommanderError } from "commander";
import { VmjailError } from "../errors.ts";
import { receiveExecutor } from "../executor/handed-over.ts";
import { dispatch } from "./commands.ts";
import { describe, FAILED, say, statusOf } from "./report.ts";

function asVmjailError(error: unknown): unknown {
	if (!(error instanceof CommanderError)) return error;
	const message = error.message.replace(/^error: /, "");
	return new VmjailError("USAGE", message, { remedy: "See `vmjail --help`.", cause: error });
}

export async function main(args: readonly string[]): Promise<number> {
	try {
		return await dispatch(receiveExecutor(args));
	} catch (error) {
		// Commander's own way of saying that help or the version was shown.
		if (error instanceof CommanderError && error.exitCode === 0) return 0;
		say(describe(asVmjailError(error)));
		return error instanceof CommanderError ? FAILED : statusOf(error);
	}
}
