import { spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removeFolder } from "../helpers/folder.ts";
import { type Caller, PATH } from "../system/caller.ts";
import type { Need, PolicyJson, RunOptions, RunResult, RuntimeUnderTest } from "./runtime.ts";
import { openTerminal } from "./terminal.ts";

const vmjail = join(import.meta.dirname, "../../vmjail");

const RUNNER: Caller = { name: "root", uid: process.getuid?.() ?? 0, prefix: [] };

interface CliOptions {
	readonly name?: string;
	readonly flags?: readonly string[];
	/** Default: whoever runs the tests. */
	readonly caller?: Caller;
}

/** The command line behind the suite's interface; `runtime` is written into each policy, `flags` are vmjail's own. */
export function cliUnderTest(
	kind: RuntimeUnderTest["kind"],
	gives: readonly Need[],
	{ name = kind, flags = [], caller = RUNNER }: CliOptions = {},
): RuntimeUnderTest {
	return {
		name,
		kind,
		gives: new Set(gives),
		caller: { uid: caller.uid, gid: caller.uid },
		run: (policy, argv, options = {}) => run(withRuntime(policy, kind), argv, options, { flags, caller }),
	};
}

function withRuntime(policy: PolicyJson, runtime: string): PolicyJson {
	return { ...policy, system: { ...(policy["system"] as object | undefined), runtime } };
}

async function run(
	policy: PolicyJson,
	argv: readonly string[],
	options: RunOptions,
	{ flags, caller }: { readonly flags: readonly string[]; readonly caller: Caller },
): Promise<RunResult> {
	const folder = mkdtempSync(join(tmpdir(), "vmjail-streams-"));
	if (caller.prefix.length > 0) chownSync(folder, caller.uid, caller.uid);
	const files = { policy: join(folder, "policy.json"), result: join(folder, "result.json") };
	writeFileSync(files.policy, JSON.stringify(policy));
	const args = [
		...caller.prefix,
		vmjail,
		...flags,
		"--quiet",
		"--config",
		files.policy,
		"--result",
		files.result,
		"--",
		...argv,
	];
	try {
		const ended = await (options.terminal === true ? inTerminal(args, options) : withPipes(args, options));
		return { ...ended, ...readResult(files.result) };
	} finally {
		removeFolder(folder);
	}
}

/** Nothing where vmjail itself was killed, or refused its command line. */
function readResult(file: string): Pick<RunResult, "error" | "ended" | "limit" | "memoryPeakBytes"> {
	if (!existsSync(file)) return {};
	const { kind, code, limit, memoryPeakBytes } = JSON.parse(readFileSync(file, "utf8")) as {
		readonly kind: string;
		readonly code?: string;
		readonly limit?: string;
		readonly memoryPeakBytes?: number;
	};
	if (code !== undefined) return { error: code };
	const measured = memoryPeakBytes === undefined ? {} : { memoryPeakBytes };
	if (limit !== undefined) return { limit, ...measured };
	return { ...measured, ...(kind === "exited" || kind === "signaled" ? { ended: kind } : {}) };
}

/** vmjail needs a PATH to find node, without folders that are closed to ordinary users; what the jail passes on is the policy's choice. */
function callerOf({ env = {}, cwd = "/" }: RunOptions) {
	return { cwd, env: { PATH, ...env } };
}

async function withPipes(args: readonly string[], options: RunOptions): Promise<RunResult> {
	const child = spawn(args[0] ?? "", args.slice(1), { ...callerOf(options), stdio: "pipe" });
	const output = { stdout: "", stderr: "" };
	for (const name of ["stdout", "stderr"] as const) {
		child[name].setEncoding("latin1").on("data", (text: string) => {
			const isFirst = !output[name].includes("\n");
			output[name] += text;
			const signal = options.signalAfterFirstLine;
			if (name === "stdout" && isFirst && text.includes("\n") && signal !== undefined) child.kill(signal);
		});
	}
	// A program that ends before it has read everything is no fault of the suite.
	child.stdin.on("error", () => undefined);
	if (options.stdinStaysOpen !== true) child.stdin.end(options.stdin ?? "", "latin1");
	const [exitCode] = (await once(child, "close")) as [number | null];
	return { exitCode: exitCode ?? 137, ...output };
}

async function inTerminal(args: readonly string[], options: RunOptions): Promise<RunResult> {
	const streams = await openTerminal(options.stdin);
	try {
		const { stdin, stdout, stderr } = streams.stdio;
		// A shell would have made it the controlling terminal of vmjail's session.
		const child = spawn("setsid", ["--ctty", ...args], {
			...callerOf(options),
			stdio: [stdin, stdout, stderr],
		});
		const [exitCode] = (await once(child, "exit")) as [number | null];
		return { exitCode: exitCode ?? 137, ...(await streams.finish()) };
	} finally {
		streams.close();
	}
}
