/**
 * A stage: the jail's file tree as the host's kernel enforces it, made in a private mount namespace around a runtime.
 * Data only: a supervisor carries it out.
 */

/** Restrictions of a mount; all of them are enforced by the host's kernel, whatever the runtime inside believes. */
export type MountFlag = "ro" | "nosuid" | "nodev" | "noexec";

export type StageStep =
	/** Shows `from`, with every mount below it, at `at` as well. */
	| { readonly op: "bind"; readonly from: string; readonly at: string }
	/** An empty file system with a size that holds mount points only. */
	| { readonly op: "tmpfs"; readonly at: string }
	/** The kernel's, for the network namespace that it is made in. */
	| { readonly op: "sysfs"; readonly at: string }
	| { readonly op: "folder"; readonly at: string }
	| { readonly op: "file"; readonly at: string }
	/** Sets exactly these restrictions on the mount at `at`; where the caller cannot reach it, nobody in the jail can. */
	| { readonly op: "restrict"; readonly at: string; readonly flags: readonly MountFlag[] };

/** Content that stands in the place of a file, whatever becomes of that one. */
export interface StageCopy {
	/** In the jail, with its links resolved. */
	readonly path: string;
	readonly bytes: Uint8Array;
}

export interface Stage {
	/** In order. */
	readonly steps: readonly StageStep[];
	/** Where the jail's root ends up. */
	readonly root: string;
}

/** What lies at a path of the host. "link": a symbolic link, there or on the way. */
export type PathKind = "directory" | "file" | "link" | "missing";
