/** Who the workload is and what it may do: ids, capabilities, securebits, limits, no_new_privs. */

import { VmjailError } from "../errors.ts";
import type { Process, Rlimit } from "../oci/types.ts";
import { capabilityMask, capabilityNumber, LAST_CAPABILITY } from "./capabilities.ts";
import {
	CAPABILITY_VERSION_3,
	PR_CAP_AMBIENT,
	PR_CAP_AMBIENT_RAISE,
	PR_CAPBSET_DROP,
	PR_SET_KEEPCAPS,
	PR_SET_NO_NEW_PRIVS,
	PR_SET_SECUREBITS,
} from "./constants.ts";
import { struct } from "./steps.ts";
import type { Step } from "./types.ts";

/** securebits.h: uid 0 gives no capability, and uid changes neither; all locked. Ambient raising is locked off separately. */
const SECUREBITS = (1 << 0) | (1 << 1) | (1 << 2) | (1 << 3) | (1 << 5);
const NO_AMBIENT = (1 << 6) | (1 << 7);

const RESOURCES = [
	"CPU",
	"FSIZE",
	"DATA",
	"STACK",
	"CORE",
	"RSS",
	"NPROC",
	"NOFILE",
	"MEMLOCK",
	"AS",
	"LOCKS",
	"SIGPENDING",
	"MSGQUEUE",
	"NICE",
	"RTPRIO",
	"RTTIME",
];

const RLIM_INFINITY = 0xffff_ffff_ffff_ffffn;

function limitValue(value: number): bigint {
	return value === Number.POSITIVE_INFINITY || value < 0 || value >= 2 ** 63
		? RLIM_INFINITY
		: BigInt(Math.trunc(value));
}

/** prlimit(2) on the calling process. */
export function rlimitSteps(rlimits: readonly Rlimit[]): readonly Step[] {
	return rlimits.map(({ type, soft, hard }) => {
		const resource = RESOURCES.indexOf(type.replace(/^RLIMIT_/, ""));
		if (resource < 0)
			throw new VmjailError("POLICY_INVALID", `process.rlimits: ${type} is no resource of setrlimit(2)`);
		const limit = struct(`{${soft}, ${hard}}`, [{ u64: limitValue(soft) }, { u64: limitValue(hard) }]);
		return {
			label: `limit ${type.replace(/^RLIMIT_/, "").toLowerCase()} to ${soft}`,
			call: "prlimit64",
			args: [0, resource, limit, 0],
		};
	});
}

/** capset(2) with effective = permitted = inheritable, both 32-bit halves. */
function capsetStep(names: readonly string[]): Step {
	const mask = capabilityMask(names);
	const low = Number(mask & 0xffff_ffffn);
	const high = Number(mask >> 32n);
	const header = struct("{version 3, self}", [{ u32: CAPABILITY_VERSION_3 }, { u32: 0 }]);
	const halves = [low, high].flatMap((half) => [{ u32: half }, { u32: half }, { u32: half }]);
	const label = names.length === 0 ? "drop every capability" : `keep only ${names.join(", ")}`;
	return { label, call: "capset", args: [header, struct(`{0x${mask.toString(16)}}`, halves)] };
}

function lockSecurebits(kept: readonly string[]): Step {
	const bits = SECUREBITS | (kept.length === 0 ? NO_AMBIENT : 0);
	return { label: "lock securebits", call: "prctl", args: [PR_SET_SECUREBITS, bits, 0, 0, 0] };
}

/** From root to another user that keeps these capabilities: prctl(2), PR_SET_KEEPCAPS. */
export function becomeKeeping(id: number, names: readonly string[]): readonly Step[] {
	return [
		{ label: "keep capabilities", call: "prctl", args: [PR_SET_KEEPCAPS, 1, 0, 0, 0] },
		{ label: `become group ${id}`, call: "setresgid", args: [id, id, id] },
		{ label: `become user ${id}`, call: "setresuid", args: [id, id, id] },
		capsetStep(names),
	];
}

export function boundingSteps(names: readonly string[]): readonly Step[] {
	const kept = new Set(names.map(capabilityNumber));
	return Array.from({ length: LAST_CAPABILITY + 1 }, (_, number) => number)
		.filter((number) => !kept.has(number))
		.map((number) => ({
			label: `drop capability ${number} from the bounding set`,
			call: "prctl",
			args: [PR_CAPBSET_DROP, number, 0, 0, 0],
			tolerate: ["EINVAL"], // a kernel that does not know it yet
		}));
}

/**
 * In pid 1: what it costs nothing to give up, since it executes no program, and what its programs inherit. One that is
 * granted a capability begins in a user namespace of its own, where both are as new (user_namespaces(7)).
 */
export function inheritedSteps(process: Pick<Process, "capabilities">): readonly Step[] {
	const kept = process.capabilities?.permitted ?? [];
	return kept.length === 0 ? [...boundingSteps(kept), lockSecurebits(kept)] : [];
}

/**
 * The ids, then the capabilities, in the order in which each step still has the right to do the next; after
 * {@link inheritedSteps} in pid 1. `canSetGroups`: setgroups(2) is denied in an unprivileged caller's user namespace.
 */
export function credentialSteps(process: Process, canSetGroups: boolean): readonly Step[] {
	const kept = process.capabilities?.permitted ?? [];
	const own = kept.length === 0 ? [] : [...boundingSteps(kept), lockSecurebits(kept)];
	return [...own, ...identitySteps(process, canSetGroups)];
}

/** The same without what a parent has done already: its bounding set and securebits are inherited. */
export function identitySteps(process: Pick<Process, "user" | "capabilities">, canSetGroups: boolean): readonly Step[] {
	const kept = process.capabilities?.permitted ?? [];
	const { uid, gid, additionalGids = [] } = process.user;
	const groups = struct(
		`[${additionalGids.join(", ")}]`,
		additionalGids.map((u32) => ({ u32 })),
	);
	const setGroups: Step = {
		label: `set supplementary groups to [${additionalGids.join(", ")}]`,
		call: "setgroups",
		args: [additionalGids.length, additionalGids.length === 0 ? 0 : groups],
	};
	return [
		...(canSetGroups ? [setGroups] : []),
		{ label: `become group ${gid}`, call: "setresgid", args: [gid, gid, gid] },
		{ label: `become user ${uid}`, call: "setresuid", args: [uid, uid, uid] },
		capsetStep(kept),
		...kept.map(
			(name): Step => ({
				label: `keep ${name} across exec`,
				call: "prctl",
				args: [PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capabilityNumber(name), 0, 0],
			}),
		),
		{ label: "set no_new_privs", call: "prctl", args: [PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0] },
	];
}
