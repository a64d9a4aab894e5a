/** Mount options of an OCI spec in the kernel's terms (OCI runtime specification, config.md, "Mounts"; mount(8)). */

import { VmjailError } from "../errors.ts";
import {
	MOUNT_ATTR_NODEV,
	MOUNT_ATTR_NOEXEC,
	MOUNT_ATTR_NOSUID,
	MOUNT_ATTR_RDONLY,
	MS_NOATIME,
	MS_NODEV,
	MS_NOEXEC,
	MS_NOSUID,
	MS_RELATIME,
} from "./constants.ts";

export interface MountOptions {
	readonly bind: boolean;
	/** Of a bind: with everything mounted below. */
	readonly recursive: boolean;
	readonly readonly: boolean;
	/** For mount(2), without MS_RDONLY. */
	readonly flags: number;
	/** For mount_setattr(2), without MOUNT_ATTR_RDONLY. */
	readonly attributes: number;
	/** What the file system itself understands: "size=64m,mode=1777". */
	readonly data: string;
}

const FLAGS: Readonly<Record<string, { readonly flag: number; readonly attribute: number }>> = {
	nosuid: { flag: MS_NOSUID, attribute: MOUNT_ATTR_NOSUID },
	nodev: { flag: MS_NODEV, attribute: MOUNT_ATTR_NODEV },
	noexec: { flag: MS_NOEXEC, attribute: MOUNT_ATTR_NOEXEC },
	noatime: { flag: MS_NOATIME, attribute: 0 },
	relatime: { flag: MS_RELATIME, attribute: 0 },
};

/** Without effect here: defaults, and propagation, which is private everywhere in a jail. */
const NEUTRAL: ReadonlySet<string> = new Set([
	"rw", "rrw", "suid", "dev", "exec", "async", "atime", "diratime", "defaults", "strictatime",
	"private", "rprivate", "slave", "rslave",
]);

/** @throws VmjailError POLICY_INVALID for an option that cannot be kept: shared propagation. */
export function parseOptions(options: readonly string[], destination: string): MountOptions {
	const data: string[] = [];
	let flags = 0;
	let attributes = 0;
	for (const option of options) {
		const known = FLAGS[option] ?? (option.startsWith("r") ? FLAGS[option.slice(1)] : undefined);
		if (known !== undefined) {
			flags |= known.flag;
			attributes |= known.attribute;
		} else if (option === "shared" || option === "rshared" || option === "unbindable" || option === "runbindable") {
			throw new VmjailError("POLICY_INVALID", `mount on ${destination}: option ${option} would tie the jail's mounts to the host's`, {
				remedy: "Use rprivate.",
			});
		} else if (!NEUTRAL.has(option) && !["bind", "rbind", "ro", "rro"].includes(option)) {
			data.push(option);
		}
	}
	const recursive = options.includes("rbind");
	return {
		bind: recursive || options.includes("bind"),
		recursive,
		readonly: options.includes("ro") || options.includes("rro"),
		flags,
		attributes,
		data: data.join(","),
	};
}

/** The attributes of a whole mount: with MOUNT_ATTR_RDONLY where it is read-only. */
export function attributesOf(options: MountOptions): number {
	return options.attributes | (options.readonly ? MOUNT_ATTR_RDONLY : 0);
}
