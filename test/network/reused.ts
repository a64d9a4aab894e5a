/** Jails that are used again, in the lab: the built library, driven by a test's own lines. */

import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ExecOptions, Lab } from "../lab/lab.ts";
import type { RuleTexts } from "./policy.ts";
import { PASSED } from "./product.ts";

const NOBODY = 65534;
const MAIN = join(import.meta.dirname, "reused-main.mjs");

/** What a test's lines have of a program that ran, as reused-main.mjs shows it. */
export interface Shown {
	readonly kind: string;
	readonly exitCode?: number;
	readonly stdout: string;
	readonly stderr: string;
	readonly denials: readonly string[];
}

export interface ReusedOptions extends ExecOptions {
	readonly texts: RuleTexts;
	/** Bytes per second. */
	readonly rate?: number;
	/** The policy's `system`. */
	readonly system?: Readonly<Record<string, unknown>>;
	/** A binary of gVisor's; absent: runlc. */
	readonly runsc?: string;
	/** As an ordinary user. */
	readonly asUser?: boolean;
}

/** The command that runs `body` (see reused-main.mjs) on the lab's host. */
export function reusedCommand(
	lab: Lab,
	{ texts, rate, system, runsc }: ReusedOptions,
	body: string,
): readonly string[] {
	const folder = mkdtempSync(join(lab.folder, "reused"));
	chmodSync(folder, 0o755);
	const [policy, lines] = [join(folder, "policy.json"), join(folder, "body.js")];
	const optional = ["memory", "swap", "cpu", "cpuset", "pids", "io"];
	const content = {
		system: {
			cwd: "/tmp",
			env: { pass: PASSED },
			optional,
			...(runsc === undefined ? {} : { runtime: "runsc" }),
			...system,
		},
		security: {
			network: { mode: "hostwithpolicy", policy: rate === undefined ? texts : { ...texts, rate } },
			file: { readablePaths: [lab.folder], tmpfs: [{ path: "/tmp", size: "16MiB" }] },
		},
	};
	writeFileSync(policy, JSON.stringify(content));
	writeFileSync(lines, body);
	return [process.execPath, MAIN, policy, lines, ...(runsc === undefined ? [] : [runsc])];
}

/** What `body` returns. */
export async function reused<T>(lab: Lab, options: ReusedOptions, body: string): Promise<T> {
	const { asUser, ...exec } = options;
	const { status, stdout, stderr } = await lab.hostExec(reusedCommand(lab, options, body), {
		...exec,
		...(asUser ? { uid: NOBODY } : {}),
	});
	if (status !== 0) throw new Error(`exit ${status}: ${stderr}`);
	return JSON.parse(stdout) as T;
}
