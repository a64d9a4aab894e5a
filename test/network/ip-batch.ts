/** Settings as input for ip-batch(8): what the product does by netlink, done by the tool that everybody knows. */

import type { Family } from "../../src/network/ip.ts";
import { type Setting, settingLine } from "../../src/network/settings.ts";

/**
 * The input of `ip -4 -batch -`, then of `ip -6 -batch -`, to be run in this order: a batch cannot change its family. Links are in the
 * first. `peer`: the other namespace of a veth pair, as ip-link(8) takes it: a process id or the path of an open namespace.
 */
export function ipBatches(settings: readonly Setting[], peer: string): Readonly<Record<Family, string>> {
	const text = (family: Family) =>
		settings
			.filter((setting) => ("family" in setting ? setting.family : 4) === family)
			.map((setting) => `${settingLine(setting, peer)}\n`)
			.join("");
	return { 4: text(4), 6: text(6) };
}
