/** The mounts that every jail has, whatever its policy says. */

import { VmjailError } from "../errors.ts";
import type { HostFacts } from "../host/types.ts";
import type { Policy } from "../policy/types.ts";
import { existing, factOf } from "./host-path.ts";
import { isMapped } from "./identity.ts";
import { DEVICE_FILE, READ_ONLY_FILE, READ_ONLY_TREE } from "./mount-options.ts";
import { below } from "./paths.ts";
import type { Mount } from "./types.ts";

/** OCI config-linux, "Default Devices"; binds, because mknod(2) is refused in a user namespace. */
const DEVICES: readonly string[] = ["null", "zero", "full", "random", "urandom", "tty"];

/** The group that owns terminals on every distribution. */
const TTY_GROUP = 5;

const RESOLVER = "/etc/resolv.conf";

/** Mount points that a root of its own must hold. */
const REQUIRED_POINTS: readonly string[] = ["/proc", "/dev"];

/** Mount points that a root of its own may lack; then nothing is mounted there. */
const OPTIONAL_POINTS: readonly string[] = ["/sys", "/run"];

/** Paths of the host that {@link baseMounts} looks at. */
export function basePaths(policy: Policy): readonly string[] {
	const root = policy.system.root.path;
	return [
		...(root === "/" ? [] : [...REQUIRED_POINTS, ...OPTIONAL_POINTS].map((path) => below(root, path))),
		...(policy.security.network.mode === "host" && root === "/" ? [RESOLVER] : []),
		...policy.system.devices,
	];
}

/**
 * /proc, /dev with what belongs in it, /sys and /run, parents first.
 *
 * @throws VmjailError PATH_INVALID where a device of the policy is none, or a root of its own has no /proc or /dev.
 */
export function baseMounts(policy: Policy, facts: HostFacts): readonly Mount[] {
	return [
		{ destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
		{ destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "noexec", "mode=755", "size=64k"] },
		...DEVICES.map((name) => device(`/dev/${name}`)),
		...policy.system.devices.map((path, i) => extraDevice(facts, path, `system.devices[${i}]`)),
		{ destination: "/dev/pts", type: "devpts", source: "devpts", options: terminalOptions(facts) },
		{
			destination: "/dev/shm",
			type: "tmpfs",
			source: "tmpfs",
			options: ["nosuid", "noexec", "nodev", "mode=1777", "size=64m"],
		},
		{ destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"] },
		systemMount(policy),
		{
			destination: "/run",
			type: "tmpfs",
			source: "tmpfs",
			options: ["ro", "nosuid", "noexec", "nodev", "mode=755", "size=64k"],
		},
		...resolverMount(policy, facts),
	].filter((mount) => hasPoint(policy, facts, mount.destination));
}

function device(path: string): Mount {
	return { destination: path, type: "bind", source: path, options: [...DEVICE_FILE] };
}

function extraDevice(facts: HostFacts, path: string, where: string): Mount {
	const { real, kind } = existing(facts, path, where);
	if (kind !== "char" && kind !== "block") {
		throw new VmjailError("PATH_INVALID", `${where}: ${path} is not a device`, {
			remedy: "List files and folders under security.file.",
		});
	}
	return { destination: path, type: "bind", source: real, options: [...DEVICE_FILE] };
}

function terminalOptions(facts: HostFacts): readonly string[] {
	const group = isMapped(facts, "gids", TTY_GROUP) ? [`gid=${TTY_GROUP}`] : [];
	return ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", ...group];
}

/** A fresh sysfs shows the network namespace it is mounted in, and can be mounted only by that namespace's owner. */
function systemMount(policy: Policy): Mount {
	if (policy.security.network.mode === "host") {
		return { destination: "/sys", type: "bind", source: "/sys", options: [...READ_ONLY_TREE, "noexec", "rnoexec"] };
	}
	return { destination: "/sys", type: "sysfs", source: "sysfs", options: ["ro", "nosuid", "noexec", "nodev"] };
}

/** On the host's network, names must resolve, and resolv.conf often is a link into /run, which the jail does not show. */
function resolverMount(policy: Policy, facts: HostFacts): readonly Mount[] {
	if (policy.security.network.mode !== "host" || policy.system.root.path !== "/") return [];
	const { real, kind } = factOf(facts, RESOLVER, "security.network.mode");
	if (kind !== "file" || real === undefined || !real.startsWith("/run/")) return [];
	return [{ destination: real, type: "bind", source: real, options: [...READ_ONLY_FILE] }];
}

function hasPoint(policy: Policy, facts: HostFacts, destination: string): boolean {
	const root = policy.system.root.path;
	if (root === "/") return true;
	if (OPTIONAL_POINTS.includes(destination)) {
		return factOf(facts, below(root, destination), "system.root.path").kind === "directory";
	}
	if (REQUIRED_POINTS.includes(destination)) existing(facts, below(root, destination), "system.root.path");
	return true;
}
