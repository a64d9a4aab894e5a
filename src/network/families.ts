/** Which families a jail's network has: IPv4 always, IPv6 where the kernel has it. */

import { existsSync } from "node:fs";
import type { Family } from "./ip.ts";

/** Absent with `ipv6.disable=1` and in kernels without IPv6; there, whatever the host's own addresses are, in all others. */
const IPV6 = "/proc/sys/net/ipv6/conf/all/disable_ipv6";

export function hostFamilies(exists: (path: string) => boolean = existsSync): readonly Family[] {
	return exists(IPV6) ? [4, 6] : [4];
}
