/** Constants of the kernel's UAPI headers, the same on x86_64 and aarch64 except where noted. */

export const AT_FDCWD = -100;
export const AT_EMPTY_PATH = 0x1000;
export const AT_RECURSIVE = 0x8000;
export const AT_REMOVEDIR = 0x200;

/** fcntl.h. O_DIRECTORY and O_NOFOLLOW differ between x86_64 and aarch64; where there is openat2(2), its flags do it. */
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_NOCTTY = 0o400;
export const O_NONBLOCK = 0o4000;
export const O_NOFOLLOW = { x86_64: 0o400000, aarch64: 0o100000 } as const;
export const O_CLOEXEC = 0o2000000;
export const O_PATH = 0o10000000;

/** fcntl(2) */
export const F_DUPFD_CLOEXEC = 1030;

/** openat2(2) */
export const RESOLVE_NO_MAGICLINKS = 0x02;
export const RESOLVE_NO_SYMLINKS = 0x04;
export const RESOLVE_IN_ROOT = 0x10;

/** clone3(2) */
export const CLONE_NEW = {
	time: 0x80n,
	mount: 0x0002_0000n,
	cgroup: 0x0200_0000n,
	uts: 0x0400_0000n,
	ipc: 0x0800_0000n,
	user: 0x1000_0000n,
	pid: 0x2000_0000n,
	network: 0x4000_0000n,
} as const;

/** mount(2) */
export const MS_REC = 0x4000;
export const MS_PRIVATE = 0x40000;
export const MNT_DETACH = 2;

/** mount(2), for kernels without mount_setattr(2). */
export const MS = { rdonly: 0x1, nosuid: 0x2, nodev: 0x4, noexec: 0x8, remount: 0x20, bind: 0x1000 } as const;

/** mount_setattr(2) */
export const MOUNT_ATTR_RDONLY = 0x1;
export const MOUNT_ATTR_NOSUID = 0x2;
export const MOUNT_ATTR_NODEV = 0x4;
export const MOUNT_ATTR_NOEXEC = 0x8;
export const MOUNT_ATTR_NOATIME = 0x10;

/** open_tree(2), move_mount(2) */
export const OPEN_TREE_CLONE = 1;
export const OPEN_TREE_CLOEXEC = 0o2000000;
export const MOVE_MOUNT_F_EMPTY_PATH = 0x4;
export const MOVE_MOUNT_T_EMPTY_PATH = 0x40;

/** prctl(2) */
export const PR_SET_KEEPCAPS = 8;
export const PR_CAPBSET_DROP = 24;
export const PR_SET_SECUREBITS = 28;
export const PR_SET_NO_NEW_PRIVS = 38;
export const PR_SET_DUMPABLE = 4;
export const PR_CAP_AMBIENT = 47;
export const PR_CAP_AMBIENT_RAISE = 2;

/** seccomp(2) */
export const SECCOMP_SET_MODE_FILTER = 1;

/** terminals */
export const TIOCSCTTY = 0x540e;
export const TIOCSPGRP = 0x5410;
export const TIOCNOTTY = 0x5422;
export const TIOCSWINSZ = 0x5414;
export const TIOCSPTLCK = 0x40045431;
export const TIOCGPTPEER = 0x5441;

/** sockets */
export const AF_INET = 2;
export const SOCK_DGRAM = 2;
export const SOCK_CLOEXEC = 0o2000000;
export const SIOCSIFFLAGS = 0x8914;
export const IFF_UP = 1;

export const SIG_SETMASK = 2;

/** capget(2): _LINUX_CAPABILITY_VERSION_3 */
export const CAPABILITY_VERSION_3 = 0x20080522;

export const S_IFREG = 0o100000;
