/* What only system calls can tell about the host. */
#ifndef VMJAIL_PROBE_H
#define VMJAIL_PROBE_H

#include <stdint.h>

/* 0: no Landlock. */
uint32_t probe_landlock_abi(void);

/* Prints one line of JSON on standard output; returns an exit status. */
int probe_print(void);

#endif
