/**
 * Options of the mounts that vmjail asks for.
 *
 * `ro` on a recursive bind covers its topmost mount only (OCI config, "Mounts"); the r-forms cover everything below
 * it (mount_setattr(2) with AT_RECURSIVE). Both are given, so that a runtime that knows no r-forms still does its best.
 * `rprivate` keeps what the host mounts later out of the jail, where it would arrive writable.
 */

export const READ_ONLY_TREE = ["rbind", "ro", "rro", "nosuid", "rnosuid", "nodev", "rnodev", "rprivate"] as const;
export const WRITABLE_TREE = ["rbind", "rw", "nosuid", "rnosuid", "nodev", "rnodev", "rprivate"] as const;

/** A single file has nothing below it; crun 1.8 fails on r-forms there. */
export const READ_ONLY_FILE = ["bind", "ro", "nosuid", "nodev", "rprivate"] as const;
export const WRITABLE_FILE = ["bind", "rw", "nosuid", "nodev", "rprivate"] as const;

/** No `nodev`: it is a device. */
export const DEVICE_FILE = ["bind", "rw", "nosuid", "noexec", "rprivate"] as const;

/** The empty folder that hides another: read-only once the mount points inside it are made. */
export const EMPTY_FOLDER = ["ro", "nosuid", "nodev", "noexec", "mode=755", "size=64k"] as const;
