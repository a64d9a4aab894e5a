/** Spec → the spec that runsc is given. Pure. */

import { VmjailError } from "../../errors.ts";
import { below, isWithin } from "../../oci/paths.ts";
import type { IdMapping, Linux, Mount, Process, Spec } from "../../oci/types.ts";
import type { Uses } from "../../plan/inner.ts";
import { isBind } from "../mounts.ts";
import type { Stage } from "../stage/types.ts";
import type { Abilities } from "./abilities.ts";
import { withInner } from "./inner.ts";
import { sentrySeccomp } from "./refused.ts";
import { MASKABLE, OWN_DEVICES } from "./sentry-files.ts";

export type SentryNetwork = "none" | "host";

/** An id that no account has: the Sentry's, where it needs a user namespace of its own. */
const SENTRY_ID = 100_000;

/** Types that the Sentry mounts; mqueue and devpts it has of itself. */
const SENTRY_TYPES: ReadonlySet<string> = new Set(["proc", "sysfs", "tmpfs", "devpts", "mqueue"]);

/**
 * The part of a spec that a stage is made of: without the devices that the Sentry makes itself.
 *
 * @throws VmjailError HOST_UNSUPPORTED for a control that no runsc enforces: devices of the host, AppArmor and SELinux.
 */
export function forStage(spec: Spec): Spec {
	const { apparmorProfile, selinuxLabel } = spec.process;
	if (apparmorProfile !== undefined) throw unsupported("security.mac.apparmor", "ignores AppArmor profiles");
	if (selinuxLabel !== undefined) throw unsupported("security.mac.selinux", "refuses SELinux labels");
	const own = (mount: Mount) => isBind(mount) && OWN_DEVICES.has(mount.destination);
	const mounts = spec.mounts.filter((mount) => !own(mount));
	for (const mount of mounts) {
		if (isBind(mount) && isWithin(mount.destination, "/dev")) {
			throw unsupported(`the device ${mount.destination}`, "gives a jail no device of the host");
		}
		if (!isBind(mount) && !SENTRY_TYPES.has(mount.type ?? "")) {
			throw unsupported(
				`the mount on ${mount.destination}`,
				`does not mount ${mount.type ?? "a file system without a type"}`,
			);
		}
	}
	for (const device of spec.linux.devices ?? []) {
		if (!OWN_DEVICES.has(device.path))
			throw unsupported(`the device ${device.path}`, "gives a jail no device of the host");
	}
	return { ...spec, mounts: mounts.map(withSentrySysfs) };
}

/** A view of the host's /sys would show the host: the Sentry's own stands in its place. */
function withSentrySysfs(mount: Mount): Mount {
	if (!isBind(mount) || mount.source !== "/sys") return mount;
	return {
		destination: mount.destination,
		type: "sysfs",
		source: "sysfs",
		options: ["ro", "nosuid", "noexec", "nodev"],
	};
}

/** Does the program have the caller's network (or that of a namespace the spec names), or none? */
export function networkOf(linux: Linux): SentryNetwork {
	const own = linux.namespaces.find((namespace) => namespace.type === "network");
	return own !== undefined && own.path === undefined ? "none" : "host";
}

export interface AdaptInput {
	/** From {@link forStage}. */
	readonly spec: Spec;
	readonly stage: Stage;
	/** An empty file that may be bound over files of the Sentry's own file systems. */
	readonly emptyFile: string;
	readonly abilities: Abilities;
	/** vmjail's own pid 1 comes first, and the program by it. */
	readonly inner?: Uses | undefined;
	/** The first process installs the filter itself. */
	readonly filtered?: boolean;
	/** Ids of the caller; privileged: may map any id. */
	readonly caller: { readonly uid: number; readonly gid: number; readonly privileged: boolean };
}

/**
 * The spec for runsc's config.json: files come out of the stage, masks of the Sentry's own file systems are mounts, the
 * seccomp profile speaks gVisor's words, limits are left to the control group around runsc, and annotations that
 * would change runsc's own behaviour are gone.
 */
export function adapt(input: AdaptInput): Spec {
	const { spec, stage, emptyFile, abilities, caller, inner, filtered = false } = input;
	const ids = idsOf(spec, abilities, caller);
	const { annotations: _, ...rest } = spec;
	const adapted: Spec = {
		...rest,
		process: { ...spec.process, user: { ...spec.process.user, ...ids.user } },
		root: { path: stage.root, readonly: spec.root.readonly ?? false },
		mounts: [...spec.mounts.map((mount) => adaptMount(mount, stage)), ...masks(spec, emptyFile)],
		linux: {
			namespaces: [
				...spec.linux.namespaces.filter(({ type }) => type !== "user" && type !== "cgroup" && type !== "time"),
				...(ids.mapping === undefined ? [] : [{ type: "user" as const }]),
			],
			...(ids.mapping ?? {}),
			...(inner === undefined && !filtered ? { seccomp: sentrySeccomp(spec.linux.seccomp) } : {}),
		},
	};
	if (inner === undefined) return adapted;
	// Without privileges runsc's own processes become the first process's user, and can become the caller's only.
	return withInner(adapted, inner, caller.privileged ? { uid: 0, gid: 0 } : ids.user);
}

/** The program's user as the Sentry is told of it. */
export function userFor(user: Process["user"], abilities: Abilities, caller: AdaptInput["caller"]): Process["user"] {
	return caller.privileged || abilities.ownUid ? user : { ...user, uid: 0, gid: 0 };
}

/** gVisor's word for a flag; the r-forms are kept by the stage, whose every mount is restricted by itself. */
function adaptMount(mount: Mount, stage: Stage): Mount {
	const options = mount.options ?? [];
	if (!isBind(mount)) return { ...mount, options: options.filter((option) => !UNKNOWN.has(option)) };
	const has = (flag: string) => options.includes(flag) || options.includes(`r${flag}`);
	const kept = ["nosuid", "nodev", "noexec"].filter(has);
	return {
		destination: mount.destination,
		type: "bind",
		source: below(stage.root, mount.destination),
		options: ["rbind", has("ro") ? "ro" : "rw", ...kept],
	};
}

/** Of devpts and propagation: the Sentry has one devpts a jail, and nothing propagates into it. */
const UNKNOWN: ReadonlySet<string> = new Set(["newinstance", "private", "rprivate", "slave", "rslave"]);

function masks(spec: Spec, emptyFile: string): readonly Mount[] {
	const own = spec.mounts.filter((mount) => mount.type === "proc" || mount.type === "sysfs");
	return (spec.linux.maskedPaths ?? [])
		.filter((path) => own.some((mount) => isWithin(path, mount.destination)))
		.flatMap((path): readonly Mount[] => {
			const kind = MASKABLE[path];
			if (kind === undefined) return [];
			if (kind === "file") return [{ destination: path, type: "bind", source: emptyFile, options: ["bind", "ro"] }];
			return [
				{
					destination: path,
					type: "tmpfs",
					source: "tmpfs",
					options: ["ro", "nosuid", "nodev", "noexec", "mode=555", "size=4k"],
				},
			];
		});
}

interface Ids {
	readonly user: { readonly uid: number; readonly gid: number };
	readonly mapping?: { readonly uidMappings: readonly IdMapping[]; readonly gidMappings: readonly IdMapping[] };
}

/**
 * User namespace of the gofer, and with `--network=host` of the Sentry as well.
 *
 * Privileged, no network: none is needed, the Sentry gets one of its own as nobody. Privileged with network: root in it
 * is an id that owns nothing, unless the program itself is root and must reach root's files. Not privileged: the
 * caller's own id alone; builds that cannot keep it show the caller's files, and the program, as uid 0 without capabilities.
 */
function idsOf(spec: Spec, abilities: Abilities, caller: AdaptInput["caller"]): Ids {
	const user = userFor(spec.process.user, abilities, caller);
	if (caller.privileged) {
		if (networkOf(spec.linux) === "none") return { user };
		return { user, mapping: { uidMappings: withoutRoot(user.uid), gidMappings: withoutRoot(user.gid) } };
	}
	if (!abilities.ownUid) return { user };
	const only = (id: number): readonly IdMapping[] => [{ containerID: id, hostID: id, size: 1 }];
	return { user, mapping: { uidMappings: only(caller.uid), gidMappings: only(caller.gid) } };
}

function withoutRoot(id: number): readonly IdMapping[] {
	const rest = { containerID: 1, hostID: 1, size: SENTRY_ID - 1 };
	return [{ containerID: 0, hostID: id === 0 ? 0 : SENTRY_ID, size: 1 }, rest];
}

function unsupported(what: string, why: string): VmjailError {
	return new VmjailError("HOST_UNSUPPORTED", `${what}: runsc ${why}`, {
		remedy: 'Take it out of the policy, or set system.runtime to "runlc".',
	});
}
