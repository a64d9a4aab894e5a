/** `vmjail doctor`: what this host can give, found by trying. */

import { execFile, execFileSync } from "node:child_process";
import { mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { createColors } from "picocolors";
import { cgroupChecks, swapAccounting } from "../cgroup/findings.ts";
import { newGroupId, ownGroupOwner } from "../cgroup/id.ts";
import { nativePath } from "../executor/package-files.ts";
import { type ExecutorProbe, parseExecutorProbe } from "../host/executor-probe.ts";
import { executorBuilt, kernelVersion, landlock, memfd, overlay, seccomp, yama } from "../host/findings/kernel.ts";
import { crun, idMapTools, runc } from "../host/findings/programs.ts";
import type { Check, Examination, Finding, RunResult } from "../host/findings/types.ts";
import {
	apparmorRestriction,
	maxUserNamespaces,
	nft,
	procMount,
	unprivilegedClone,
	userNamespaces,
} from "../host/findings/user-namespaces.ts";
import { attempt, errnoOf, type HostFs, nodeFs } from "../host/fs.ts";
import { probeHost } from "../host/probe.ts";
import { gvisorFinding } from "./doctor-gvisor.ts";

/** Nothing that is tried here takes a tenth of this. */
const PATIENCE_MS = 10_000;

/** Where root's programs are, also for users whose PATH lacks them. */
const SYSTEM_FOLDERS: readonly string[] = [
	"/usr/local/sbin",
	"/usr/sbin",
	"/sbin",
	"/usr/local/bin",
	"/usr/bin",
	"/bin",
];

export interface ProbeAllOptions {
	/** Absolute path of the executor. Absent: where the build puts it. */
	readonly executorPath?: string;
	/** Path or name of runsc. Default: VMJAIL_RUNSC, else "runsc" in PATH. */
	readonly runsc?: string;
}

export interface DoctorOptions extends ProbeAllOptions {
	readonly json: boolean;
	readonly stdout: { readonly write: (text: string) => unknown; readonly isTTY?: boolean };
}

/** Undefined where the executor is not built, or does not run here. */
function executorProbe(path: string | undefined): ExecutorProbe | undefined {
	if (path === undefined) return undefined;
	return attempt(() => parseExecutorProbe(execFileSync(path, ["probe"], { timeout: PATIENCE_MS, encoding: "utf8" })));
}

function run(command: string, args: readonly string[]): Promise<RunResult> {
	return new Promise((resolve) => {
		const options = { timeout: PATIENCE_MS, killSignal: "SIGKILL", encoding: "utf8" } as const;
		execFile(command, args, options, (error, stdout, stderr) => {
			const status = error === null ? 0 : typeof error.code === "number" ? error.code : undefined;
			resolve(status === undefined ? { stdout, stderr } : { status, stdout, stderr });
		});
	});
}

function finder(path: string, fs: HostFs): Examination["find"] {
	const folders = [...path.split(":").filter((folder) => folder.startsWith("/")), ...SYSTEM_FOLDERS];
	return (name) =>
		folders.map((folder) => join(folder, name)).find((file) => attempt(() => fs.lstat(file)) !== undefined);
}

function makeAndRemove(path: string): string | undefined {
	try {
		mkdirSync(path);
		rmdirSync(path);
		return undefined;
	} catch (error) {
		return errnoOf(error);
	}
}

function checks(options: ProbeAllOptions): readonly Check[] {
	const groups = { makeAndRemove, id: newGroupId(ownGroupOwner()) };
	return [
		kernelVersion,
		executorBuilt,
		userNamespaces,
		maxUserNamespaces,
		unprivilegedClone,
		apparmorRestriction,
		procMount,
		seccomp,
		landlock,
		yama,
		memfd,
		overlay,
		...cgroupChecks(groups),
		swapAccounting,
		nft,
		idMapTools,
		({ executor }) =>
			gvisorFinding(
				executor === undefined ? undefined : { ...(options.runsc === undefined ? {} : { runsc: options.runsc }) },
			),
		crun,
		runc,
	];
}

/**
 * Every check, in the order in which they are shown. What is made on the way (namespaces, groups) is gone at the end.
 *
 * @throws VmjailError HOST_UNSUPPORTED on an architecture without an executor, and where /proc is not mounted
 */
export async function probeAll(options: ProbeAllOptions = {}): Promise<readonly Finding[]> {
	const executorPath = options.executorPath ?? attempt(() => nativePath("vmjail-executor"));
	const executor = executorProbe(executorPath);
	const examination: Examination = {
		fs: nodeFs,
		facts: probeHost(),
		run,
		find: finder(process.env["PATH"] ?? "", nodeFs),
		...(executorPath === undefined ? {} : { executorPath }),
		...(executor === undefined ? {} : { executor }),
	};
	return await Promise.all(checks(options).map((check) => check(examination)));
}

/** runlc starts jails where nothing that it needs is missing. */
export function canRun(findings: readonly Finding[]): boolean {
	return findings.every(({ ok, needed }) => ok !== "no" || !needed);
}

const MARKS = { yes: "✓", no: "✗", partly: "–" } as const;

/** A table, its fixes below their lines, and a line that sums up. */
export function table(findings: readonly Finding[], colours: boolean): string {
	const paint = createColors(colours);
	const colour = { yes: paint.green, no: paint.red, partly: paint.yellow } as const;
	const width = Math.max(...findings.map(({ name }) => name.length));
	const rows = findings.flatMap(({ name, ok, detail, fix }, i) => [
		`${colour[ok](MARKS[ok])} ${name.padEnd(width)}  ${detail}`,
		// Neighbours with one remedy show it once, under the last of them.
		...(ok === "yes" || fix === undefined || findings[i + 1]?.fix === fix
			? []
			: [paint.dim(`  ${" ".repeat(width)}  → ${fix}`)]),
	]);
	const missing = findings.filter(({ ok }) => ok !== "yes").length;
	const also = missing === 0 ? "Nothing is missing." : `${missing} of ${findings.length} checks fall short (✗, –).`;
	const needs = findings.filter(({ ok, needed }) => ok === "no" && needed).map(({ name }) => name);
	const verdict = canRun(findings) ? "runlc can run here." : `runlc cannot run here: ${needs.join(", ")}.`;
	return `${[...rows, "", `${paint.bold(verdict)} ${also}`].join("\n")}\n`;
}

/**
 * Prints the findings: a table, or with `json` one array of them.
 *
 * @returns the exit status: 0 where runlc can run, else 1
 */
export async function runDoctor(options: DoctorOptions): Promise<number> {
	const { json, stdout } = options;
	const findings = await probeAll(options);
	const colours = stdout.isTTY === true && !process.env["NO_COLOR"];
	stdout.write(json ? `${JSON.stringify(findings, null, "\t")}\n` : table(findings, colours));
	return canRun(findings) ? 0 : 1;
}
