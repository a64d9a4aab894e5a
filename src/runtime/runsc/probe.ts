/** Does gVisor work here? Found out by running a program in it. */

import { statSync } from "node:fs";
import { VmjailError } from "../../errors.ts";
import type { Spec } from "../../oci/types.ts";
import type { Probe } from "../choose.ts";
import type { Driver, RawExit } from "../driver.ts";
import { type RunscOptions, runscDriver } from "./driver.ts";
import { type FindOptions, findRunsc, type Runsc, runscPath } from "./find.ts";
import { forget, recall, remember } from "./probe-cache.ts";

export interface RunscProbeOptions extends FindOptions, Pick<RunscOptions, "accel" | "arch" | "caller" | "confine"> {
	/** Carries out a run, without input and output; rejects where the program never ran. A slow machine needs two seconds. */
	readonly tryOut: (driver: Driver, spec: Spec) => Promise<RawExit>;
}

export type RunscProbe =
	| (Extract<Probe, { works: true }> & {
			readonly runsc: Runsc;
			/** Seen to work earlier in this boot, not now. */
			readonly remembered: boolean;
			/** Has the next probe try it again. */
			readonly forget: () => void;
	  })
	| (Extract<Probe, { works: false }> & { readonly runsc?: Runsc });

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
	let runsc: Runsc | undefined;
	try {
		const path = runscPath(options);
		const { mtimeMs: modifiedMs, size } = statSync(path);
		const key = { path, modifiedMs, size, accel: options.accel, uid: options.caller.uid, env: options.env };
		const known = recall(key);
		if (known !== undefined) return { works: true, runsc: known, remembered: true, forget: () => forget(key) };
		runsc = await findRunsc(options);
		const driver = runscDriver({ ...options, runsc });
		const exit = await options.tryOut(driver, probeSpec(options.caller.uid, options.caller.gid));
		if (exit.kind === "exited" && exit.exitCode === 0) {
			remember(key, runsc);
			return { works: true, runsc, remembered: false, forget: () => forget(key) };
		}
		const how = exit.kind === "exited" ? `exit status ${exit.exitCode}` : `signal ${exit.signal}`;
		return { works: false, why: `/bin/true did not succeed in a probe (${how})`, runsc };
	} catch (error) {
		if (!(error instanceof VmjailError)) throw error;
		const { message, remedy } = error;
		return {
			works: false,
			why: message,
			...(remedy === undefined ? {} : { remedy }),
			...(runsc === undefined ? {} : { runsc }),
		};
	}
}
