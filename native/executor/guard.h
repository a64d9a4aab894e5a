/*
 * The exec guard: traces a workload and all its descendants, and lets only allowed programs run.
 *
 * Two moments count. Before execve(2) (a seccomp filter stops the caller): what the path names now is compared with the
 * allowed files, and a refused call answers EACCES. That look can be raced, so it only explains. After execve(2) and
 * before the first instruction of the new program: what the kernel really loaded is compared, and anything else is
 * killed. Nothing can change between that look and the first instruction.
 */
#ifndef VMJAIL_GUARD_H
#define VMJAIL_GUARD_H

#include "sys.h"

enum { GUARD_MAX_FILES = 512, GUARD_PATH = 256 };

struct guard_file {
	dev_t device;
	ino_t inode;
	int descriptor; /* O_PATH: pins the inode, so that its number cannot become another file's */
};

struct guard_denial {
	pid_t pid;
	bool killed; /* at its first instruction; else the call answered EACCES */
	char path[GUARD_PATH];
};

struct guard {
	unsigned count; /* 0: no guard */
	int proc;       /* /proc of the jail */
	struct guard_file files[GUARD_MAX_FILES];
	/* Told of each denial. */
	void (*denied)(void *owner, const struct guard_denial *denial);
	/* Told that a process stopped for job control. */
	void (*stopped)(void *owner, pid_t pid, int signal);
	void *owner;
};

/* Allows the file behind an O_PATH descriptor, which stays the caller's. 0, or -1 and errno. */
int guard_allow(struct guard *guard, int descriptor);

/* Begins to trace a child that has not run anything yet. 0, or -1 and errno. */
int guard_seize(pid_t pid);

/* Handles one stop that wait4(2) reported and lets the process go on, if it may. */
void guard_handle(struct guard *guard, pid_t pid, int status);

#endif
