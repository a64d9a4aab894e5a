/** `vmjail [flags] -- PROGRAM …` */

import { openSync, writeSync } from "node:fs";
import { VmjailError } from "../errors.ts";
import { start } from "../jail/run.ts";
import type { Running, RunResult } from "../jail/types.ts";
import { exitStatus, signalNumber } from "../outcome/outcome.ts";
import type { Policy } from "../policy/types.ts";
import { describe, FAILED, say, sayDenial, sayEnd, sayMissing, sayRuntime, statusOf } from "./report.ts";
import { writeResult } from "./result-file.ts";
import { TerminalRelay, wantsTerminal } from "./terminal.ts";

export interface RunArguments {
	readonly policy: Policy;
	readonly command: readonly string[];
	/** Where the Outcome goes as JSON. */
	readonly result?: string;
	/** Where network events go, a JSON object a line. */
	readonly events?: string;
	readonly quiet: boolean;
	readonly runsc?: string;
	readonly debugLog?: string;
}

/** Signals that the program gets when vmjail does. */
const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;

/** As often as somebody presses Ctrl-C before the program is ended whether it wants or not. */
const PATIENCE = 3;

/**
 * To be called before the program is asked for, or a signal could come when it runs and nobody listens yet. Until there is a
 * program, signals do to vmjail what they do to others. Returns what names the program.
 */
function forwardSignals(): (running: Running) => void {
	const at: { running?: Running; interrupts: number } = { interrupts: 0 };
	for (const name of FORWARDED) {
		const pass = () => {
			if (at.running === undefined) {
				process.off(name, pass);
				process.kill(process.pid, name);
			} else if (name === "SIGINT" && ++at.interrupts >= PATIENCE) at.running.cancel();
			else at.running.signal(signalNumber(name));
		};
		process.on(name, pass);
	}
	return (running) => {
		at.running = running;
	};
}

/** Opened before the program starts, so that a file that cannot be had is found out then. */
function eventWriter(file: string): (event: unknown) => void {
	try {
		const descriptor = openSync(file, "a", 0o600);
		return (event) => void writeSync(descriptor, `${JSON.stringify(event)}\n`);
	} catch (cause) {
		throw new VmjailError("USAGE", `--events ${file}: cannot be written: ${(cause as NodeJS.ErrnoException).code}`, {
			remedy: "Name a file that you may write.",
			cause,
		});
	}
}

async function runProgram({ policy, command, events, quiet, runsc, debugLog }: RunArguments): Promise<RunResult> {
	const relay = wantsTerminal() ? new TerminalRelay() : undefined;
	const forwardTo = forwardSignals();
	const running = await start(command, {
		policy,
		stdin: "inherit",
		stdout: "inherit",
		stderr: "inherit",
		...(quiet ? {} : { onDenial: sayDenial }),
		...(events === undefined ? {} : { onNetworkEvent: eventWriter(events) }),
		...(runsc === undefined ? {} : { runsc }),
		...(debugLog === undefined ? {} : { debugLog }),
		...(relay === undefined ? {} : { terminal: relay.request }),
	});
	forwardTo(running);
	sayRuntime(running.choice);
	if (!quiet) sayMissing(running.missing);
	relay?.attach(running);
	try {
		return await running.result;
	} finally {
		await relay?.finish();
	}
}

/** Runs the program and returns the exit status of vmjail. */
export async function runCommand(args: RunArguments): Promise<number> {
	try {
		const outcome = await runProgram(args);
		if (!args.quiet) sayEnd(outcome);
		writeResult(args.result, outcome);
		return exitStatus(outcome);
	} catch (error) {
		say(describe(error));
		if (!(error instanceof VmjailError) || error.code === "USAGE") return statusOf(error);
		const { code, message, remedy } = error;
		writeResult(args.result, { kind: "error", code, message, remedy });
		return statusOf(error) || FAILED;
	}
}
