/** The calls that no jail may make, whatever its profile says. */

import type { SeccompArg } from "../types.ts";
import { exceptValues32, hasAny, hasNone, isValue32 } from "./masks.ts";

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET (include/uapi/linux/sched.h). */
export const NAMESPACE_FLAGS = 0x7e020000;
/** For unshare only: in clone's flags this bit belongs to the exit signal. */
const CLONE_NEWTIME = 0x80;
const TIOCSTI = 0x5412;
const TIOCLINUX = 0x541c;
const PID_1 = 1;

/**
 * A call that is refused for some arguments: one of `permitted` or one of `refused` holds, never both.
 * All are SCMP_CMP_MASKED_EQ, on one argument.
 */
export interface PartlyRefused {
	readonly permitted: readonly SeccompArg[];
	readonly refused: readonly SeccompArg[];
}

/** Refused altogether. */
export const FLOOR_REFUSED: ReadonlySet<string> = new Set([
	// Kernel interfaces whose faults have broken sandboxes again and again.
	"io_uring_setup",
	"io_uring_enter",
	"io_uring_register",
	"bpf",
	"userfaultfd",
	"perf_event_open",
	"add_key",
	"request_key",
	"keyctl",
	// Into other processes.
	"ptrace",
	"process_vm_readv",
	"process_vm_writev",
	"kcmp",
	"pidfd_getfd",
	// What is mounted where. umount is i386's name of the older umount2.
	"mount",
	"umount",
	"umount2",
	"pivot_root",
	"chroot",
	"fsopen",
	"fsconfig",
	"fsmount",
	"fspick",
	"move_mount",
	"open_tree",
	"open_tree_attr",
	"mount_setattr",
	"setns",
	// Files by handle: past every mask and mount.
	"open_by_handle_at",
	// The machine.
	"init_module",
	"finit_module",
	"delete_module",
	"create_module",
	"query_module",
	"get_kernel_syms",
	"kexec_load",
	"kexec_file_load",
	"reboot",
	"swapon",
	"swapoff",
	"quotactl",
	"quotactl_fd",
	"acct",
	"syslog",
	"iopl",
	"ioperm",
	"lookup_dcookie",
	"vhangup",
]);

/** Refused for some arguments. All are read by the kernel as 32 bits, or have no meaning in their upper half. */
export const FLOOR_PARTLY: ReadonlyMap<string, PartlyRefused> = new Map([
	["clone", flags(NAMESPACE_FLAGS)],
	["unshare", flags(NAMESPACE_FLAGS | CLONE_NEWTIME)],
	// Keystrokes pushed into the terminal that vmjail was started from.
	[
		"ioctl",
		{
			permitted: exceptValues32(1, [TIOCSTI, TIOCLINUX]),
			refused: [isValue32(1, TIOCSTI), isValue32(1, TIOCLINUX)],
		},
	],
	// Of the jail's pid 1, which keeps its limits and may have the program's ids: the kernel asks for no more than that.
	["prlimit64", { permitted: exceptValues32(0, [PID_1]), refused: [isValue32(0, PID_1)] }],
]);

/** Its flags lie behind a pointer; C libraries take ENOSYS as the sign to use clone. */
export const CLONE3 = "clone3";

function flags(bits: number): PartlyRefused {
	return { permitted: [hasNone(0, bits)], refused: hasAny(0, bits) };
}
