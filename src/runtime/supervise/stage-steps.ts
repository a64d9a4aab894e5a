/** A stage as system calls. */

import {
	AT_FDCWD,
	MOUNT_ATTR_NODEV,
	MOUNT_ATTR_NOEXEC,
	MOUNT_ATTR_NOSUID,
	MOUNT_ATTR_RDONLY,
	S_IFREG,
} from "../../plan/constants.ts";
import { attach, cloneTree, makeFileSystem, openOutside, setAttributes } from "../../plan/mounts.ts";
import { cstring } from "../../plan/steps.ts";
import type { Errno, Step } from "../../plan/types.ts";
import type { MountFlag, StageStep } from "../stage/types.ts";

const ATTRIBUTES: Readonly<Record<MountFlag, number>> = {
	ro: MOUNT_ATTR_RDONLY,
	nosuid: MOUNT_ATTR_NOSUID,
	nodev: MOUNT_ATTR_NODEV,
	noexec: MOUNT_ATTR_NOEXEC,
};

/** mount_too_revealing() in fs/namespace.c: what the host has restricted stays so. */
const KERNELS_OWN = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

/** Where the caller cannot look, nobody in the jail can. The step that needs the empty slot then fails with EBADF. */
const UNREACHABLE: readonly Errno[] = ["EACCES", "ENOENT", "ENOTDIR", "ELOOP"];

export function stageSteps(steps: readonly StageStep[]): readonly Step[] {
	return steps.flatMap(stepsOf);
}

function stepsOf(step: StageStep): readonly Step[] {
	const { at } = step;
	switch (step.op) {
		case "bind":
			return [
				openOutside(step.from, "source"),
				cloneTree(`copy the mounts of ${step.from}`, "source", true, "tree"),
				openOutside(at, "target"),
				attach(`bind ${step.from} to ${at}`, "tree", "target"),
			];
		case "tmpfs":
			return [
				...makeFileSystem("tmpfs", { attributes: 0, data: "size=64k,mode=755" }),
				openOutside(at, "target"),
				attach(`mount tmpfs on ${at}`, "tree", "target"),
			];
		case "sysfs":
			return [
				...makeFileSystem("sysfs", { attributes: KERNELS_OWN, data: "" }),
				openOutside(at, "target"),
				attach(`mount sysfs on ${at}`, "tree", "target"),
			];
		case "folder":
			return [{ label: `make ${at}`, call: "mkdirat", args: [AT_FDCWD, cstring(at), 0o755], tolerate: ["EEXIST"] }];
		case "file":
			return [
				{
					label: `make ${at}`,
					call: "mknodat",
					args: [AT_FDCWD, cstring(at), S_IFREG | 0o644, 0],
					tolerate: ["EEXIST"],
				},
			];
		case "restrict": {
			if (step.flags.length === 0) return [];
			const attributes = step.flags.reduce((sum, flag) => sum | ATTRIBUTES[flag], 0);
			const label = `restrict ${at} to ${step.flags.join(", ")}`;
			return [
				{ ...openOutside(at, "target"), tolerate: UNREACHABLE },
				{ ...setAttributes(label, "target", attributes, false), tolerate: ["EBADF"] },
			];
		}
		default:
			return step satisfies never;
	}
}
