/** Spec → Stage. */

import { posix } from "node:path";
import { VmjailError } from "../../errors.ts";
import type { MountEntry } from "../../host/mountinfo.ts";
import { below, isBelow, isWithin } from "../../oci/paths.ts";
import type { Mount, Spec } from "../../oci/types.ts";
import { isBind } from "../mounts.ts";
import type { MountFlag, PathKind, Stage, StageStep } from "./types.ts";
import { mountsBelow } from "./visible.ts";

export interface StageInput {
	readonly spec: Spec;
	/** The host's mounts, as the caller sees them. */
	readonly mounts: readonly MountEntry[];
	readonly kindOf: (path: string) => PathKind;
	/** An existing empty folder that becomes the jail's root. */
	readonly root: string;
	/** An existing empty file that covers masked files. */
	readonly emptyFile: string;
}

const ORDER: readonly MountFlag[] = ["ro", "nosuid", "nodev", "noexec"];

/** For what holds nothing but mount points. */
const NOTHING = ORDER;

/**
 * The steps that make a spec's file tree below `root`:
 * the root and every bind with what is mounted below them, restricted as the spec says; an empty folder where the
 * spec mounts a file system of its own (the runtime mounts that itself, and nothing of the host lies beneath); and
 * every masked path covered.
 *
 * @throws VmjailError PATH_INVALID where a mount has no place to go, or its place is reached through a symbolic link.
 */
export function stageOf(input: StageInput): Stage {
	const { spec, root } = input;
	const covers: string[] = [];
	const steps: StageStep[] = [{ op: "bind", from: spec.root.path, at: root }];
	const late: StageStep[] = [];
	const hidden = hiddenPaths(spec);
	const rootFlags: readonly MountFlag[] = spec.root.readonly === true ? ["ro", "nosuid", "nodev"] : ["nosuid", "nodev"];
	late.push(...restrictions(input, spec.root.path, "/", rootFlags, hidden));

	for (const [i, mount] of spec.mounts.entries()) {
		const at = below(root, mount.destination);
		const over = overOf(spec.mounts.slice(0, i), mount.destination);
		const folder = !isBind(mount) || input.kindOf(sourceOf(mount)) === "directory";
		const cover =
			over === undefined || isBind(over) ? undefined : covers.findLast((path) => isWithin(over.destination, path));
		if (cover === undefined) requirePlace(input, mount, over, folder);
		else if (isBind(mount)) steps.push(...mountPoint(root, cover, mount.destination, folder));
		if (isBind(mount)) {
			steps.push({ op: "bind", from: sourceOf(mount), at });
			late.push(...restrictions(input, sourceOf(mount), mount.destination, flagsOf(mount), hidden));
		} else if (cover === undefined) {
			steps.push({ op: "tmpfs", at });
			covers.push(mount.destination);
			late.push({ op: "restrict", at, flags: NOTHING });
		}
	}
	return { root, steps: [...steps, ...late, ...maskSteps(input), ...readonlySteps(input)] };
}

/** The same stage with files laid over others, read-only: pairs of a host's path and one of the jail. */
export function withFiles(stage: Stage, files: readonly (readonly [from: string, path: string])[]): Stage {
	const steps = files.flatMap(([from, path]): readonly StageStep[] => {
		const at = below(stage.root, path);
		return [
			{ op: "bind", from, at },
			{ op: "restrict", at, flags: ["ro", "nosuid", "nodev"] },
		];
	});
	return { ...stage, steps: [...stage.steps, ...steps] };
}

/** The mount that a path lies on, of those mounted so far; undefined: the root. */
function overOf(mounts: readonly Mount[], path: string): Mount | undefined {
	return mounts.findLast((mount) => isWithin(path, mount.destination));
}

function sourceOf(mount: Mount): string {
	return mount.source ?? mount.destination;
}

function flagsOf(mount: Mount): readonly MountFlag[] {
	const options = mount.options ?? [];
	return ORDER.filter((flag) => options.includes(flag) || options.includes(`r${flag}`));
}

/** Where the runtime mounts something of its own: what lies there on the host is not seen, and need not be restricted. */
function hiddenPaths(spec: Spec): readonly string[] {
	return spec.mounts.filter((mount) => !isBind(mount)).map((mount) => mount.destination);
}

/** One step for every mount of the host that the bind brings along: its own restrictions and the wanted ones. */
function restrictions(
	{ mounts, root }: StageInput,
	source: string,
	destination: string,
	wanted: readonly MountFlag[],
	hidden: readonly string[],
): readonly StageStep[] {
	return mountsBelow(mounts, source).flatMap((entry): readonly StageStep[] => {
		const inJail = posix.join(destination, posix.relative(source, entry.mountPoint));
		if (hidden.some((path) => isWithin(inJail, path) && isBelow(path, destination))) return [];
		const flags = ORDER.filter((flag) => wanted.includes(flag) || entry.options.includes(flag));
		return [{ op: "restrict", at: below(root, inJail), flags }];
	});
}

function mountPoint(root: string, cover: string, destination: string, folder: boolean): readonly StageStep[] {
	const names = posix.relative(cover, destination).split("/");
	return names.map((_, i) => {
		const at = below(root, posix.join(cover, ...names.slice(0, i + 1)));
		return i === names.length - 1 && !folder ? { op: "file", at } : { op: "folder", at };
	});
}

/** Where on the host a path comes from that lies on `over`. */
function originOf(spec: Spec, over: Mount | undefined, path: string): string {
	return over === undefined
		? below(spec.root.path, path)
		: posix.join(sourceOf(over), posix.relative(over.destination, path));
}

const FAULTS: Readonly<Record<PathKind, string>> = {
	missing: "does not exist",
	link: "is reached through a symbolic link",
	directory: "is a folder",
	file: "is not a folder",
};

/** A runtime would make a missing mount point on the host, which outlives the jail. */
function requirePlace({ spec, kindOf }: StageInput, mount: Mount, over: Mount | undefined, folder: boolean): void {
	const place = originOf(spec, over, mount.destination);
	const found = kindOf(place);
	if (found === (folder ? "directory" : "file")) return;
	throw new VmjailError("PATH_INVALID", `mount on ${mount.destination}: ${place} ${FAULTS[found]}`, {
		remedy: `Make ${place} a ${folder ? "folder" : "file"}, or name another path.`,
	});
}

/** The host's path that a path of the jail shows; undefined on a file system that the runtime mounts itself. */
function shownFrom({ spec }: StageInput, path: string): string | undefined {
	const over = overOf(spec.mounts, path);
	return over === undefined || isBind(over) ? originOf(spec, over, path) : undefined;
}

function maskSteps(input: StageInput): readonly StageStep[] {
	return (input.spec.linux.maskedPaths ?? []).flatMap((path): readonly StageStep[] => {
		const source = shownFrom(input, path);
		const kind = source === undefined ? "missing" : input.kindOf(source);
		const at = below(input.root, path);
		switch (kind) {
			case "missing":
				return [];
			case "directory":
				return [
					{ op: "tmpfs", at },
					{ op: "restrict", at, flags: NOTHING },
				];
			case "file":
				return [
					{ op: "bind", from: input.emptyFile, at },
					{ op: "restrict", at, flags: NOTHING },
				];
			case "link":
				throw new VmjailError("PATH_INVALID", `maskedPaths: ${path} is reached through a symbolic link`, {
					remedy: "Name the path that the link leads to.",
				});
			default:
				return kind satisfies never;
		}
	});
}

function readonlySteps(input: StageInput): readonly StageStep[] {
	return (input.spec.linux.readonlyPaths ?? []).flatMap((path): readonly StageStep[] => {
		const source = shownFrom(input, path);
		if (source === undefined || input.kindOf(source) === "missing") return [];
		const at = below(input.root, path);
		return [
			{ op: "bind", from: at, at },
			...restrictions(input, source, path, ["ro", "nosuid", "nodev"], hiddenPaths(input.spec)),
		];
	});
}
