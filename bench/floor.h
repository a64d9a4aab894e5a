#ifndef FLOOR_H
#define FLOOR_H

#include <sys/types.h>

enum { MAX_GROUPS = 8 };

/* The least that a jail like vmjail's takes: see floor.c. */
struct floor {
	int group_count;
	char *groups[MAX_GROUPS]; /* folders below a cgroup mount, to be made and removed; absent as a rule */
	char **argv;
};

/* Starts the program in its jail; -1 and errno where that fails. To be waited for, then floor_clean. */
pid_t floor_start(const struct floor *f);

/* Removes the groups; -1 and errno where one stays. */
int floor_clean(const struct floor *f);

#endif
