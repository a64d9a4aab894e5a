/*
 * Pid 1 may wait in a call that does not end by itself: ticks interrupt it (EINTR) every two milliseconds. They stop when
 * nobody has asked for them during one.
 */
#ifndef VMJAIL_TICKS_H
#define VMJAIL_TICKS_H

#include <setjmp.h>
#include <stdbool.h>

/* Once. False, and errno. */
bool ticks_receive(void);

/* From now on there are two at least; ticks_came answers false until the first. */
void ticks_keep(void);
bool ticks_came(void);

/* Where a call must not be interrupted: only system calls of pid 1's own are repeated. */
void ticks_stop(void);

/* The next tick jumps there, out of a call that repeats itself; NULL: no longer. */
void ticks_jump(sigjmp_buf *away);

#endif
