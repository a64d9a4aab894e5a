#ifndef VMJAIL_BENCH_LOAD_H
#define VMJAIL_BENCH_LOAD_H

#include <stdnoreturn.h>

noreturn void die(const char *what);

void allow_many_descriptors(void);

/*
 * The first byte of a connection says what it wants: the same byte back and the end, an echo, bytes, or bytes taken and counted. No
 * letters: what could begin a request of HTTP is held back where a rule names the server.
 */
enum { ASK = 1, ECHO, DOWN, UP };

/* The server of load.c. */
noreturn void serve(const char *port);

#endif
