/** The file section of a policy as layers over the root: the deepest layer at or above a path decides. */

import { VmjailError } from "../errors.ts";
import type { HostFacts } from "../host/types.ts";
import type { Policy } from "../policy/types.ts";
import { existing, factOf } from "./host-path.ts";
import { below, isBelow, isWithin, parentsFirst } from "./paths.ts";

interface LayerBase {
	/** In the jail; free of links. */
	readonly path: string;
	/** Where the policy says so, for messages: "security.file.writablePaths[0]". */
	readonly where: string;
	/** Folder or file? */
	readonly folder: boolean;
}

export type Layer =
	| (LayerBase & { readonly kind: "mask" })
	| (LayerBase & { readonly kind: "tmpfs"; readonly sizeBytes: number })
	| (LayerBase & { readonly kind: "readable" | "writable"; readonly source: string });

/** What a jail's own /dev holds; /run is empty. */
const IN_DEV: readonly string[] = ["null", "zero", "full", "random", "urandom", "tty", "pts", "shm", "mqueue"].map(
	(name) => `/dev/${name}`,
);

/** The system's own mount points, where a policy's path would undo what every jail has. */
const OWN: readonly string[] = ["/", "/proc", "/dev"];

/**
 * All layers of a policy, parents first, at most one for each path.
 *
 * Where a view and a mask name the same path, a read-only view wins (it is laid over masks and tmpfs), and a writable
 * view wins over a read-only one. A masked path that does not exist, or is hidden by another layer, gives no layer.
 *
 * @throws VmjailError PATH_INVALID for a path that is missing, of the wrong kind, reached through a link that somebody
 *   else may have planted, or one of the jail's own; POLICY_INVALID where two lists contradict each other.
 */
export function layersOf(policy: Policy, facts: HostFacts): readonly Layer[] {
	const file = policy.security.file;
	const root = policy.system.root.path;
	// Folders that are made anew in the jail, by the policy's spelling: what lies below them needs no counterpart on the host.
	const made = new Map<string, string>();
	const masks = file.maskedPaths.flatMap((path, i) => {
		const layers = mask(facts, root, path, `security.file.maskedPaths[${i}]`);
		for (const layer of layers) if (layer.folder) made.set(path, layer.path);
		return layers;
	});
	const tmpfs = file.tmpfs
		.map((mount, i) => ({ ...mount, where: `security.file.tmpfs[${i}]` }))
		.toSorted((a, b) => parentsFirst(a.path, b.path))
		.map(({ path, sizeBytes, where }): Layer => {
			const point = tmpfsPoint(facts, root, path, made, where);
			made.set(path, point);
			return { kind: "tmpfs", path: point, sizeBytes, folder: true, where };
		});
	const views = (["readable", "writable"] as const).flatMap((kind) =>
		file[`${kind}Paths`].map((path, i) => view(kind, facts, root, path, made, `security.file.${kind}Paths[${i}]`)),
	);
	const named = unique([...masks, ...tmpfs, ...views]);
	const sorted = [...named, ...kernelMasks(facts, root, named)].toSorted((a, b) => parentsFirst(a.path, b.path));
	return withoutHiddenMasks(sorted, [...IN_DEV, ...policy.system.devices]);
}

/**
 * The host's kernel file systems in odd places: masked, unless the policy names the very place. What the caller cannot
 * even look at, the program cannot either.
 */
function kernelMasks(facts: HostFacts, root: string, named: readonly Layer[]): readonly Layer[] {
	return (facts.kernelMounts ?? []).flatMap((onHost): readonly Layer[] => {
		const path = root === "/" ? onHost : isBelow(onHost, root) ? onHost.slice(root.length) : undefined;
		const kind = facts.paths[onHost]?.kind ?? "missing";
		if (path === undefined || kind === "missing" || kind === "unreadable") return [];
		if (named.some((layer) => layer.path === path)) return [];
		return [{ kind: "mask", path, where: "the host's mounts", folder: kind === "directory" }];
	});
}

/** What is hidden already has no place in the jail that a mask could be put on. */
function withoutHiddenMasks(layers: readonly Layer[], inDev: readonly string[]): readonly Layer[] {
	return layers.filter((layer) => {
		if (layer.kind !== "mask") return true;
		const cover = layers.findLast((other) => isBelow(layer.path, other.path));
		if (cover !== undefined) return cover.kind === "readable" || cover.kind === "writable";
		if (isBelow(layer.path, "/dev")) return inDev.some((path) => isWithin(layer.path, path));
		return !isWithin(layer.path, "/run");
	});
}

function mask(facts: HostFacts, root: string, path: string, where: string): readonly Layer[] {
	const onHost = below(root, path);
	const fact = factOf(facts, onHost, where);
	if (fact.kind === "missing") return [];
	const real = fact.real ?? onHost;
	if (root !== "/" && real !== onHost) throw linkInRoot(onHost, real, where);
	const inJail = root === "/" ? real : path;
	refuseOwn(inJail, where);
	return [{ kind: "mask", path: inJail, where, folder: fact.kind === "directory" }];
}

function view(
	kind: "readable" | "writable",
	facts: HostFacts,
	root: string,
	path: string,
	made: ReadonlyMap<string, string>,
	where: string,
): Layer {
	const { real, kind: found } = existing(facts, path, where);
	if (found === "char" || found === "block") {
		throw new VmjailError("PATH_INVALID", `${where}: ${path} is a device`, { remedy: "List it in system.devices." });
	}
	const folder = found === "directory";
	const point = root === "/" ? real : path;
	for (const place of [real, point]) {
		refuseOwn(place, where);
		refuseKernelTree(place, where);
	}
	if (point === "/run") {
		throw new VmjailError("PATH_INVALID", `${where}: /run holds the sockets of the host's services`, {
			remedy: "Name the files or folders below it that are meant.",
		});
	}
	if (root !== "/" && ![...made.keys()].some((folderMade) => isBelow(path, folderMade))) {
		mountPointInRoot(facts, below(root, path), folder, where);
	}
	return { kind, path: point, source: real, where, folder };
}

/** A tmpfs needs a folder to stand on: one of the host's, or one that is made in the jail. */
function tmpfsPoint(
	facts: HostFacts,
	root: string,
	path: string,
	made: ReadonlyMap<string, string>,
	where: string,
): string {
	refuseOwn(path, where);
	refuseKernelTree(path, where);
	for (const [spelled, point] of made) if (isBelow(path, spelled)) return point + path.slice(spelled.length);
	if (root !== "/") {
		mountPointInRoot(facts, below(root, path), true, where);
		return path;
	}
	const { real, kind } = existing(facts, path, where);
	if (kind !== "directory") {
		throw new VmjailError("PATH_INVALID", `${where}: ${path} is not a folder`, { remedy: "Name a folder." });
	}
	refuseOwn(real, where);
	refuseKernelTree(real, where);
	return real;
}

function mountPointInRoot(facts: HostFacts, onHost: string, folder: boolean, where: string): void {
	const { real, kind } = existing(facts, onHost, where);
	if (real !== onHost) throw linkInRoot(onHost, real, where);
	if ((kind === "directory") !== folder) {
		throw new VmjailError(
			"PATH_INVALID",
			`${where}: ${onHost} is the mount point and is not a ${folder ? "folder" : "file"}`,
			{
				remedy: `Make ${onHost} a ${folder ? "folder" : "file"}.`,
			},
		);
	}
}

/** An absolute link means one thing on the host and another in the jail, so under a root of its own none is followed. */
function linkInRoot(onHost: string, real: string, where: string): VmjailError {
	return new VmjailError("PATH_INVALID", `${where}: ${onHost} leads through a symbolic link to ${real}`, {
		remedy: "Under a root other than /, name paths that pass through no link.",
	});
}

function refuseOwn(path: string, where: string): void {
	if (!OWN.includes(path)) return;
	const remedy =
		path === "/"
			? "For a writable root, set system.root.readonly to false."
			: "Name the files or folders below it that are meant.";
	throw new VmjailError("PATH_INVALID", `${where}: ${path} is the jail's own`, { remedy });
}

/** The host's /proc and /sys in the jail would show the host's processes and undo the masks that every jail has. */
function refuseKernelTree(path: string, where: string): void {
	if (!isWithin(path, "/proc") && !isWithin(path, "/sys")) return;
	throw new VmjailError("PATH_INVALID", `${where}: ${path} lies in the kernel's own file systems`, {
		remedy: "The jail has a /proc and a /sys of its own; take the path out of the policy.",
	});
}

function unique(layers: readonly Layer[]): readonly Layer[] {
	const byPath = new Map<string, Layer>();
	for (const layer of layers) {
		const other = byPath.get(layer.path);
		const agree =
			other === undefined ||
			other.kind === layer.kind ||
			layer.kind === "readable" ||
			(layer.kind === "writable" && other.kind === "readable");
		if (!agree) {
			throw new VmjailError("POLICY_INVALID", `${layer.where} and ${other.where} both name ${layer.path}`, {
				remedy: "Keep one of the two.",
			});
		}
		byPath.set(layer.path, layer);
	}
	return [...byPath.values()];
}
