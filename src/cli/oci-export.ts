/** `vmjail oci export DIR`: the policy as a bundle for other OCI runtimes. */

import { resolve } from "node:path";
import type { HostFacts } from "../host/types.ts";
import { readAnnotations } from "../oci/annotations.ts";
import { specOf } from "../oci/spec.ts";
import type { Spec } from "../oci/types.ts";
import type { Policy } from "../policy/types.ts";
import { exportBundle } from "../runtime/bundle/export.ts";
import { print } from "./print.ts";

export interface OciExport {
	/** Relative to the caller's working directory. */
	readonly dir: string;
	readonly policy: Policy;
	readonly facts: HostFacts;
	readonly command: readonly string[];
	/** Default: standard output. */
	readonly print?: (text: string) => void;
}

/**
 * Writes the bundle and prints how to run it and what other runtimes will not enforce.
 *
 * @throws VmjailError USAGE where DIR is not empty; and all that specOf throws.
 */
export function runOciExport({ dir, policy, facts, command, print = toStandardOutput }: OciExport): void {
	const spec = specOf({ policy, facts, command });
	const home = exportBundle({ spec, dir: resolve(facts.caller.cwd, dir) });
	const lines = [
		`Wrote ${home}/config.json and ${home}/rootfs. To run it:`,
		...howToRun(home, facts),
		...(lost(spec).length === 0 ? [] : ["", "Other runtimes do not enforce these parts of the policy:"]),
		...lost(spec).map((line) => `  ${line}`),
	];
	print(`${lines.join("\n")}\n`);
}

function toStandardOutput(text: string): void {
	print(text);
}

/** A runtime's own name for the run only has to be free; the bundle's folder cannot tell which names are. */
function howToRun(home: string, facts: HostFacts): readonly string[] {
	const bundle = /^[\w./+-]+$/.test(home) ? home : `'${home.replaceAll("'", "'\\''")}'`;
	const crun = `  crun run -b ${bundle} jail`;
	return facts.caller.privileged || facts.caller.uid === 0 ? [crun, `  runc run -b ${bundle} jail`] : [crun];
}

/** What rides in annotations has no field in OCI, and so no meaning to a runtime that does not know vmjail. */
function lost(spec: Spec): readonly string[] {
	const { network, allow, cpuMs, wallMs, outputMaxBytes } = readAnnotations(spec);
	return [
		...(network.mode === "hostwithpolicy" ? ["security.network.policy: the program has no network at all there"] : []),
		...(allow.length === 0 ? [] : ["security.process.allow: every visible program may run there"]),
		...(cpuMs === undefined ? [] : ["system.time.cpu"]),
		...(wallMs === undefined ? [] : ["system.time.wall"]),
		...(outputMaxBytes === undefined ? [] : ["system.output.max"]),
	];
}
