/** Runs a driver's spec in a jail, without input and output: how probes find out whether a runtime works. */

import { readUsage } from "../cgroup/usage.ts";
import { encodePlan, encodeWorkload } from "../executor/encode.ts";
import type { HostFacts } from "../host/types.ts";
import type { Spec } from "../oci/types.ts";
import { type Driver, exitOfWait, type RawExit } from "../runtime/driver.ts";
import { lateError, prepareSpec, START_TIMEOUT_MS } from "./driven.ts";
import { launchError } from "./launch-error.ts";
import { session } from "./session.ts";
import { openStreams } from "./stdio.ts";

/** @throws VmjailError where the program never ran, or is not done in time */
export async function tryOut(
	driver: Driver,
	spec: Spec,
	facts: HostFacts,
	patienceMs = START_TIMEOUT_MS,
): Promise<RawExit> {
	const at = session();
	// Which controls there are is not what is asked here.
	const optional = ["memory", "swap", "cpu", "cpuset", "pids", "io"] as const;
	const prepared = prepareSpec(driver, spec, facts, { id: at.newGroupId(), optional, missing: [] });
	const { driven, plan } = prepared;
	try {
		const workload = driven.workload({ ...prepared, wallLimitMs: patienceMs }, undefined);
		const encoded = encodePlan(plan, facts.arch);
		const jail = at.zygote.launch(encoded);
		const streams = openStreams({ stdin: "ignore", stdout: "ignore", stderr: "ignore" }, undefined, driven.passable);
		const program = encodeWorkload(workload, encoded, plan, facts.arch);
		const replied = jail.exec({ program, descriptors: streams.descriptors, last: true });
		streams.close();
		const reply = await replied;
		await jail.end;
		if (reply.kind === "failed") {
			throw launchError(reply.of === "jail" ? plan : workload, reply.failure, [driver.name]);
		}
		if (reply.kind === "exited" && reply.exit.cause !== "none") throw lateError(driver.name, patienceMs);
		const status = reply.kind === "exited" ? { status: reply.exit.status } : {};
		const end = driven.end({ ...status, cause: "none", oomKills: 0, pidsRefused: 0 }, readUsage({}));
		return exitOfWait(end.status ?? 9);
	} finally {
		await driven.remove();
	}
}
