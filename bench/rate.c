/*
 * rate MILLISECONDS WORKERS PROGRAM ARGUMENT…: so many processes, each of which starts the program again and again for that
 * time. Standard output: microseconds of each start, from fork(2) to the end of waitpid(2), one a line.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 100000 };

static double now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void start(char **argv)
{
	int status = 0;
	const pid_t child = fork();
	if (child == 0) {
		const int nowhere = open("/dev/null", O_RDWR);
		dup2(nowhere, 0);
		dup2(nowhere, 1);
		execv(argv[0], argv);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		exit(1);
}

static void work(double until, char **argv)
{
	static double took[MOST];
	int count = 0;
	for (double begin = now_us(); begin < until && count < MOST; begin = now_us()) {
		start(argv);
		took[count++] = now_us() - begin;
	}
	/* One write for each worker's line would tear: they take turns by the pipe's own order. */
	static char line[32];
	for (int i = 0; i < count; i++) {
		const int length = snprintf(line, sizeof line, "%.1f\n", took[i]);
		if (write(1, line, (size_t)length) != length)
			exit(1);
	}
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	const double until = now_us() + atof(argv[1]) * 1e3;
	int status = 0, failed = 0;
	for (int i = atoi(argv[2]); i > 0; i--)
		if (fork() == 0) {
			work(until, argv + 3);
			return 0;
		}
	while (wait(&status) > 0)
		failed |= status;
	return failed != 0;
}
