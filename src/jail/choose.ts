/** Which runtime carries out a policy here: asks those that the policy names, and remembers for this process. */

import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import { VmjailError } from "../errors.ts";
import { nativePath } from "../executor/package-files.ts";
import type { HostFacts } from "../host/types.ts";
import { unavailable } from "../oci/available.ts";
import type { Policy } from "../policy/types.ts";
import { type Choice, candidates, chooseRuntime, type Probe } from "../runtime/choose.ts";
import type { Driver, DriverName } from "../runtime/driver.ts";
import { ociCliDriver } from "../runtime/oci-cli/driver.ts";
import { runscDriver } from "../runtime/runsc/driver.ts";
import { probeRunsc, type RunscProbe } from "../runtime/runsc/probe.ts";
import { tryOut } from "./try-out.ts";

export interface RuntimeOptions {
	/** Path or name of runsc. Default: VMJAIL_RUNSC, else "runsc" in PATH. */
	readonly runsc?: string;
	/** Folder that everything that gVisor has to say is written to. */
	readonly debugLog?: string;
	/** How long gVisor may take to start a program, in ms, before it is given up. Default: 20,000. */
	readonly startTimeoutMs?: number;
}

export interface Chosen {
	readonly choice: Choice;
	/** Absent: runlc. */
	readonly driver?: Driver;
}

/** Where the programs of a system are, whatever the caller's PATH says. */
const FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin"];

function find(name: string): string | undefined {
	return FOLDERS.map((folder) => join(folder, name)).find((path) => {
		try {
			accessSync(path, constants.X_OK);
			return true;
		} catch {
			return false;
		}
	});
}

function probeOciCli(runtime: "runc" | "crun"): Probe {
	if (find(runtime) !== undefined) return { works: true };
	return { works: false, why: `${runtime} is not installed`, remedy: `Install it: apt-get install ${runtime}.` };
}

/** Does gVisor work here? Asked by running a program in it, once per boot (see `probe-cache.ts`). */
export function probeGvisor(
	accel: Policy["system"]["accel"],
	facts: HostFacts,
	{ runsc, startTimeoutMs }: RuntimeOptions = {},
): Promise<RunscProbe> {
	const options = {
		env: process.env,
		accel,
		arch: facts.arch,
		caller: facts.caller,
		confine: nativePath("vmjail-confine"),
		...(runsc === undefined ? {} : { runsc }),
	};
	return probeRunsc({ ...options, tryOut: (driver, spec) => tryOut(driver, spec, facts, startTimeoutMs) });
}

/** What a runtime does not enforce for this policy is a reason to take the next, where the policy names one. */
function probeForPolicy(policy: Policy, name: DriverName): Probe | undefined {
	const lacks = unavailable(policy, name);
	if (lacks.length === 0) return undefined;
	const why = lacks.map(({ path, what }) => `${path}: ${what} is not available yet`).join("; ");
	return { works: false, why };
}

/**
 * The runtime for a policy. With no choice to make, what the policy asks of a runtime is left to `prepareDriven` to refuse.
 *
 * @throws VmjailError HOST_UNSUPPORTED where none of the policy's runtimes works here: with each one's reason
 */
export async function choose(policy: Policy, facts: HostFacts, options: RuntimeOptions): Promise<Chosen> {
	const order = candidates(policy);
	const probes: Partial<Record<DriverName, Probe>> = {};
	let gvisor: RunscProbe | undefined;
	for (const name of order) {
		const lack = order.length > 1 ? probeForPolicy(policy, name) : undefined;
		if (lack !== undefined) probes[name] = lack;
		else if (name === "runsc") probes[name] = gvisor = await probeGvisor(policy.system.accel, facts, options);
		else probes[name] = name === "runlc" ? { works: true } : probeOciCli(name);
		if (probes[name]?.works === true) break;
	}
	const choice = chooseRuntime(policy, probes);
	const driver = driverOf(choice.runtime, policy, facts, gvisor, options);
	return driver === undefined ? { choice } : { choice, driver };
}

function driverOf(
	name: DriverName,
	policy: Policy,
	{ arch, caller }: HostFacts,
	gvisor: RunscProbe | undefined,
	{ debugLog }: RuntimeOptions,
): Driver | undefined {
	if (name === "runlc") return undefined;
	if (name === "runsc") {
		if (gvisor?.works !== true) throw new TypeError("chosen without a probe");
		const { accel } = policy.system;
		const { runsc, forget } = gvisor;
		const kept = debugLog === undefined ? {} : { debugLog };
		return runscDriver({
			runsc,
			accel,
			arch,
			caller,
			confine: nativePath("vmjail-confine"),
			onFailure: forget,
			...kept,
		});
	}
	const path = find(name);
	if (path === undefined) throw new VmjailError("HOST_UNSUPPORTED", `system.runtime: ${name} is not installed`);
	return ociCliDriver({ runtime: name, path, caller });
}
