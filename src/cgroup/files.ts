/** System calls on the files of a control group. */

import { AT_FDCWD, AT_REMOVEDIR, O_CLOEXEC, O_PATH, O_RDONLY, O_WRONLY } from "../plan/constants.ts";
import { block, cstring, space, text } from "../plan/steps.ts";
import type { Arg, Bytes, Errno, SlotName, Step } from "../plan/types.ts";

/** An open folder of a group, and how messages call it. */
export interface Group {
	readonly slot: SlotName;
	/** Absolute. */
	readonly path: string;
	/** Here only to measure: where it fails, the jail runs without. */
	readonly forAccountOnly: boolean;
	/** The open group that it is made in, by its own name; absent: it is found by its path. */
	readonly below?: { readonly slot: SlotName; readonly name: string };
}

/** Every file of a group is opened into this slot: saving a descriptor closes the one before. */
const FILE: SlotName = "cgroup.file";

/** A step that fails leaves its slot empty, and steps on an empty slot fail with EBADF. */
const ANY_REFUSAL: readonly Errno[] = ["EACCES", "EPERM", "ENOENT", "EBADF"];

/** Of a file that only newer kernels have. */
const ABSENT: readonly Errno[] = ["ENOENT", "EBADF"];

function tolerating(errors: readonly Errno[]): Pick<Step, "tolerate"> {
	return errors.length === 0 ? {} : { tolerate: errors };
}

function open(at: Arg, path: string, flags: number, save: SlotName, label: string, errors: readonly Errno[]): Step {
	return { label, call: "openat", args: [at, cstring(path), flags | O_CLOEXEC, 0], save, ...tolerating(errors) };
}

function put(label: string, content: Bytes, errors: readonly Errno[]): Step {
	return { label, call: "write", args: [{ slot: FILE }, content, content.bytes.length], ...tolerating(errors) };
}

function placeOf({ path, below }: Group): readonly [Arg, string] {
	return below === undefined ? [AT_FDCWD, path] : [{ slot: below.slot }, below.name];
}

/** Opens a group that is there already, or fails into an empty slot. */
export function findGroup(group: Group): Step {
	return open(AT_FDCWD, group.path, O_PATH, group.slot, `open the group ${group.path}`, ANY_REFUSAL);
}

/** mkdir, then the folder in the group's slot. */
export function makeGroup(group: Group): readonly Step[] {
	const errors = group.forAccountOnly ? ANY_REFUSAL : [];
	const label = `make the group ${group.path}`;
	const [at, name] = placeOf(group);
	return [
		{ label, call: "mkdirat", args: [at, cstring(name), 0o755], ...tolerating(errors) },
		open(at, name, O_PATH, group.slot, `open the group ${group.path}`, errors),
	];
}

/** Writes one value into a file of the group. `errors`: those that do no harm. */
export function setFile(group: Group, file: string, value: string, errors: readonly Errno[] = []): readonly Step[] {
	const label = `set ${file} to ${value}`;
	return [
		open({ slot: group.slot }, file, O_WRONLY, FILE, `${label}: open`, errors),
		put(label, text(value), errors.length === 0 ? [] : [...errors, "EBADF"]),
	];
}

/** Writes one value into a file by its absolute path. */
export function setPath(path: string, value: string, errors: readonly Errno[] = []): readonly Step[] {
	const label = `write ${value} to ${path}`;
	return [
		open(AT_FDCWD, path, O_WRONLY, FILE, `open ${path}`, errors),
		put(label, text(value), errors.length === 0 ? [] : [...errors, "EBADF"]),
	];
}

/** Moves the process that the plan starts into the group. The kernel strips the blanks behind the number. */
export function attachChild(group: Group): readonly Step[] {
	const errors = group.forAccountOnly ? ANY_REFUSAL : [];
	const pid = block(new TextEncoder().encode(" ".repeat(10)), '"<pid>"', [{ at: 0, kind: "pid", pad: " " }]);
	return [
		open({ slot: group.slot }, "cgroup.procs", O_WRONLY, FILE, `open cgroup.procs of ${group.path}`, errors),
		put(`attach the jail to ${group.path}`, pid, errors),
	];
}

/**
 * Moves the process that the plan starts into a group of cgroup v1, by its own hand.
 *
 * Whoever moves another process takes a lock over every fork and exit of the machine and waits for an RCU grace period
 * (10 ms and more where the last move is a while ago). A thread that moves itself alone ("0" to `tasks`) needs neither:
 * cgroup_procs_write_start(). Pid 1 has one thread then. The kernel asks for the rights of whoever opened the file.
 */
export function attachSelf(group: Group): { readonly host: readonly Step[]; readonly child: readonly Step[] } {
	const errors = group.forAccountOnly ? ANY_REFUSAL : [];
	const slot: SlotName = `${group.slot}.tasks`;
	const label = `attach the jail to ${group.path}`;
	return {
		host: [open({ slot: group.slot }, "tasks", O_WRONLY, slot, `open tasks of ${group.path}`, errors)],
		child: [{ label, call: "write", args: [{ slot }, text("0"), 1], ...tolerating(errors) }],
	};
}

/** Opens a file of the group into a slot of its own, to be read while the jail runs. */
export function openFile(group: Group, file: string, save: SlotName): Step {
	return open({ slot: group.slot }, file, O_RDONLY, save, `open ${file}`, ABSENT);
}

/** Reports an already open file under a name. */
export function reportSlot(slot: SlotName, report: string, size: number): Step {
	return {
		label: `read ${report}`,
		call: "read",
		args: [{ slot }, space(size), size],
		tolerate: ["EBADF"],
		report,
	};
}

/** Opens and reports a file of the group; nothing where the kernel has no such file. */
export function reportFile(group: Group, file: string, size: number): readonly Step[] {
	return [open({ slot: group.slot }, file, O_RDONLY, FILE, `open ${file}`, ABSENT), reportSlot(FILE, file, size)];
}

/** Files of a group that are opened when it is made, because a look at them is to take no time later. */
export interface OpenReports {
	readonly open: readonly Step[];
	readonly report: readonly Step[];
	readonly slots: readonly SlotName[];
}

/** `files`: their sizes by name. Nothing is reported of those that the kernel lacks. */
export function openReports(group: Group, files: Readonly<Record<string, number>>): OpenReports {
	const slotOf = (file: string): SlotName => `${group.slot}.${file}`;
	return {
		open: Object.keys(files).map((file) => openFile(group, file, slotOf(file))),
		report: Object.entries(files).map(([file, size]) => reportSlot(slotOf(file), file, size)),
		slots: Object.keys(files).map(slotOf),
	};
}

/** rmdir; the group's last process may still be on its way out. */
export function removeGroup(group: Group): Step {
	const [at, name] = placeOf(group);
	return {
		label: `remove the group ${group.path}`,
		call: "unlinkat",
		args: [at, cstring(name), AT_REMOVEDIR],
		tolerate: group.below === undefined ? ["ENOENT"] : ["ENOENT", "EBADF"],
		retryBusy: true,
	};
}

/** Makes a folder that may be there already. */
export function ensureFolder(path: string): Step {
	const label = `make the group ${path}`;
	return { label, call: "mkdirat", args: [AT_FDCWD, cstring(path), 0o755], tolerate: ["EEXIST"] };
}
