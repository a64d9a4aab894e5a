/** The block devices that an io limit applies to. */

import { attempt, type HostFs } from "./fs.ts";

type BlockDevices = readonly { readonly major: number; readonly minor: number; readonly name: string }[];

/** Backed by memory, not by a disk. */
const IN_MEMORY = /^(?:ram|zram)\d+$/;

/**
 * Every device of /proc/partitions that has a size and is not itself a partition: the kernel throttles whole devices
 * only and answers ENODEV for a partition. Stacked devices (dm, md, mounted loop files) are there beside the disks
 * below them; the same rate on both is the same limit.
 */
export function blockDevices(fs: HostFs): BlockDevices {
	const whole = new Set(attempt(() => fs.readDirectory("/sys/block")) ?? []);
	const lines = (attempt(() => fs.readFile("/proc/partitions")) ?? "").split("\n");
	return lines.flatMap((line) => {
		const [major, minor, blocks, name = ""] = line.trim().split(/\s+/);
		// /sys/block writes "!" where a name has a slash.
		if (!whole.has(name.replaceAll("/", "!")) || IN_MEMORY.test(name) || Number(blocks) === 0) return [];
		return [{ major: Number(major), minor: Number(minor), name }];
	});
}
