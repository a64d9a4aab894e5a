/** Programs in a jail that another runtime makes, started and looked after by vmjail's own pid 1 inside. */

import type { Architecture, ProgramFact } from "../host/types.ts";
import type { Mount, Process, Spec } from "../oci/types.ts";
import { type InnerConfinement, innerPlanOf, innerWorkloadOf, type Uses } from "../plan/inner.ts";
import { withoutExec } from "../plan/programs.ts";
import type { Terminal } from "../plan/terminal.ts";
import type { DrivenRun, Driver, PrepareOptions } from "../runtime/driver.ts";
import { InnerRun } from "./inner-run.ts";

/** An allow-list as it was found on the host; empty: every program may run. */
export interface Listed {
	readonly programs: readonly ProgramFact[];
	/** The content that entries are held to: a snapshot's `source` is its number here. */
	readonly kept: readonly Uint8Array[];
}

export interface Guard extends Listed, Pick<PrepareOptions, "network"> {
	readonly terminal: Terminal | undefined;
}

export interface Enclosed {
	readonly run: DrivenRun;
	/** As pid 1 is to start it. */
	readonly process: Process;
	readonly confinement: InnerConfinement;
	/** Of the spec, as the runtime mounts them. */
	readonly mounts: readonly Mount[];
}

/** Gets a run ready that starts with pid 1. The caller has refused drivers that cannot. */
export function enclose(
	driver: Driver,
	spec: Spec,
	arch: Architecture,
	{ programs, kept }: Listed,
	options: { readonly inner: Uses } & Pick<PrepareOptions, "network">,
): Enclosed {
	if (driver.inner === undefined) throw new TypeError("refused before");
	// One mount holds a program's folder and the content laid over it: it must stay executable.
	const listed = programs.map(({ snapshot: _, ...program }) => program);
	const mounts = programs.length === 0 ? spec.mounts : withoutExec(spec.mounts, listed);
	const copies = programs.flatMap(({ real: path, snapshot }) =>
		snapshot === undefined ? [] : [{ path, bytes: kept[Number(snapshot.source)] ?? new Uint8Array() }],
	);
	const run = driver.prepare({ ...spec, mounts }, { ...options, copies });
	return {
		run,
		process: { ...spec.process, user: driver.inner.user(spec.process.user) },
		confinement: { arch, guarded: programs.length > 0, filters: driver.inner.filters(spec.linux.seccomp) },
		mounts,
	};
}

/** One program, with an allow-list. */
export function guardedRun(
	driver: Driver,
	spec: Spec,
	arch: Architecture,
	guard: Guard,
): { readonly run: DrivenRun; readonly inner: InnerRun } {
	const { programs, terminal, network } = guard;
	const options = { inner: "once" as const, ...(network === undefined ? {} : { network }) };
	const { run, process, confinement } = enclose(driver, spec, arch, guard, options);
	const inherits = { terminal: terminal?.streams ?? [] };
	const workload = innerWorkloadOf(process, { ...confinement, inherits });
	const granted = process.capabilities?.permitted ?? [];
	return { run, inner: new InnerRun(innerPlanOf({ arch, programs, granted }), workload, arch) };
}
