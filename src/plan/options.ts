/** Mount options of an OCI spec in the kernel's terms (OCI runtime specification, config.md, "Mounts"; mount(8)). */

import { VmjailError } from "../errors.ts";
import {
	MOUNT_ATTR_NOATIME,
	MOUNT_ATTR_NODEV,
	MOUNT_ATTR_NOEXEC,
	MOUNT_ATTR_NOSUID,
	MOUNT_ATTR_RDONLY,
} from "./constants.ts";

export interface MountOptions {
	readonly bind: boolean;
	/** Of a bind: with everything mounted below. */
	readonly recursive: boolean;
	readonly readonly: boolean;
	/** For fsmount(2) and mount_setattr(2), without MOUNT_ATTR_RDONLY. */
	readonly attributes: number;
	/** What the file system itself understands: "size=64m,mode=1777". */
	readonly data: string;
}

const ATTRIBUTES: Readonly<Record<string, number>> = {
	nosuid: MOUNT_ATTR_NOSUID,
	nodev: MOUNT_ATTR_NODEV,
	noexec: MOUNT_ATTR_NOEXEC,
	noatime: MOUNT_ATTR_NOATIME,
};

/** Without effect here: defaults, and propagation, which is private everywhere in a jail. */
const NEUTRAL: ReadonlySet<string> = new Set([
	"rw",
	"rrw",
	"relatime",
	"rrelatime",
	"suid",
	"dev",
	"exec",
	"async",
	"atime",
	"diratime",
	"defaults",
	"strictatime",
	"private",
	"rprivate",
	"slave",
	"rslave",
]);

/** @throws VmjailError POLICY_INVALID for an option that cannot be kept: shared propagation. */
export function parseOptions(options: readonly string[], destination: string): MountOptions {
	const data: string[] = [];
	let attributes = 0;
	for (const option of options) {
		const known = ATTRIBUTES[option] ?? (option.startsWith("r") ? ATTRIBUTES[option.slice(1)] : undefined);
		if (known !== undefined) {
			attributes |= known;
		} else if (option === "shared" || option === "rshared" || option === "unbindable" || option === "runbindable") {
			throw new VmjailError(
				"POLICY_INVALID",
				`mount on ${destination}: option ${option} would tie the jail's mounts to the host's`,
				{
					remedy: "Use rprivate.",
				},
			);
		} else if (!NEUTRAL.has(option) && !["bind", "rbind", "ro", "rro"].includes(option)) {
			data.push(option);
		}
	}
	const recursive = options.includes("rbind");
	return {
		bind: recursive || options.includes("bind"),
		recursive,
		readonly: options.includes("ro") || options.includes("rro"),
		attributes,
		data: data.join(","),
	};
}

/** The attributes of a whole mount: with MOUNT_ATTR_RDONLY where it is read-only. */
export function attributesOf(options: MountOptions): number {
	return options.attributes | (options.readonly ? MOUNT_ATTR_RDONLY : 0);
}
