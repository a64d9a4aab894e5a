/*
 * run-filtered FILTER COMMAND [ARGUMENT]...       runs a command under the filter in a file (struct sock_filter[])
 * run-filtered FILTER --call NUMBER [ARGUMENT]... makes one system call and prints its errno, 0 for success
 *
 * no_new_privs is set, as vmjail sets it. The filter "none" is none. Exit status 125: the filter is not in place.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int put_in_place(const char *path)
{
	static struct sock_filter filter[4096];
	int file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = read(file, filter, sizeof filter);
	struct sock_fprog program = { .len = (unsigned short)(length / (ssize_t)sizeof *filter), .filter = filter };
	if (length <= 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

static int make_call(int count, char **words)
{
	long numbers[7] = { 0 };
	for (int at = 0; at < count && at < 7; at++)
		numbers[at] = (long)strtoull(words[at], NULL, 0);
	errno = 0;
	long result = syscall(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6]);
	printf("%d\n", result == -1 ? errno : 0);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 3 || (strcmp(argv[1], "none") != 0 && put_in_place(argv[1]) != 0)) {
		perror("run-filtered: filter");
		return 125;
	}
	if (strcmp(argv[2], "--call") == 0)
		return make_call(argc - 3, argv + 3);
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 127;
}
