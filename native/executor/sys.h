/* Small helpers over raw system calls. Nothing here allocates, locks or uses stdio: safe after clone3. */
#ifndef VMJAIL_SYS_H
#define VMJAIL_SYS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* Repeats `call` as long as a signal interrupts it. */
#define RETRY(call) \
	({ \
		__typeof__(call) result_; \
		do \
			result_ = (call); \
		while (result_ == -1 && errno == EINTR); \
		result_; \
	})

static inline uint64_t align8(uint64_t n)
{
	return (n + 7) & ~(uint64_t)7;
}

uint64_t monotonic_ns(void);

/* Closes every descriptor from 3 on that is not in `keep` (any order, -1 ignored, at most 512). */
void close_all_but(const int *keep, int count);

/* Takes what a clone shares since, copy on write, for our own now: else the next write to each page does, in somebody's way. */
void own_pages(void *from, size_t size);

/* Bytes of a netlink answer up to and with the error (struct nlmsghdr, int). */
enum { ACKNOWLEDGEMENT = 20 };

/* 0 where netlink has done what it was asked to, else -1 and its error. */
int check_acknowledgement(const uint8_t *answer);

#endif
