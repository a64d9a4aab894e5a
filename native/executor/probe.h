/* What only system calls can tell about the host. */
#ifndef VMJAIL_PROBE_H
#define VMJAIL_PROBE_H

/* Prints one line of JSON on standard output; returns an exit status. */
int probe_print(void);

#endif
