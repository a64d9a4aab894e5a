/*
 * forks PROGRAM COUNT [no-computing]: milliseconds of COUNT times fork, exec and wait (after one more), and of a loop that only computes; one
 * line each.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void start(char *program)
{
	char *const arguments[] = {program, NULL};
	const pid_t child = fork();
	if (child == 0) {
		execve(program, arguments, arguments + 1);
		_exit(127);
	}
	int status = 0;
	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		exit(1);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	start(argv[1]); /* with it come caches, of the kernel's and of a gofer's */
	double begin = now_ms();
	for (int i = atoi(argv[2]); i > 0; i--)
		start(argv[1]);
	printf("%.3f\n", now_ms() - begin);
	if (argc > 3)
		return 0;
	begin = now_ms();
	volatile uint64_t state = 1;
	for (int i = 0; i < 30000000; i++)
		state = state * 6364136223846793005u + 1;
	printf("%.3f\n", now_ms() - begin);
	return 0;
}
