/* What the parts of the exec guard share. */
#ifndef VMJAIL_GUARD_PARTS_H
#define VMJAIL_GUARD_PARTS_H

#include "guard.h"

#include <sys/stat.h>

/* What execve or execveat was called with. */
struct call {
	unsigned long path;
	int folder;
};

/* guard.c */

bool guard_allows(const struct guard *guard, const struct stat *info);
void guard_deny(struct guard *guard, pid_t pid, bool killed, const char *path);

/* "<pid><suffix>", relative to /proc. */
void proc_path(char *out, size_t size, pid_t pid, const char *suffix);

/* Where a link in /proc points to; an empty string where that cannot be told. */
void read_proc_link(const struct guard *guard, const char *link, char *out, size_t size);

/* guard-listener.c */

/* A process stands at the first stop of a new program. If a thread executed it, it has the process's id by now. */
void guard_executed(struct guard *guard, pid_t pid);

/* guard-look.c */

enum look {
	ALLOWED,
	REFUSED, /* surely not allowed: that has been told */
	UNKNOWN,
};

/* The look before. */
enum look guard_look(struct guard *guard, pid_t pid, const struct call *call);

/* Tells that a call is refused, by the name that its caller gave. */
void guard_refuse_unseen(struct guard *guard, pid_t pid, const struct call *call);

#endif
