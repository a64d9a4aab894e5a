import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VmjailError } from "../../src/errors.ts";
import { probePaths } from "../../src/host/paths.ts";
import { probeHost } from "../../src/host/probe.ts";
import { pathsOf, specOf } from "../../src/oci/spec.ts";
import type { Spec } from "../../src/oci/types.ts";
import { loadPolicy } from "../../src/policy/load.ts";
import type { Driver, Handle } from "../../src/runtime/driver.ts";
import type { Need, PolicyJson, RunOptions, RunResult, RuntimeUnderTest } from "./runtime.ts";
import { openTerminal } from "./terminal.ts";

/** A driver behind the suite's interface: policy → spec → driver, with files for standard streams. */
export function driverUnderTest(name: string, driver: Driver, gives: readonly Need[]): RuntimeUnderTest {
	return {
		name,
		kind: driver.name,
		gives: new Set(gives),
		run: (policy, argv, options = {}) => run(driver, policy, argv, options),
	};
}

const STATUS: Readonly<Record<string, number>> = { COMMAND_NOT_FOUND: 127, COMMAND_NOT_EXECUTABLE: 126 };

async function run(
	driver: Driver,
	policy: PolicyJson,
	argv: readonly string[],
	options: RunOptions,
): Promise<RunResult> {
	const spec = specFor(policy, argv, options);
	const streams = options.terminal === true ? await openTerminal(options.stdin) : openFiles(options.stdin);
	try {
		const handle = await driver.start(spec, streams.stdio);
		if (options.signalAfterFirstLine !== undefined)
			await signalLater(handle, options.signalAfterFirstLine, streams.output);
		const exit = await handle.wait();
		const exitCode = exit.kind === "exited" ? exit.exitCode : 128 + exit.signal;
		return { exitCode, ended: exit.kind, ...(await streams.finish()) };
	} catch (error) {
		if (!(error instanceof VmjailError)) throw error;
		return { exitCode: STATUS[error.code] ?? 125, error: error.code, ...(await streams.finish()) };
	} finally {
		streams.close();
	}
}

function specFor(json: PolicyJson, command: readonly string[], { env, cwd, terminal = false }: RunOptions): Spec {
	const host = probeHost();
	const caller = { ...host.caller, cwd: cwd ?? "/", env: env ?? {} };
	const policy = loadPolicy({ text: JSON.stringify(json), source: "policy.json", cwd: caller.cwd });
	const facts = { ...host, caller, paths: probePaths(pathsOf(policy, { caller })) };
	return specOf({ policy, facts, command, terminal });
}

export interface Streams {
	readonly stdio: { readonly stdin: number; readonly stdout: number; readonly stderr: number };
	/** What standard output has so far. */
	output(): string;
	finish(): Promise<{ readonly stdout: string; readonly stderr: string }>;
	close(): void;
}

function openFiles(stdin = ""): Streams {
	const folder = mkdtempSync(join(tmpdir(), "vmjail-streams-"));
	const at = (name: string) => join(folder, name);
	writeFileSync(at("in"), stdin);
	const stdio = {
		stdin: openSync(at("in"), "r"),
		stdout: openSync(at("out"), "a+"),
		stderr: openSync(at("err"), "a+"),
	};
	const read = (name: string) => readFileSync(at(name), "latin1");
	return {
		stdio,
		output: () => read("out"),
		finish: () => Promise.resolve({ stdout: read("out"), stderr: read("err") }),
		close() {
			for (const descriptor of Object.values(stdio)) closeSync(descriptor);
			rmSync(folder, { recursive: true, force: true });
		},
	};
}

/** Programs that never write a line are signalled all the same, so that the case fails by what it sees. */
async function signalLater(handle: Handle, signal: number, output: () => string): Promise<void> {
	for (let i = 0; i < 1000 && !output().includes("\n"); i++) await new Promise((resolve) => setTimeout(resolve, 10));
	handle.kill(signal);
}

export function exists(path: string): boolean {
	return statSync(path, { throwIfNoEntry: false }) !== undefined;
}
