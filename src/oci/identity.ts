/** Who the program is: its ids, and how they stand in the jail's user namespace. */

import { VmjailError } from "../errors.ts";
import type { HostFacts } from "../host/types.ts";
import type { Policy } from "../policy/types.ts";
import type { IdMapping } from "./types.ts";

/**
 * Uid and gid of the program.
 *
 * @throws VmjailError HOST_UNSUPPORTED where the policy names another user and the caller has no right to become it.
 */
export function userOf(policy: Policy, facts: HostFacts): { readonly uid: number; readonly gid: number } {
	const { uid, gid } = policy.system.user ?? facts.caller;
	if (isMapped(facts, "uids", uid) && isMapped(facts, "gids", gid)) return { uid, gid };
	const reason = facts.caller.privileged ? "does not exist in the caller's user namespace" : "is not the caller";
	throw new VmjailError("HOST_UNSUPPORTED", `system.user: ${uid}:${gid} ${reason}`, {
		remedy: facts.caller.privileged
			? "Name a uid and gid that /proc/self/uid_map and gid_map cover."
			: "Run vmjail as root (sudo), or take system.user out of the policy to run as yourself.",
	});
}

/**
 * Identity mappings, so that files keep their owners and `id` prints what it prints outside: every id that exists for
 * a privileged caller, the caller's own for anybody else (user_namespaces(7), "User and group ID mappings").
 */
export function mappingsOf(facts: HostFacts, which: "uids" | "gids"): readonly IdMapping[] {
	return mapped(facts, which).map(({ from, count }) => ({ containerID: from, hostID: from, size: count }));
}

/** Does this id exist in the jail's user namespace? */
export function isMapped(facts: HostFacts, which: "uids" | "gids", id: number): boolean {
	return mapped(facts, which).some(({ from, count }) => id >= from && id < from + count);
}

function mapped(
	facts: HostFacts,
	which: "uids" | "gids",
): readonly { readonly from: number; readonly count: number }[] {
	if (facts.caller.privileged) return facts.idMap[which];
	return [{ from: which === "uids" ? facts.caller.uid : facts.caller.gid, count: 1 }];
}
