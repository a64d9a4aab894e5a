/**
 * What a program may have changed in a jail that another runtime made (gVisor), made anew for the next one: its kernel's
 * file systems in memory, and IPC objects. By mount(2): its kernel has none of the newer calls. `renew.ts` does it for runlc.
 */

import { isBelow, isWithin } from "../oci/paths.ts";
import type { Mount } from "../oci/types.ts";
import { AT_FDCWD, CLONE_NEW, MNT_DETACH, MS, S_IFREG } from "./constants.ts";
import { cstring } from "./steps.ts";
import type { Step } from "./types.ts";

/** Where binds are kept that stand on a file system which is made anew. Nobody but pid 1 may enter it. */
const STORE = "/dev/.vmjail-binds";

const FLAGS: Readonly<Record<string, number>> = {
	ro: MS.rdonly,
	nosuid: MS.nosuid,
	nodev: MS.nodev,
	noexec: MS.noexec,
};

/** Of options that are for mount(2)'s flags, not for the file system. */
const NOT_DATA: ReadonlySet<string> = new Set(["rw", "bind", "rbind", ...Object.keys(FLAGS)]);

const flagsOf = (options: readonly string[]): number =>
	options.reduce((flags, option) => flags | (FLAGS[option] ?? FLAGS[option.replace(/^r/, "")] ?? 0), 0);

function isRenewed({ type, destination, options = [] }: Mount): boolean {
	if (type === "devpts") return true;
	return type === "tmpfs" && destination !== "/dev" && !options.includes("ro");
}

interface Standing {
	readonly mount: Mount;
	/** Below the store. */
	readonly kept: string;
	readonly folder: boolean;
}

export interface InnerMounts {
	/** As the runtime was told, in order. */
	readonly mounts: readonly Mount[];
	/** Is the source of a bind a folder? */
	readonly isFolder: (mount: Mount) => boolean;
}

/** The binds that stand on what is made anew, with everything else on it. */
function standing({ mounts, isFolder }: InnerMounts): readonly Standing[] {
	return mounts.flatMap((mount, i): readonly Standing[] => {
		const base = mounts.slice(0, i).findLast(({ destination }) => isWithin(mount.destination, destination));
		if (base === undefined || !isRenewed(base) || isRenewed(mount)) return [];
		return [{ mount, kept: `${STORE}/${i}`, folder: isFolder(mount) }];
	});
}

function mountPoint(path: string, folder: boolean): readonly Step[] {
	const tolerate = ["EEXIST"];
	const label = `make ${path}`;
	if (folder) return [{ label, call: "mkdirat", args: [AT_FDCWD, cstring(path), 0o755], tolerate }];
	return [{ label, call: "mknodat", args: [AT_FDCWD, cstring(path), S_IFREG | 0o644, 0], tolerate }];
}

/** With the folders on the way, which a program may have had on the old file system and the new one lacks. */
function mountPointBelow(base: string, path: string, folder: boolean): readonly Step[] {
	const names = path.slice(base.length).split("/").filter(Boolean);
	return names.flatMap((_, i) =>
		mountPoint(`${base}/${names.slice(0, i + 1).join("/")}`, i < names.length - 1 || folder),
	);
}

function bind(label: string, from: string, to: string, options: readonly string[]): readonly Step[] {
	const flags = flagsOf(options);
	const none = 0;
	return [
		{ label, call: "mount", args: [cstring(from), cstring(to), none, MS.bind, none] },
		{
			label: `restrict ${to}`,
			call: "mount",
			args: [none, cstring(to), none, MS.bind | MS.remount | flags, none],
		},
	];
}

/**
 * Folders and nodes of the Sentry's /dev, in all builds: a program with root's id would own them, and could leave
 * something there for the next. Read-only that /dev would not do: builds of 2024 refuse to open /dev/null for writing then.
 */
const OWN_FOLDERS = ["", "/char", "/net", "/pts"] as const;
const OWN_NODES = ["/full", "/fuse", "/net/tun", "/null", "/pts/ptmx", "/random", "/tty", "/urandom", "/zero"] as const;

/**
 * Once, before any program: puts aside the binds that will be put back, and leaves nothing in /dev and /proc/sys that a
 * program without capabilities could change for the next one.
 *
 * @param owner pid 1's own id
 */
export function innerHoldSteps(mounts: InnerMounts, owner: number): readonly Step[] {
	const kept = standing(mounts);
	return [
		...(kept.length === 0
			? []
			: [{ label: `make ${STORE}`, call: "mkdirat", args: [AT_FDCWD, cstring(STORE), 0o700] } as const]),
		...kept.flatMap(({ mount, kept: at, folder }) => [
			...mountPoint(at, folder),
			...bind(`keep ${mount.destination}`, mount.destination, at, mount.options ?? []),
		]),
		...[...OWN_FOLDERS, ...OWN_NODES].map((name) => ownNode(name, owner)),
		...bind("lay /proc/sys over itself", "/proc/sys", "/proc/sys", ["ro", "nosuid", "nodev", "noexec"]),
	];
}

function ownNode(name: string, owner: number): Step {
	const path = `/dev${name}`;
	return {
		label: `take ${path} from programs`,
		call: "fchownat",
		args: [AT_FDCWD, cstring(path), owner, owner, 0],
		tolerate: ["ENOENT"],
	};
}

/** While no program is in the jail. */
export function innerRenewSteps(all: InnerMounts, owner: number): readonly Step[] {
	const made = all.mounts.filter(isRenewed);
	const kept = standing(all);
	const outermost = made.filter(({ destination }) => !made.some((other) => isBelow(destination, other.destination)));
	return [
		...outermost.map(({ destination }): Step => {
			return { label: `unmount the old ${destination}`, call: "umount2", args: [cstring(destination), MNT_DETACH] };
		}),
		{ label: "enter a new IPC namespace", call: "unshare", args: [CLONE_NEW.ipc] },
		...all.mounts.flatMap((mount, i): readonly Step[] => {
			const { destination } = mount;
			const base = all.mounts.slice(0, i).findLast((other) => isWithin(destination, other.destination));
			const place = (folder: boolean) =>
				base === undefined || !isRenewed(base) ? [] : mountPointBelow(base.destination, destination, folder);
			const old = kept.find((one) => one.mount === mount);
			if (old !== undefined) {
				const label = `put back ${destination}`;
				return [...place(old.folder), ...bind(label, old.kept, destination, mount.options ?? [])];
			}
			if (!isRenewed(mount)) return [];
			return [
				...place(true),
				mountNew(mount),
				...(mount.type === "devpts" ? [ownNode("/pts", owner), ownNode("/pts/ptmx", owner)] : []),
			];
		}),
	];
}

function mountNew({ destination, type = "tmpfs", options = [] }: Mount): Step {
	// gVisor gives a devpts' mode to its root folder.
	const data = type === "devpts" ? "" : options.filter((option) => !NOT_DATA.has(option)).join(",");
	return {
		label: `mount a new ${type} on ${destination}`,
		call: "mount",
		args: [cstring(type), cstring(destination), cstring(type), flagsOf(options), cstring(data)],
	};
}
