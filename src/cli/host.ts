/** Host facts for commands that start nothing. */

import { probePaths } from "../host/paths.ts";
import { probeHost } from "../host/probe.ts";
import type { HostFacts } from "../host/types.ts";
import { pathsOf } from "../oci/spec.ts";
import type { Policy } from "../policy/types.ts";

/** The host with a fact for each path of the policy; without what only the executor can tell (Landlock). */
export function hostFor(policy: Policy): HostFacts {
	const facts = probeHost();
	return { ...facts, paths: probePaths(pathsOf(policy, facts)) };
}
