/** Links, addresses, routes and routing rules of a network namespace, as data. netlink/route.ts makes messages of them. */

import type { PortRange } from "../policy/types.ts";
import type { Family } from "./ip.ts";
import { formatPorts, isAnyPort } from "./ports.ts";
import type { Protocol } from "./rules.ts";

export type Setting =
	/** Both ends of a pair: `dev` here, `peer` in another network namespace. */
	| { readonly kind: "veth"; readonly dev: string; readonly peer: string; readonly mtu: number }
	| { readonly kind: "up"; readonly dev: string }
	| {
			readonly kind: "address";
			readonly family: Family;
			readonly dev: string;
			readonly address: string;
			readonly prefix: number;
	  }
	| {
			readonly kind: "route";
			readonly family: Family;
			readonly type: "unicast" | "local";
			readonly dev: string;
			readonly via?: string;
			readonly table?: number;
	  }
	| {
			readonly kind: "rule";
			readonly family: Family;
			readonly priority: number;
			/** Destination block; absent: any. */
			readonly to?: string;
			readonly protocol?: Protocol;
			readonly ports?: PortRange;
			readonly mark?: number;
			/** Look in a table ("main" is 254), or answer EACCES. */
			readonly action: { readonly table: number } | "prohibit";
	  };

/** A file below /proc/sys/net, as seen by a process in the namespace, and what to write into it. */
export interface Sysctl {
	readonly path: string;
	readonly value: string;
}

export const MAIN_TABLE = 254;

/** As ip-batch(8) would be told. `peer`: the other namespace of a veth pair. */
export function settingLine(setting: Setting, peer: string): string {
	switch (setting.kind) {
		case "veth":
			return `link add ${setting.dev} mtu ${setting.mtu} type veth peer name ${setting.peer} mtu ${setting.mtu} netns ${peer}`;
		case "up":
			return `link set ${setting.dev} up`;
		case "address":
			// No duplicate address detection: the pair has two ends, and an address must be usable at once.
			return `addr add ${setting.address}/${setting.prefix} dev ${setting.dev}${setting.family === 6 ? " nodad" : ""}`;
		case "route":
			return `route add ${setting.type} default${option("via", setting.via)} dev ${setting.dev}${option("table", setting.table)}`;
		case "rule":
			return ruleLine(setting);
		default:
			return setting satisfies never;
	}
}

function ruleLine(rule: Extract<Setting, { kind: "rule" }>): string {
	const match = [
		option("to", rule.to),
		option("fwmark", rule.mark),
		option("ipproto", rule.protocol),
		option("dport", rule.ports === undefined || isAnyPort(rule.ports) ? undefined : formatPorts(rule.ports)),
	];
	const action = rule.action === "prohibit" ? " prohibit" : ` lookup ${rule.action.table}`;
	return `rule add priority ${rule.priority}${match.join("")}${action}`;
}

function option(name: string, value: string | number | undefined): string {
	return value === undefined ? "" : ` ${name} ${value}`;
}
