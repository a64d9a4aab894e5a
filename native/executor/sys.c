#include "sys.h"

#include <linux/close_range.h>
#include <limits.h>
#include <linux/netlink.h>
#include <string.h>
#include <time.h>

uint64_t monotonic_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void close_all_but(const int *keep, int count)
{
	unsigned from = 3;
	for (;;) {
		int next = -1;
		for (int i = 0; i < count; i++)
			if (keep[i] >= (int)from && (next < 0 || keep[i] < next))
				next = keep[i];
		if (next < 0)
			break;
		if ((unsigned)next > from)
			syscall(SYS_close_range, from, (unsigned)next - 1, 0);
		from = (unsigned)next + 1;
	}
	syscall(SYS_close_range, from, INT_MAX, 0); /* gVisor takes no more */
}

void own_pages(void *from, size_t size)
{
	const size_t page = 4096; /* the smallest there is: larger ones are written to twice */
	volatile uint8_t *const bytes = from;
	for (size_t at = 0; at < size; at += page)
		bytes[at] = bytes[at];
	if (size > 0)
		bytes[size - 1] = bytes[size - 1];
}

_Static_assert(sizeof(struct nlmsghdr) + sizeof(int) == ACKNOWLEDGEMENT, "netlink(7)");

int check_acknowledgement(const uint8_t *answer)
{
	struct nlmsghdr header;
	int error;
	memcpy(&header, answer, sizeof header);
	memcpy(&error, answer + sizeof header, sizeof error);
	if (header.nlmsg_type == NLMSG_ERROR && error == 0)
		return 0;
	errno = header.nlmsg_type == NLMSG_ERROR && error < 0 ? -error : EPROTO;
	return -1;
}
