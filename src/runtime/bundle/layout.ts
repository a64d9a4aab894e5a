/**
 * A spec whose root is a folder that is in use on the host ("/" above all) → a bundle that any OCI runtime can start.
 *
 * OCI runtimes make the root by pivot_root(2), which needs a root that is a mount of its own and not the current one.
 * So the bundle has a small root file system of its own: an empty mount point for each entry of the real root, a copy
 * of each top-level link, and one bind in the spec for each mount point.
 */

import type { MountEntry } from "../../host/mountinfo.ts";
import { READ_ONLY_FILE, READ_ONLY_TREE, WRITABLE_FILE, WRITABLE_TREE } from "../../oci/mount-options.ts";
import { below, isBelow, isWithin, parentsFirst } from "../../oci/paths.ts";
import type { Mount, Spec } from "../../oci/types.ts";

/** An entry of the folder that is to be the root. */
export interface RootEntry {
	readonly name: string;
	readonly kind: "folder" | "file" | "link" | "other";
	/** Of a link. */
	readonly target?: string;
}

export interface BundleInput {
	readonly spec: Spec;
	/** Of spec.root.path. */
	readonly entries: readonly RootEntry[];
	/** The host's, from /proc/self/mountinfo. */
	readonly hostMounts: readonly MountEntry[];
	/** Absolute path of the bundle, free of links. */
	readonly dir: string;
	/** Kind of a path on the host, and whether the caller may list it; undefined where it cannot be looked up. */
	readonly look: (path: string) => { readonly folder: boolean; readonly readable: boolean } | undefined;
}

export interface Bundle {
	/** For config.json; its root is the folder "rootfs" beside it. */
	readonly spec: Spec;
	/** What that folder holds. */
	readonly rootfs: readonly RootEntry[];
}

/** What the runtimes that people have understand: crun 1.8 refuses any other minor version. */
const OCI_VERSION = "1.0.2";

/** Runtimes make these themselves (OCI config-linux, "Default Devices"); runc 1.1 fails where they are bound already. */
const DEFAULT_DEVICES: readonly string[] = ["null", "zero", "full", "random", "urandom", "tty"].map((n) => `/dev/${n}`);

/** Pure. The spec keeps its meaning; only where its root comes from changes. */
export function bundleOf({ spec, entries, hostMounts, dir, look }: BundleInput): Bundle {
	const own = spec.mounts.filter(({ destination }) => !DEFAULT_DEVICES.includes(destination));
	const taken = new Set(own.map(({ destination }) => destination));
	const rootfs = entries.filter(({ kind }) => kind !== "other");
	const top = rootfs
		.filter(({ name, kind }) => kind !== "link" && !taken.has(`/${name}`))
		.map(({ name, kind }) => topLevelBind(spec, `/${name}`, kind === "folder"));
	const first = [...top, ...own];
	const masked = spec.linux.maskedPaths ?? [];
	const nested = first.flatMap((mount) => submounts(mount, first, masked, hostMounts, look));
	// The sort is stable: of two mounts on one point, the later still comes later.
	const mounts = [...first, ...nested]
		.map((mount) => plainWhereUnreadable(mount, look))
		.toSorted((a, b) => parentsFirst(a.destination, b.destination));
	return {
		rootfs,
		spec: {
			...spec,
			ociVersion: OCI_VERSION,
			root: { ...spec.root, path: "rootfs" },
			mounts,
			linux: { ...spec.linux, maskedPaths: [...masked, ...appearances(dir, first)] },
		},
	};
}

function topLevelBind(spec: Spec, path: string, folder: boolean): Mount {
	const tree = spec.root.readonly ? READ_ONLY_TREE : WRITABLE_TREE;
	const file = spec.root.readonly ? READ_ONLY_FILE : WRITABLE_FILE;
	const source = below(spec.root.path, path);
	return { destination: path, type: "bind", source, options: [...(folder ? tree : file)] };
}

/**
 * A bind for each file system that is mounted on the host below the bind's source and shows in the jail.
 * crun 1.8 copies only the topmost mount of a bind when there is a user namespace; runc copies all, and covers them
 * once more by these.
 */
function submounts(
	bind: Mount,
	all: readonly Mount[],
	masked: readonly string[],
	hostMounts: readonly MountEntry[],
	look: BundleInput["look"],
): readonly Mount[] {
	// A later mount on the same point covers the earlier one: what is seen there is one file system.
	const types = new Map(hostMounts.map(({ mountPoint, type }) => [mountPoint, type]));
	return [...types].flatMap(([path, type]): readonly Mount[] => {
		const destination = throughBind(path, bind);
		if (destination === undefined || destination === bind.destination || type === "nsfs") return [];
		if (coverOf(destination, all) !== bind || masked.some((mask) => isWithin(destination, mask))) return [];
		const found = look(path);
		if (found === undefined) return [];
		const options = found.folder ? (bind.options ?? []) : singleFile(bind.options ?? []);
		return [{ destination, type: "bind", source: path, options: [...options] }];
	});
}

/** Where a path of the host shows in the jail through a recursive bind. */
function throughBind(path: string, bind: Mount): string | undefined {
	const { source, destination, options } = bind;
	if (source === undefined || !options?.includes("rbind") || !isWithin(path, source)) return undefined;
	const rest = path === source ? "" : path.slice(source === "/" ? 0 : source.length);
	return destination === "/" ? rest || "/" : destination + rest;
}

/** The mount that decides what is seen at a path: the deepest at or above it, the last of those on one point. */
function coverOf(path: string, mounts: readonly Mount[]): Mount | undefined {
	return mounts
		.filter(({ destination }) => isWithin(path, destination))
		.reduce<Mount | undefined>(
			(deepest, mount) => (deepest !== undefined && isBelow(deepest.destination, mount.destination) ? deepest : mount),
			undefined,
		);
}

/**
 * The bundle itself must not show in the jail: its root file system carries the binds of all that is mounted before
 * it, and so would show what a mask hides elsewhere.
 */
function appearances(dir: string, mounts: readonly Mount[]): readonly string[] {
	return mounts.flatMap((mount) => {
		const path = throughBind(dir, mount);
		return path !== undefined && coverOf(path, mounts) === mount ? [path] : [];
	});
}

/** crun 1.8 opens what an r-form applies to for reading, which fails on files and on folders that the caller cannot list. */
function plainWhereUnreadable(mount: Mount, look: BundleInput["look"]): Mount {
	if (mount.source === undefined || !mount.options?.includes("rbind")) return mount;
	if (look(mount.source)?.readable !== false) return mount;
	return { ...mount, options: mount.options.filter((option) => !R_FORMS.includes(option)) };
}

const R_FORMS: readonly string[] = ["rro", "rnosuid", "rnodev", "rnoexec"];

function singleFile(options: readonly string[]): readonly string[] {
	return options.map((option) => (option === "rbind" ? "bind" : option)).filter((option) => !R_FORMS.includes(option));
}
