/** Layers to OCI mounts and masks. */

import type { Layer } from "./layers.ts";
import { EMPTY_FOLDER, READ_ONLY_FILE, READ_ONLY_TREE, WRITABLE_FILE, WRITABLE_TREE } from "./mount-options.ts";
import { isBelow } from "./paths.ts";
import type { Mount } from "./types.ts";

/** What container runtimes hide and write-protect in /proc and /sys (the kernel's interfaces that know no namespaces). */
export const MASKED: readonly string[] = [
	"/proc/acpi",
	"/proc/asound",
	"/proc/interrupts",
	"/proc/kcore",
	"/proc/keys",
	"/proc/latency_stats",
	"/proc/sched_debug",
	"/proc/scsi",
	"/proc/timer_list",
	"/proc/timer_stats",
	"/sys/devices/virtual/powercap",
	"/sys/firmware",
	"/sys/fs/cgroup",
];
export const WRITE_PROTECTED: readonly string[] = [
	"/proc/bus",
	"/proc/fs",
	"/proc/irq",
	"/proc/sys",
	"/proc/sysrq-trigger",
];

/**
 * Mounts for the layers, in the layers' order (parents first), after the base mounts.
 *
 * A base mount gives way to a layer at the same path (a larger /dev/shm, say). A mask with other layers below it is an
 * empty read-only tmpfs, because their mount points are made in it; a plain mask is left to `linux.maskedPaths`.
 */
export function mountsOf(base: readonly Mount[], layers: readonly Layer[]): readonly Mount[] {
	const own = layers.flatMap((layer) => mountOf(layer, layers));
	const taken = new Set(own.map((mount) => mount.destination));
	return [...base.filter((mount) => !taken.has(mount.destination)), ...own];
}

/** The fixed masks, then the policy's, each path once. */
export function maskedPathsOf(layers: readonly Layer[]): readonly string[] {
	const plain = layers.filter((layer) => isPlainMask(layer, layers)).map((layer) => layer.path);
	return [...new Set([...MASKED, ...plain])];
}

function mountOf(layer: Layer, all: readonly Layer[]): readonly Mount[] {
	switch (layer.kind) {
		case "mask":
			if (isPlainMask(layer, all)) return [];
			return [{ destination: layer.path, type: "tmpfs", source: "tmpfs", options: [...EMPTY_FOLDER] }];
		case "tmpfs": {
			const options = ["nosuid", "nodev", "mode=1777", `size=${layer.sizeBytes}`];
			return [{ destination: layer.path, type: "tmpfs", source: "tmpfs", options }];
		}
		case "readable":
			return [bind(layer.path, layer.source, layer.folder ? READ_ONLY_TREE : READ_ONLY_FILE)];
		case "writable":
			return [bind(layer.path, layer.source, layer.folder ? WRITABLE_TREE : WRITABLE_FILE)];
		default:
			return layer satisfies never;
	}
}

function bind(destination: string, source: string, options: readonly string[]): Mount {
	return { destination, type: "bind", source, options: [...options] };
}

function isPlainMask(layer: Layer, all: readonly Layer[]): boolean {
	return layer.kind === "mask" && !(layer.folder && all.some((other) => isBelow(other.path, layer.path)));
}
