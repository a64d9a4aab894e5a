/** Both network namespaces furnished, and the sockets in G opened, by the gateway's pid 1: one workload, no other program. */

import { CLONE_NEW } from "../../plan/constants.ts";
import type { Workload } from "../../plan/types.ts";
import type { Family } from "../ip.ts";
import {
	familySysctls,
	gatewaySettings,
	gatewaySysctls,
	jailSettings,
	jailSysctls,
	renewedSysctls,
} from "../routes.ts";
import type { Rules } from "../rules.ts";
import { netlinkSteps } from "./netlink.ts";
import { type SocketName, socketSteps, type WantedSockets } from "./sockets.ts";
import { JAIL, sysctlSteps } from "./tools.ts";

/** The workload takes the jail's network namespace as its fourth descriptor, and sends the sockets in the order of `names`. */
export function furnishWorkload(
	rules: Rules,
	families: readonly Family[],
	wanted: WantedSockets,
): { readonly names: readonly SocketName[]; readonly workload: Workload } {
	const { names, steps } = socketSteps(families, wanted);
	return {
		names,
		workload: {
			cloneFlags: 0n,
			descriptors: [JAIL],
			before: [
				...sysctlSteps(familySysctls(families)),
				...netlinkSteps(gatewaySettings(families), "the gateway"),
				...sysctlSteps(gatewaySysctls),
				...steps,
			],
			parent: [],
			child: [
				{
					label: "enter the jail's network namespace",
					call: "setns",
					args: [{ slot: JAIL }, CLONE_NEW.network],
				},
				...sysctlSteps(familySysctls(families)),
				...netlinkSteps(jailSettings(rules, families), "the jail"),
				...sysctlSteps(jailSysctls),
				...sysctlSteps(wanted.renewed ? renewedSysctls : []),
				{ label: "be done", call: "exit_group", args: [0] },
			],
		},
	};
}
