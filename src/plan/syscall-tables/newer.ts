/**
 * System calls that are newer than the headers the other tables were made from (Linux 6.1).
 * Since number 424 every architecture gives a new call the same number (Linux 6.18: scripts/syscall.tbl).
 */
export const NEWER = {
	cachestat: 451,
	fchmodat2: 452,
	map_shadow_stack: 453,
	futex_wake: 454,
	futex_wait: 455,
	futex_requeue: 456,
	statmount: 457,
	listmount: 458,
	lsm_get_self_attr: 459,
	lsm_set_self_attr: 460,
	lsm_list_modules: 461,
	mseal: 462,
	setxattrat: 463,
	getxattrat: 464,
	listxattrat: 465,
	removexattrat: 466,
	open_tree_attr: 467,
	file_getattr: 468,
	file_setattr: 469,
} as const;

/** The exceptions to that rule: calls that only x86_64 has (arch/x86/entry/syscalls/syscall_64.tbl). */
export const NEWER_X86_64 = {
	uretprobe: 335,
	uprobe: 336,
} as const;
