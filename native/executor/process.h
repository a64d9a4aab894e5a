/* Starting a process for a program: clone3 with the program's flags, the child held until its parent is ready. */
#ifndef VMJAIL_PROCESS_H
#define VMJAIL_PROCESS_H

#include "machine.h"

/* One end for the parent, one for the child; -1 where no hold is needed. */
struct hold {
	int read;
	int write;
};

bool hold_open(struct hold *hold);

/* In the child: returns once the parent let go; false if the parent is gone. */
bool hold_wait(struct hold *hold);

/* In the parent. */
void hold_release(struct hold *hold);
void hold_close(struct hold *hold);

/* clone3 with the program's flags and the given ones; like fork: 0 in the child, the child's id or -1 and errno in the parent. */
pid_t machine_clone(struct machine *machine, uint64_t flags);

#endif
