/*
 * Starts programs and tells how long each took, start to end. A process of its own, small and static, because a fork
 * from Node would measure Node.
 *
 * A request is a line of fields separated by tabs:
 *
 *   spawn PROGRAM ARGUMENT…                    fork, execvp, wait
 *   floor COUNT GROUP… PROGRAM ARGUMENT…       the same in the jail of floor.c, in COUNT new cgroups
 *
 * and the answer a line of numbers: wall time in ns, processor time (user and system, of what was waited for) in µs,
 * wait status. Standard output of programs is dropped. Ends with its standard input.
 */
#include "floor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FIELDS = 128, MAX_LINE = 65536 };

static int null_fd;

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static long microseconds(const struct timeval *t)
{
	return t->tv_sec * 1000000 + t->tv_usec;
}

static pid_t spawn(char **argv)
{
	const pid_t pid = fork();
	if (pid != 0)
		return pid;
	dup2(null_fd, 0);
	dup2(null_fd, 1);
	/* What Node was given by chance: a high number spares gVisor a wait of 10 ms. */
	close_range(3, ~0u, 0);
	execvp(argv[0], argv);
	fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static void fail(const char *what)
{
	fprintf(stderr, "timer: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void measure(pid_t (*start)(void *), int (*clean)(void *), void *of)
{
	struct rusage usage;
	int status;
	const uint64_t begin = now_ns();
	const pid_t pid = start(of);
	if (pid < 0)
		fail("cannot start");
	while (wait4(pid, &status, 0, &usage) < 0)
		if (errno != EINTR)
			fail("wait4");
	if (clean != NULL && clean(of) != 0)
		fail("cannot clean up");
	const uint64_t wall = now_ns() - begin;
	printf("%llu %ld %d\n", (unsigned long long)wall, microseconds(&usage.ru_utime) + microseconds(&usage.ru_stime), status);
	fflush(stdout);
}

static pid_t start_plain(void *argv)
{
	return spawn(argv);
}

static pid_t start_floor(void *f)
{
	return floor_start(f);
}

static int clean_floor(void *f)
{
	return floor_clean(f);
}

static void serve(char **fields, int count)
{
	if (count >= 2 && strcmp(fields[0], "spawn") == 0) {
		measure(start_plain, NULL, fields + 1);
		return;
	}
	struct floor f = {.group_count = count < 2 ? -1 : atoi(fields[1])};
	if (strcmp(fields[0], "floor") != 0 || f.group_count < 0 || f.group_count > MAX_GROUPS || count < f.group_count + 3) {
		fprintf(stderr, "timer: no such request: %s\n", fields[0]);
		exit(2);
	}
	memcpy(f.groups, fields + 2, (size_t)f.group_count * sizeof *fields);
	f.argv = fields + 2 + f.group_count;
	measure(start_floor, clean_floor, &f);
}

int main(void)
{
	static char line[MAX_LINE];
	char *fields[MAX_FIELDS + 1];
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd < 0)
		fail("/dev/null");
	while (fgets(line, sizeof line, stdin) != NULL) {
		int count = 0;
		line[strcspn(line, "\n")] = '\0';
		for (char *rest = line, *field; count < MAX_FIELDS && (field = strsep(&rest, "\t")) != NULL;)
			fields[count++] = field;
		fields[count] = NULL;
		serve(fields, count);
	}
	return 0;
}
