/* What the judge's cases measure and attack with: judge MODE [NUMBER]. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB (1024UL * 1024)
#define BSS (512UL * MIB)

static char bss[BSS];

static double cpu_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *spin(void *unused)
{
	(void)unused;
	for (volatile uint64_t i = 0;; i++)
		;
	return NULL;
}

/* Touches every page. */
static void touch(volatile char *p, size_t size)
{
	for (size_t i = 0; i < size; i += 4096)
		p[i] = (char)(i | 1);
}

static void touch_mapped(size_t size, int flags)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0);
	if (p == MAP_FAILED)
		exit(3);
	touch(p, size);
}

static void touch_shm(size_t size)
{
	const int fd = open("/dev/shm/bomb", O_RDWR | O_CREAT, 0600);
	static char block[MIB];
	memset(block, 1, sizeof block);
	for (size_t i = 0; i < size; i += sizeof block)
		if (write(fd, block, sizeof block) != (ssize_t)sizeof block)
			exit(4);
}

/* Children hold what they touched until one of them is killed. */
static int touch_in_many(size_t size, int processes)
{
	int status = 0;
	for (int i = 0; i < processes; i++)
		if (fork() == 0) {
			signal(SIGTERM, SIG_DFL);
			touch_mapped(size / (size_t)processes, MAP_PRIVATE);
			pause();
		}
	wait(&status);
	kill(0, SIGTERM);
	return status != 0;
}

static int use_stack(size_t left)
{
	volatile char page[4096];
	page[0] = 1;
	page[4095] = 1;
	return left <= sizeof page ? page[0] : use_stack(left - sizeof page) + page[4095];
}

/* Reads a line, writes a line, NUMBER times; the one who begins writes first. */
static int ping_pong(long times, int begins)
{
	char c = 'x';
	for (long i = 0; i < times; i++) {
		if (begins && write(1, &c, 1) != 1)
			return 5;
		if (read(0, &c, 1) != 1)
			return 6;
		if (!begins && write(1, &c, 1) != 1)
			return 7;
	}
	return 0;
}

static int produce(long bytes)
{
	static char block[65536];
	for (long i = 0; i < (long)sizeof block; i++)
		block[i] = (char)(i * 7);
	while (bytes > 0) {
		const ssize_t n = write(1, block, bytes < (long)sizeof block ? (size_t)bytes : sizeof block);
		if (n < 0)
			return 8;
		bytes -= n;
	}
	return 0;
}

static int consume(void)
{
	static unsigned char block[65536];
	unsigned long bytes = 0, sum = 0;
	for (ssize_t n; (n = read(0, block, sizeof block)) > 0; bytes += (unsigned long)n)
		for (ssize_t i = 0; i < n; i++)
			sum = (sum * 31 + block[i]) & 0xffffffff;
	printf("%lu %lu\n", bytes, sum);
	return 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	const long number = argc > 2 ? atol(argv[2]) : 0;
	const size_t size = (size_t)number * MIB;
	pthread_t thread;
	if (strcmp(mode, "burn") == 0) {
		while (cpu_seconds() * 1000 < (double)number)
			;
	} else if (strcmp(mode, "spin") == 0) {
		for (long i = 1; i < number; i++)
			pthread_create(&thread, NULL, spin, NULL);
		spin(NULL);
	} else if (strcmp(mode, "touch") == 0) {
		touch_mapped(size, MAP_PRIVATE);
	} else if (strcmp(mode, "bss") == 0) {
		touch(bss, size < BSS ? size : BSS);
	} else if (strcmp(mode, "shared") == 0) {
		touch_mapped(size, MAP_SHARED);
	} else if (strcmp(mode, "shm") == 0) {
		touch_shm(size);
	} else if (strcmp(mode, "many") == 0) {
		signal(SIGTERM, SIG_IGN);
		return touch_in_many(size, 16);
	} else if (strcmp(mode, "stack") == 0) {
		struct rlimit limit;
		getrlimit(RLIMIT_STACK, &limit);
		printf("%lu %lu\n", (unsigned long)limit.rlim_cur, (unsigned long)limit.rlim_max);
		fflush(stdout);
		return use_stack((size_t)number * 1024) > 0 ? 0 : 9;
	} else if (strcmp(mode, "forks") == 0) {
		for (;;)
			if (fork() < 0)
				usleep(1000);
	} else if (strcmp(mode, "ping") == 0) {
		return ping_pong(number, 1);
	} else if (strcmp(mode, "pong") == 0) {
		return ping_pong(number, 0);
	} else if (strcmp(mode, "produce") == 0) {
		return produce(number);
	} else if (strcmp(mode, "consume") == 0) {
		return consume();
	} else {
		return 2;
	}
	return 0;
}
