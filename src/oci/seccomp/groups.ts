/**
 * Every system call of x86_64 and aarch64, sorted: those a jail may make, by purpose; those answered with EPERM; those
 * answered with ENOSYS. A test holds that none is missing and none is there twice.
 */

interface Group {
	readonly purpose: string;
	/** In both profiles. */
	readonly strict: readonly string[];
	/** In the default profile only. */
	readonly more: readonly string[];
}

function words(text: string): readonly string[] {
	return text.split(/\s+/).filter((word) => word !== "");
}

export const GROUPS: readonly Group[] = [
	{
		purpose: "open, read and write files",
		strict: words(`read write open close creat openat openat2 lseek pread64 pwrite64 readv writev preadv pwritev preadv2
			pwritev2 dup dup2 dup3 pipe pipe2 fcntl flock close_range copy_file_range sendfile readahead fadvise64 cachestat
			fsync fdatasync sync_file_range fallocate truncate ftruncate`),
		// splice and its kin move pages between descriptors: rarely needed, often the subject of kernel faults.
		more: words("splice tee vmsplice sync syncfs"),
	},
	{
		purpose: "folders, names and attributes of files",
		strict: words(`stat fstat lstat newfstatat statx access faccessat faccessat2 getdents getdents64 getcwd chdir fchdir
			readlink readlinkat statfs fstatfs rename renameat renameat2 mkdir mkdirat rmdir unlink unlinkat chmod fchmod
			fchmodat fchmodat2 umask utime utimes futimesat utimensat`),
		// Links and special files are what a parser's output folder should not hold. Devices need a capability.
		more: words("link linkat symlink symlinkat mknod mknodat chown fchown lchown fchownat"),
	},
	{
		purpose: "extended attributes",
		strict: words("getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr getxattrat listxattrat"),
		more: words("setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr setxattrat removexattrat"),
	},
	{
		purpose: "memory of the process itself",
		strict: words(`mmap mprotect munmap brk mremap msync mincore madvise mlock mlock2 munlock mlockall munlockall mseal
			pkey_mprotect pkey_alloc pkey_free membarrier map_shadow_stack`),
		more: words("memfd_create"),
	},
	{
		purpose: "processes and threads (clone has a rule of its own)",
		strict: words(`fork vfork execve execveat exit exit_group wait4 waitid getpid getppid gettid getpgid getpgrp setpgid
			getsid setsid set_tid_address set_robust_list get_robust_list futex futex_wait futex_wake futex_requeue
			futex_waitv rseq arch_prctl prctl getrlimit setrlimit prlimit64 getrusage pidfd_open pidfd_send_signal
			restart_syscall`),
		more: [],
	},
	{
		purpose: "signals",
		strict: words(`rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigqueueinfo
			rt_tgsigqueueinfo rt_sigsuspend sigaltstack kill tkill tgkill pause signalfd signalfd4`),
		more: [],
	},
	{
		purpose: "time: reading clocks, sleeping, timers",
		strict:
			words(`time times gettimeofday clock_gettime clock_getres nanosleep clock_nanosleep alarm getitimer setitimer
			timer_create timer_settime timer_gettime timer_getoverrun timer_delete timerfd_create timerfd_settime
			timerfd_gettime`),
		more: [],
	},
	{
		purpose: "waiting for descriptors",
		strict: words(`poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2
			eventfd eventfd2`),
		more: [],
	},
	{
		purpose: "network sockets (socket and socketpair have rules of their own); what a socket pair needs is in both",
		strict: words("sendto recvfrom sendmsg recvmsg shutdown getsockname getpeername getsockopt setsockopt"),
		more: words("bind listen accept accept4 connect sendmmsg recvmmsg"),
	},
	{
		purpose: "System V and POSIX inter-process communication, inside the jail's own IPC namespace",
		strict: [],
		more: words(`shmget shmat shmctl shmdt semget semop semctl semtimedop msgget msgsnd msgrcv msgctl mq_open mq_unlink
			mq_timedsend mq_timedreceive mq_notify mq_getsetattr`),
	},
	{
		purpose: "reading identity and the machine's facts",
		strict: words(`getuid geteuid getgid getegid getresuid getresgid getgroups capget uname sysinfo getcpu getrandom`),
		// Changing identity: without capabilities only among the ids that the process has already.
		more: words("setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups capset"),
	},
	{
		purpose: "scheduling",
		strict: words(`sched_yield sched_getaffinity sched_setaffinity sched_getparam sched_getscheduler sched_getattr
			sched_get_priority_max sched_get_priority_min sched_rr_get_interval getpriority`),
		more: words("sched_setparam sched_setscheduler sched_setattr setpriority ioprio_get ioprio_set"),
	},
	{
		purpose: "watching files change",
		strict: [],
		more: words("inotify_init inotify_init1 inotify_add_watch inotify_rm_watch"),
	},
	{
		purpose: "a program that confines itself further (seccomp has a rule of its own)",
		strict: words("landlock_create_ruleset landlock_add_rule landlock_restrict_self"),
		more: [],
	},
	{
		purpose: "trampolines of the host's own uprobes; of no use to a program, which gets SIGILL",
		strict: words("uretprobe uprobe"),
		more: [],
	},
];

/** Calls that the profiles let through for some arguments only; profiles.ts has their rules. */
export const CONDITIONAL: readonly string[] = words("clone ioctl socket socketpair personality seccomp");

/** Calls that programs expect to be forbidden: EPERM. */
export const REFUSED: readonly string[] = words(`
	mount umount2 pivot_root chroot fsopen fsconfig fsmount fspick move_mount open_tree open_tree_attr mount_setattr
	setns unshare ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd
	io_uring_setup io_uring_enter io_uring_register bpf userfaultfd perf_event_open add_key request_key keyctl
	init_module finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff
	open_by_handle_at name_to_handle_at fanotify_init fanotify_mark
	quotactl quotactl_fd acct syslog iopl ioperm lookup_dcookie vhangup modify_ldt
	settimeofday clock_settime adjtimex clock_adjtime sethostname setdomainname
	mbind get_mempolicy set_mempolicy set_mempolicy_home_node migrate_pages move_pages
	remap_file_pages sysfs ustat lsm_set_self_attr`);

/**
 * Calls that programs expect to be missing, and then do without: ENOSYS, like every call that is newer than this list.
 * clone3's flags lie behind a pointer, where a filter cannot look; C libraries then use clone.
 */
export const MISSING: readonly string[] = words(`
	clone3 statmount listmount lsm_get_self_attr lsm_list_modules file_getattr file_setattr
	process_madvise process_mrelease memfd_secret
	io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents
	set_thread_area get_thread_area epoll_ctl_old epoll_wait_old uselib _sysctl create_module get_kernel_syms query_module
	nfsservctl getpmsg putpmsg afs_syscall tuxcall security vserver`);
