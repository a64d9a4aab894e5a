/** Checks of the control groups: a group is really made and removed. */

import type { Check, Examination, Finding } from "../host/findings/types.ts";
import { groupName } from "./id.ts";
import { adviceFor, placeOf } from "./placement.ts";
import type { Limited } from "./settings.ts";

const LIMITED: readonly Limited[] = ["memory", "cpu", "cpuset", "pids", "io"];

/** v1 charges a page to its group when it is written to the cache, and to nobody when it is written back to disk. */
const V1_IO = "reads and direct writes are limited; writes through the page cache are not (cgroup v1)";

export interface GroupEffects {
	/** Makes a group and removes it again; the error of the system call that failed. */
	readonly makeAndRemove: (path: string) => string | undefined;
	/** From `newGroupId`. */
	readonly id: string;
}

function finding(name: Limited, { facts }: Examination, effects: GroupEffects): Finding {
	const title = `cgroup: ${name}`;
	const place = placeOf(name, facts.cgroup);
	const no = (reason: string): Finding => {
		const fix = adviceFor(name, facts.cgroup, facts.caller.privileged);
		return { name: title, ok: "no", detail: reason, fix, needed: false };
	};
	if (place.hierarchy === "none") return no(place.reason);
	const path = place.hierarchy === "v1" ? place.controller.path : place.group.path;
	const errno = effects.makeAndRemove(`${path}/${groupName(effects.id)}`);
	if (errno !== undefined) return no(`making a group in ${path} fails: ${errno}`);
	if (place.hierarchy === "v2") {
		const because = place.group.because === undefined ? "" : ` (${place.group.because})`;
		return { name: title, ok: "yes", detail: `v2, ${path}${because}`, needed: false };
	}
	if (name !== "io") return { name: title, ok: "yes", detail: `v1, ${path}`, needed: false };
	return { name: title, ok: "partly", detail: V1_IO, fix: "Start the machine with cgroup v2 alone.", needed: false };
}

/** One check per controller. */
export function cgroupChecks(effects: GroupEffects): readonly Check[] {
	return LIMITED.map((name) => (examination) => finding(name, examination, effects));
}

export const swapAccounting: Check = ({ facts }) => {
	const name = "cgroup: swap";
	const place = placeOf("memory", facts.cgroup);
	if (facts.cgroup.swapOn === false) return { name, ok: "yes", detail: "this host does not swap", needed: false };
	if (place.hierarchy === "none") {
		const fix = adviceFor("memory", facts.cgroup, facts.caller.privileged);
		return { name, ok: "no", detail: "the host swaps, and memory cannot be limited", fix, needed: false };
	}
	const known = place.hierarchy === "v1" ? place.controller.swapLimit : place.group.swapLimit;
	if (known !== false) return { name, ok: "yes", detail: "swap is limited with memory", needed: false };
	const detail = "the host swaps, and this kernel counts no swap per group";
	return { name, ok: "no", detail, fix: adviceFor("swap", facts.cgroup, true), needed: false };
};
