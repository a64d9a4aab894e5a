/** Namespaces of a spec: flags for clone3, id mappings, host name, loopback. */

import { VmjailError } from "../errors.ts";
import type { IdMapping, Linux, Spec } from "../oci/types.ts";
import {
	AF_INET,
	AT_FDCWD,
	CLONE_NEW,
	IFF_UP,
	O_CLOEXEC,
	O_WRONLY,
	SIOCSIFFLAGS,
	SOCK_CLOEXEC,
	SOCK_DGRAM,
} from "./constants.ts";
import { ROOT } from "./mounts.ts";
import { block, cstring, pathWithPid, struct, text } from "./steps.ts";
import type { Step } from "./types.ts";

/**
 * Entered by the jail itself: of control groups once it is in its own, which is the root that it is to see; of mounts when
 * it is used, since what it copies are the host's mounts at that moment.
 */
const ENTERED_LATER: ReadonlySet<string> = new Set(["cgroup", "mount"]);

export function cloneFlags(linux: Linux): bigint {
	return linux.namespaces.reduce((flags, { type, path }) => {
		if (path !== undefined) {
			throw new VmjailError(
				"POLICY_INVALID",
				`linux.namespaces: runlc makes every namespace itself and joins none (${type} ${path})`,
				{
					remedy: "Leave out the path, or use another runtime.",
				},
			);
		}
		return ENTERED_LATER.has(type) ? flags : flags | CLONE_NEW[type];
	}, 0n);
}

function hasNamespace(linux: Linux, type: keyof typeof CLONE_NEW): boolean {
	return linux.namespaces.some((namespace) => namespace.type === type);
}

function writeProcFile(name: string, content: string): readonly Step[] {
	const bytes = text(content);
	return [
		{
			label: `open ${name} of the jail`,
			call: "openat",
			args: [AT_FDCWD, pathWithPid("/proc/", `/${name}`), O_WRONLY | O_CLOEXEC, 0],
			save: "proc",
		},
		{ label: `write ${name}`, call: "write", args: [{ slot: "proc" }, bytes, bytes.bytes.length] },
		{ label: `close ${name}`, call: "close", args: [{ slot: "proc" }] },
	];
}

function mapText(mappings: readonly IdMapping[]): string {
	return mappings.map((m) => `${m.containerID} ${m.hostID} ${m.size}\n`).join("");
}

/**
 * Steps for the parent that map the ids of the new user namespace (user_namespaces(7)). An unprivileged caller must
 * give up setgroups(2) first: its supplementary groups stay, seen inside as the overflow group.
 */
export function idMapSteps(linux: Linux, privileged: boolean): readonly Step[] {
	if (!hasNamespace(linux, "user")) return [];
	return [
		...(privileged ? [] : writeProcFile("setgroups", "deny")),
		...writeProcFile("uid_map", mapText(linux.uidMappings ?? [])),
		...writeProcFile("gid_map", mapText(linux.gidMappings ?? [])),
	];
}

/** The loopback interface of a new network namespace is down: programs that talk to themselves need it. */
function loopbackSteps(): readonly Step[] {
	const name = new Uint8Array(16);
	name.set(new TextEncoder().encode("lo"));
	const request = struct('{"lo", IFF_UP}', [{ zeros: 16 }, { u16: IFF_UP }, { zeros: 22 }]);
	request.bytes.set(name);
	return [
		{
			label: "open a socket for the loopback interface",
			call: "socket",
			args: [AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0],
			save: "lo",
		},
		{ label: "bring the loopback interface up", call: "ioctl", args: [{ slot: "lo" }, SIOCSIFFLAGS, request] },
	];
}

/** In the jail, when it is in its cgroup: that becomes the root of what it sees (cgroup_namespaces(7)). */
export function cgroupNamespaceSteps(linux: Linux): readonly Step[] {
	if (!hasNamespace(linux, "cgroup")) return [];
	return [{ label: "enter a new cgroup namespace", call: "unshare", args: [CLONE_NEW.cgroup] }];
}

/** In the jail: from here on it sees, and changes, a copy of the host's mounts (mount_namespaces(7)). */
export function mountNamespaceSteps(linux: Linux): readonly Step[] {
	if (!hasNamespace(linux, "mount")) return [];
	return [{ label: "enter a new mount namespace", call: "unshare", args: [CLONE_NEW.mount] }];
}

/**
 * In pid 1, while /proc/sys can still be written: closed connections leave no trace that a later program could meet, such
 * as a port that cannot be bound for a minute (ip-sysctl.rst, tcp_max_tw_buckets).
 */
export function noTimeWaitSteps(linux: Linux): readonly Step[] {
	if (!hasNamespace(linux, "network")) return [];
	return [
		{
			label: "open tcp_max_tw_buckets of the jail",
			call: "openat",
			args: [{ slot: ROOT }, cstring("proc/sys/net/ipv4/tcp_max_tw_buckets"), O_WRONLY | O_CLOEXEC, 0],
			save: "sysctl",
		},
		{ label: "keep no closed connections", call: "write", args: [{ slot: "sysctl" }, text("0\n"), 2] },
	];
}

/** Steps inside the jail that give its namespaces their content. */
export function namespaceSteps(spec: Spec): readonly Step[] {
	const name = new TextEncoder().encode(spec.hostname ?? "");
	const hostname: Step = {
		label: `set the host name to ${spec.hostname}`,
		call: "sethostname",
		args: [block(name, JSON.stringify(spec.hostname)), name.length],
	};
	return [
		...(name.length > 0 && hasNamespace(spec.linux, "uts") ? [hostname] : []),
		...(hasNamespace(spec.linux, "network") ? loopbackSteps() : []),
	];
}
