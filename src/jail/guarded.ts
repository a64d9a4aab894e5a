/** An allow-list of programs in a jail that another runtime makes: kept by vmjail's own pid 1 inside. */

import type { Architecture, ProgramFact } from "../host/types.ts";
import type { Spec } from "../oci/types.ts";
import { innerPlanOf, innerWorkloadOf } from "../plan/inner.ts";
import { withoutExec } from "../plan/programs.ts";
import type { Terminal } from "../plan/terminal.ts";
import type { DrivenRun, Driver, PrepareOptions } from "../runtime/driver.ts";
import { InnerRun } from "./inner-run.ts";

export interface Guard extends Pick<PrepareOptions, "network"> {
	readonly programs: readonly ProgramFact[];
	/** The content that entries are held to: a snapshot's `source` is its number here. */
	readonly kept: readonly Uint8Array[];
	readonly terminal: Terminal | undefined;
}

/** Gets a run ready whose program is started, and looked after, from inside. The caller has refused drivers that cannot. */
export function guardedRun(
	driver: Driver,
	spec: Spec,
	arch: Architecture,
	guard: Guard,
): { readonly run: DrivenRun; readonly inner: InnerRun } {
	const { programs, kept, terminal, network } = guard;
	if (driver.inner === undefined) throw new TypeError("refused before");
	// One mount holds a program's folder and the content laid over it: it must stay executable.
	const mounts = withoutExec(
		spec.mounts,
		programs.map(({ snapshot: _, ...program }) => program),
	);
	const copies = programs.flatMap(({ real: path, snapshot }) =>
		snapshot === undefined ? [] : [{ path, bytes: kept[Number(snapshot.source)] ?? new Uint8Array() }],
	);
	const options = { inner: true, copies, ...(network === undefined ? {} : { network }) };
	const run = driver.prepare({ ...spec, mounts }, options);
	const granted = spec.process.capabilities?.permitted ?? [];
	const process = { ...spec.process, user: driver.inner.user(spec.process.user) };
	const workload = innerWorkloadOf(process, {
		...{ arch, guarded: true, filters: driver.inner.filters(spec.linux.seccomp) },
		inherits: { terminal: terminal?.streams ?? [] },
	});
	return { run, inner: new InnerRun(innerPlanOf({ arch, programs, granted }), workload, arch) };
}
