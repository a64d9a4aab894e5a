/* How much CPU time a jail's processes have used. */
#ifndef VMJAIL_CPUTIME_H
#define VMJAIL_CPUTIME_H

#include "sys.h"
#include "wire.h"

/* From an open cgroup file (cpuacct.usage or cpu.stat), in nanoseconds; false if it cannot be read. */
bool cputime_of_cgroup(int descriptor, enum cpu_usage_format format, uint64_t *ns);

/* Of every process seen in /proc but pid 1, and of all children reaped: where there is no cgroup. Nanoseconds. */
uint64_t cputime_of_processes(void);

#endif
