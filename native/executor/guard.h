/*
 * The exec guard: sees every execve(2) of a workload and its descendants, and lets only allowed programs run.
 *
 * Two moments count. Before execve(2) (a seccomp filter holds the caller): what the path names now is compared with the
 * allowed files, and a refused call answers EACCES. That look can be raced, so it only explains. After execve(2) and
 * before the first instruction of the new program: what the kernel really loaded is compared, and anything else is
 * killed. Nothing can change between that look and the first instruction.
 *
 * The second moment is a stop of ptrace(2), so the caller must be traced by then. With a seccomp listener it is from the
 * first moment to the second, and at no other time. Where a process cannot have our listener it is traced from its birth.
 */
#ifndef VMJAIL_GUARD_H
#define VMJAIL_GUARD_H

#include "sys.h"

#include <linux/seccomp.h>

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
	int listener;   /* of the present workload, or -1: all its processes are traced */
	int door[2];    /* by which a workload's process hands its listener to pid 1: pid 1's end, its own */
	bool waits;     /* `call` is to be looked at again */
	pid_t expected; /* whose new program's first stop is about to come; 0: nobody's */
	pid_t lowered;  /* whose scheduling is to be restored; 0: nobody's */
	pid_t doubtful; /* whose was restored while it may have had another id */
	struct seccomp_notif call;
	/* Told of each denial. */
	void (*denied)(void *owner, const struct guard_denial *denial);
	void *owner;
};

/* Allows the file behind an O_PATH descriptor, which stays the caller's. 0, or -1 and errno. */
int guard_allow(struct guard *guard, int descriptor);

/* Begins to trace a child that has not run anything yet. 0, or -1 and errno. */
int guard_seize(pid_t pid);

/*
 * Handles one stop that wait4(2) reported and lets the process go on, if it may. False where it is a stop for job control,
 * of a traced process or another one.
 */
bool guard_handle(struct guard *guard, pid_t pid, int status);

/* guard-listener.c */

/* In pid 1, before the first workload. */
bool guard_open(struct guard *guard);

/* In a workload's process: hands over the listener of its filter. 0, or -1 and errno. */
int guard_give(struct guard *guard, int listener);

/* In pid 1: takes what was handed over. */
void guard_take(struct guard *guard);

/* Serves the listener, of which poll(2) said `events`, or the call that waits. */
void guard_serve(struct guard *guard, short events);

/* The processes that had the listener are gone. */
void guard_forget(struct guard *guard);

/* wait4(2) told the end of a process or thread. */
void guard_died(struct guard *guard, pid_t pid);

/* What was expected does not come, or has come. */
void guard_give_up(struct guard *guard);

#endif
