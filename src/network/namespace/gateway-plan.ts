/** The gateway's namespaces as a plan: a user namespace that owns network namespace G and stands above the jail's. */

import type { HostFacts } from "../../host/types.ts";
import type { IdMapping, Linux } from "../../oci/types.ts";
import { AT_FDCWD, CLONE_NEW, MS_PRIVATE, MS_REC, O_CLOEXEC, O_RDONLY } from "../../plan/constants.ts";
import { idMapSteps } from "../../plan/namespaces.ts";
import { cstring, pathWithPid } from "../../plan/steps.ts";
import type { Plan } from "../../plan/types.ts";

/** Where the gateway's program saves its user namespace, on the host's side: jails are made below it. */
export const USER_NAMESPACE = "user namespace";

/** Root inside, so that nft keeps its capabilities across exec: the caller itself, or, for root, everybody as is. */
function mappings(facts: HostFacts, which: "uids" | "gids"): readonly IdMapping[] {
	if (!facts.caller.privileged) {
		return [{ containerID: 0, hostID: which === "uids" ? facts.caller.uid : facts.caller.gid, size: 1 }];
	}
	return facts.idMap[which].map(({ from, count }) => ({ containerID: from, hostID: from, size: count }));
}

/** Its pid 1 runs nft, sets up links and routes, opens sockets, and is otherwise idle. No program of the jail's ever runs here. */
export function gatewayPlan(facts: HostFacts): Plan {
	const linux: Linux = {
		namespaces: [{ type: "user" }],
		uidMappings: mappings(facts, "uids"),
		gidMappings: mappings(facts, "gids"),
	};
	return {
		cloneFlags: CLONE_NEW.user | CLONE_NEW.network | CLONE_NEW.pid | CLONE_NEW.mount | CLONE_NEW.ipc,
		before: [],
		parent: [
			{
				label: "open the gateway's user namespace",
				call: "openat",
				args: [AT_FDCWD, pathWithPid("/proc/", "/ns/user"), O_RDONLY | O_CLOEXEC, 0],
				save: USER_NAMESPACE,
			},
			...idMapSteps(linux, facts.caller.privileged),
		],
		child: [
			{ label: "start a session", call: "setsid", args: [] },
			{ label: "make all mounts private", call: "mount", args: [0, cstring("/"), 0, MS_REC | MS_PRIVATE, 0] },
		],
		account: [],
		cleanup: [],
		keep: [],
	};
}
