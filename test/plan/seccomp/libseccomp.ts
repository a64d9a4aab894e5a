/** libseccomp as a judge of our compiler: see libseccomp-oracle.c. */

import { spawnSync } from "node:child_process";
import { mkdirSync, renameSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Architecture } from "../../../src/host/types.ts";
import type { LinuxSeccomp, SeccompAction, SeccompArg, SeccompOperator } from "../../../src/oci/types.ts";
import { parseProgram, RET, type SockFilter } from "../../helpers/bpf.ts";

const SOURCE = fileURLToPath(new URL("./libseccomp-oracle.c", import.meta.url));
const FOLDER = fileURLToPath(new URL("../../../build/", import.meta.url));
const BINARY = `${FOLDER}libseccomp-oracle`;

/** enum scmp_compare */
const OPERATOR: Readonly<Record<SeccompOperator, number>> = {
	SCMP_CMP_NE: 1,
	SCMP_CMP_LT: 2,
	SCMP_CMP_LE: 3,
	SCMP_CMP_EQ: 4,
	SCMP_CMP_GE: 5,
	SCMP_CMP_GT: 6,
	SCMP_CMP_MASKED_EQ: 7,
};

/** Builds the oracle; why that is impossible here, or undefined. */
export function buildOracle(): string | undefined {
	mkdirSync(FOLDER, { recursive: true });
	// Renamed into place: another test file may be running it.
	const fresh = `${BINARY}.${process.pid}`;
	const cc = spawnSync("cc", ["-Wall", "-Wextra", "-Werror", "-O1", "-o", fresh, SOURCE, "-lseccomp"], {
		encoding: "utf8",
	});
	if (cc.status === 0) renameSync(fresh, BINARY);
	else rmSync(fresh, { force: true });
	if (cc.error !== undefined) return `no C compiler (${cc.error.message}): apt-get install gcc`;
	if (cc.stderr.includes("seccomp.h: No such file")) return "no libseccomp headers: apt-get install libseccomp-dev";
	if (cc.status !== 0) throw new Error(`the libseccomp oracle does not compile:\n${cc.stderr}`);
	return undefined;
}

export interface Judgement {
	readonly program: SockFilter[];
	/** Names of the profile that this libseccomp does not know; it leaves their rules out. */
	readonly unknown: ReadonlySet<string>;
}

/**
 * libseccomp's program for a profile, its rules handed over as runc and crun do.
 * Undefined where libseccomp refuses the rules as contradictory (EEXIST).
 */
export function askLibseccomp(profile: LinuxSeccomp, arch: Architecture): Judgement | undefined {
	const byDefault = actionValue(profile.defaultAction, profile.defaultErrnoRet);
	const lines = [`init ${arch} ${byDefault}`];
	for (const rule of profile.syscalls ?? []) {
		const action = actionValue(rule.action, rule.errnoRet);
		if (action === byDefault) continue;
		const args = rule.args ?? [];
		const repeated = args.some((arg, at) => args.findIndex((other) => other.index === arg.index) !== at);
		const alternatives = repeated ? args.map((arg) => [arg]) : [args];
		for (const name of rule.names) {
			for (const one of alternatives) lines.push(`rule ${action} ${name} ${one.map(argText).join(" ")}`);
		}
	}
	const input = `${lines.join("\n")}\n`;
	const oracle = spawnSync(BINARY, { input, maxBuffer: 1 << 24 });
	const complaint = oracle.stderr.toString();
	if (oracle.status === 0) {
		const unknown = new Set([...complaint.matchAll(/^unknown (\w+)$/gm)].map(([, name = ""]) => name));
		return { program: parseProgram(oracle.stdout), unknown };
	}
	if (/^rule \w+: File exists$/m.test(complaint)) return undefined;
	throw new Error(`libseccomp oracle: ${complaint}\n${input}`);
}

function argText({ index, op, value, valueTwo }: SeccompArg): string {
	return `${index} ${OPERATOR[op]} ${value} ${valueTwo ?? 0}`;
}

export function actionValue(action: SeccompAction, errno: number | undefined): number {
	const base = RET[(action === "SCMP_ACT_KILL" ? "KILL_THREAD" : action.slice("SCMP_ACT_".length)) as keyof typeof RET];
	const takesErrno = action === "SCMP_ACT_ERRNO" || action === "SCMP_ACT_TRACE";
	return base + (takesErrno ? (errno ?? 1) : 0);
}
