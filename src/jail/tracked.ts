/** The connections that a gateway's kernel tracks are forgotten. */

import { readSync } from "node:fs";
import { getSystemErrorName } from "node:util";
import { VmjailError } from "../errors.ts";
import { loadAddon } from "../executor/addon.ts";
import { answeredError, flushMessage } from "../network/netlink/conntrack.ts";

/** @throws VmjailError HOST_UNSUPPORTED where the kernel does not do it */
export function flushTracked(tracked: number): void {
	const answer = new Uint8Array(64);
	if (loadAddon().sendPacket(tracked, flushMessage())) readSync(tracked, answer);
	const error = answeredError(answer);
	if (answer[0] !== 0 && error === 0) return;
	const why = error === 0 ? "no answer" : getSystemErrorName(-error);
	throw new VmjailError("HOST_UNSUPPORTED", `network rules: tracked connections cannot be forgotten: ${why}`, {
		remedy: "Load the kernel's module nf_conntrack_netlink, or use run() for each program.",
	});
}
