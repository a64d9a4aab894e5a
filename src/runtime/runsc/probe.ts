/** Does gVisor work here? Found out by running a program in it. */

import { closeSync, openSync, statSync } from "node:fs";
import { VmjailError } from "../../errors.ts";
import type { Spec } from "../../oci/types.ts";
import type { Probe } from "../choose.ts";
import type { RawExit } from "../driver.ts";
import { type RunscOptions, runscDriver } from "./driver.ts";
import { type FindOptions, findRunsc, type Runsc, runscPath } from "./find.ts";
import { recall, remember } from "./probe-cache.ts";

export interface RunscProbeOptions extends FindOptions, Pick<RunscOptions, "accel" | "caller" | "supervisor"> {
	/** Default: 20 seconds; a slow machine needs two. */
	readonly timeoutMs?: number;
}

export type RunscProbe =
	| (Extract<Probe, { works: true }> & { readonly runsc: Runsc })
	| Extract<Probe, { works: false }>;

/** As little as a program can ask for: what fails here fails for every policy. */
const probeSpec = (uid: number, gid: number): Spec => ({
	ociVersion: "1.2.0",
	process: { cwd: "/", env: [], args: ["/bin/true"], user: { uid, gid }, noNewPrivileges: true },
	root: { path: "/", readonly: true },
	mounts: [
		{ destination: "/proc", type: "proc", source: "proc" },
		{ destination: "/dev", type: "tmpfs", source: "tmpfs" },
	],
	linux: { namespaces: (["pid", "mount", "ipc", "uts", "network"] as const).map((type) => ({ type })) },
});

/**
 * Runs /bin/true in gVisor, once per boot, binary, platform and user; a failure is not remembered, because its cause may
 * be gone the next time. Never throws: a reason is a result.
 */
export async function probeRunsc(options: RunscProbeOptions): Promise<RunscProbe> {
	try {
		const path = runscPath(options);
		const { mtimeMs: modifiedMs, size } = statSync(path);
		const key = { path, modifiedMs, size, accel: options.accel, uid: options.caller.uid, env: options.env };
		const known = recall(key);
		if (known !== undefined) return { works: true, runsc: known };
		const runsc = await findRunsc(options);
		const exit = await run({ ...options, runsc }, options.timeoutMs ?? 20_000);
		if (exit.kind === "exited" && exit.exitCode === 0) {
			remember(key, runsc);
			return { works: true, runsc };
		}
		const how = exit.kind === "exited" ? `exit status ${exit.exitCode}` : `signal ${exit.signal}`;
		return { works: false, why: `/bin/true did not succeed in a probe (${how})` };
	} catch (error) {
		if (!(error instanceof VmjailError)) throw error;
		const { message, remedy } = error;
		return { works: false, why: message, ...(remedy === undefined ? {} : { remedy }) };
	}
}

async function run(options: RunscOptions, timeoutMs: number): Promise<RawExit> {
	const nothing = openSync("/dev/null", "r+");
	let timer: NodeJS.Timeout | undefined;
	try {
		const handle = await runscDriver(options).start(probeSpec(options.caller.uid, options.caller.gid), {
			stdin: nothing,
			stdout: nothing,
			stderr: nothing,
		});
		timer = setTimeout(() => handle.kill(9), timeoutMs);
		return await handle.wait();
	} finally {
		clearTimeout(timer);
		closeSync(nothing);
	}
}
