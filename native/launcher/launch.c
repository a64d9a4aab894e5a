/*
 * vmjail-launch ROOT ARGUMENT…: what `vmjail` becomes, and what becomes Node.
 *
 * In a git checkout it first looks whether the build is newer than the sources, and has it made if not. Then it starts
 * the executor, from a process that is small and so quickly forked, and hands its socket to the command line, which need
 * not wait for it: `node OPTION dist/cli.cjs --executor=SOCKET ARGUMENT…`.
 */
#include "stale.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FAILED = 125, EXECUTOR_SOCKET = 3 };

/*
 * A start allocates some eight megabytes, nearly all of which live to its end: with less room V8 copies them about several
 * times. scripts/code-cache.mjs, whose product goes with these options, is run with the same.
 */
static char YOUNG[] = "--min-semi-space-size=8";

/* Set between two launches, so that sources which stay newer than the build are not built for ever. */
static const char BUILT[] = "VMJAIL_BUILT";

static char root[PATH_MAX], setup[PATH_MAX], executor[PATH_MAX], launcher[PATH_MAX], command_line[PATH_MAX];

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "vmjail: %s: %s\n", what, strerror(errno));
	exit(FAILED);
}

static void path_below(char out[PATH_MAX], const char *name)
{
	if (snprintf(out, PATH_MAX, "%s/%s", root, name) >= PATH_MAX) {
		errno = ENAMETOOLONG;
		die(root);
	}
}

/* In a process that exec follows: opens /dev/null as descriptor `to`. */
static void use_null(int to)
{
	const int null = open("/dev/null", O_RDWR);
	if (null < 0 || (null != to && (dup2(null, to) < 0 || close(null) != 0)))
		_exit(FAILED);
}

/* Not the job's standard input, nor its standard output. */
static void build(char **argv)
{
	int status;
	const pid_t pid = fork();
	if (pid == 0) {
		use_null(0);
		dup2(2, 1);
		execlp("sh", "sh", setup, (char *)NULL);
		_exit(FAILED);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		die("cannot set up");
	if (status != 0)
		exit(FAILED);
	/* The launcher itself may be another one now. */
	setenv(BUILT, "1", 1);
	execv(launcher, argv);
	die(launcher);
}

static void build_if_needed(char **argv)
{
	const bool just_built = getenv(BUILT) != NULL;
	unsetenv(BUILT);
	const int folder = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		die(root);
	const bool is_checkout = faccessat(folder, ".git", F_OK, 0) == 0;
	if (!just_built && (!build_is_whole(folder) || (is_checkout && build_is_stale(folder))))
		build(argv);
	close(folder);
}

/* What the parent ignores or blocks is not to be inherited: the executor waits for its children by SIGCHLD. */
static void reset_signals(void)
{
	sigset_t none;
	sigemptyset(&none);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* As src/executor/zygote.ts starts it: no environment, a session of its own, nothing open but the socket. */
static _Noreturn void become_executor(int socket)
{
	char *argv[] = {"vmjail-executor", "serve", "3", NULL}, *no_environment[] = {NULL};
	reset_signals();
	/* Above what is set here, so that nothing is overwritten before it has been copied. */
	const int high = fcntl(socket, F_DUPFD, EXECUTOR_SOCKET + 1);
	if (setsid() < 0 || chdir("/") != 0 || high < 0)
		_exit(FAILED);
	for (int i = 0; i < EXECUTOR_SOCKET; i++)
		use_null(i);
	if (dup2(high, EXECUTOR_SOCKET) < 0 || syscall(SYS_close_range, EXECUTOR_SOCKET + 1, ~0u, 0) != 0)
		_exit(FAILED);
	execve(executor, argv, no_environment);
	_exit(FAILED);
}

/* Never a number of a standard stream, which may be closed. */
static int above_streams(int descriptor)
{
	const int moved = fcntl(descriptor, F_DUPFD, EXECUTOR_SOCKET);
	close(descriptor);
	return moved;
}

/* The command line's end of the socket; -1 where there is none: then it starts an executor itself, or says why not. */
static int start_executor(void)
{
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return -1;
	const int here = above_streams(ends[0]);
	const pid_t pid = here < 0 ? -1 : fork();
	if (pid == 0) {
		close(here);
		become_executor(ends[1]);
	}
	close(ends[1]);
	if (pid < 0 && here >= 0)
		close(here);
	return pid < 0 ? -1 : here;
}

static _Noreturn void become_node(char **arguments, int count)
{
	char handed_over[32];
	char **argv = calloc((size_t)count + 5, sizeof *argv);
	int used = 0;
	if (argv == NULL)
		die("no memory");
	argv[used++] = "node";
	argv[used++] = YOUNG;
	argv[used++] = command_line;
	const int socket = start_executor();
	if (socket >= 0) {
		snprintf(handed_over, sizeof handed_over, "--executor=%d", socket);
		argv[used++] = handed_over;
	}
	memcpy(argv + used, arguments, (size_t)count * sizeof *argv);
	execvp("node", argv);
	if (errno == ENOENT)
		fputs("vmjail: node is not in PATH: install Node.js 20.19 or later\n", stderr);
	else
		fprintf(stderr, "vmjail: node: %s\n", strerror(errno));
	exit(FAILED);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fputs("usage: vmjail-launch ROOT [ARGUMENT...]\nvmjail starts this program.\n", stderr);
		return 2;
	}
	/* Absolute: the executor is started from another folder. */
	if (realpath(argv[1], root) == NULL)
		die(argv[1]);
	path_below(setup, "scripts/setup.sh");
	path_below(executor, "build/vmjail-executor");
	path_below(launcher, "build/vmjail-launch");
	path_below(command_line, "dist/cli.cjs");
	build_if_needed(argv);
	become_node(argv + 2, argc - 2);
}
