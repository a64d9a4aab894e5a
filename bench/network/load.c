/*
 * Load for bench/network.mjs: a server, and clients that tell what they measured as one JSON object. A C program, since one in
 * Node would be slower than what is measured.
 *
 *   load serve PORT                               until killed; says "ready"
 *   load connects HOST PORT COUNT AT_A_TIME       connect, one byte there and back, the server closes
 *   load latency HOST PORT COUNT                  the same one after the other, in microseconds
 *   load down|up HOST PORT BYTES
 *   load idle HOST PORT COUNT                     opens, says so, waits for its input's end, then uses each once more
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

void allow_many_descriptors(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		die("getrlimit");
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		die("setrlimit");
}

static struct sockaddr_storage target;
static socklen_t target_size;

static void find_target(const char *host, const char *port)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
	struct addrinfo *found;
	const int error = getaddrinfo(host, port, &hints, &found);
	if (error != 0) {
		fprintf(stderr, "load: %s: %s\n", host, gai_strerror(error));
		exit(1);
	}
	memcpy(&target, found->ai_addr, found->ai_addrlen);
	target_size = found->ai_addrlen;
	freeaddrinfo(found);
}

static int open_socket(void)
{
	const int one = 1, fd = socket(target.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (connect(fd, (struct sockaddr *)&target, target_size) != 0)
		die("connect");
	return fd;
}

static void exchange(int fd, char what)
{
	char answer;
	if (write(fd, &what, 1) != 1)
		die("write");
	if (read(fd, &answer, 1) != 1 || answer != what)
		die("read");
}

/* A connection that the server closes, so that the client's port is free at once. */
static void visit(void)
{
	char end;
	const int fd = open_socket();
	exchange(fd, ASK);
	if (read(fd, &end, 1) != 0)
		die("the end");
	close(fd);
}

/* A process for each connection at a time, which blocks. */
static void connects(long count, long at_a_time)
{
	const double begun = now();
	for (long i = 0; i < at_a_time; i++) {
		const pid_t pid = fork();
		if (pid < 0)
			die("fork");
		if (pid == 0) {
			for (long n = i; n < count; n += at_a_time)
				visit();
			_exit(0);
		}
	}
	for (long i = 0; i < at_a_time; i++) {
		int status;
		if (wait(&status) < 0 || status != 0)
			die("a client failed");
	}
	const double took = now() - begun;
	printf("{\"count\":%ld,\"seconds\":%.3f,\"perSecond\":%.0f}\n", count, took, (double)count / took);
}

static int by_size(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void latency(long count)
{
	double *connected = calloc((size_t)count, sizeof *connected), *answered = calloc((size_t)count, sizeof *answered);
	for (long i = 0; i < count; i++) {
		char end;
		const double begun = now();
		const int fd = open_socket();
		connected[i] = (now() - begun) * 1e6;
		exchange(fd, ASK);
		answered[i] = (now() - begun) * 1e6;
		if (read(fd, &end, 1) != 0)
			die("the end");
		close(fd);
	}
	qsort(connected, (size_t)count, sizeof *connected, by_size);
	qsort(answered, (size_t)count, sizeof *answered, by_size);
	printf("{\"count\":%ld,\"connectUs\":%.0f,\"answerUs\":%.0f,\"answerP90Us\":%.0f}\n", count, connected[count / 2],
	       answered[count / 2], answered[count * 9 / 10]);
}

static char block[1 << 17];

static void move_bytes(bool up, uint64_t bytes)
{
	const int fd = open_socket();
	const double begun = now();
	uint64_t moved = 0, told = 0;
	const char what = up ? UP : DOWN;
	if (write(fd, &what, 1) != 1 || write(fd, &bytes, sizeof bytes) != sizeof bytes)
		die("write");
	while (moved < bytes) {
		const size_t part = bytes - moved < sizeof block ? bytes - moved : sizeof block;
		const ssize_t n = up ? write(fd, block, part) : read(fd, block, part);
		if (n <= 0)
			die(up ? "write" : "read");
		moved += (uint64_t)n;
	}
	/* Sent is not arrived: the server counts. */
	if (up && (read(fd, &told, sizeof told) != sizeof told || told != bytes))
		die("the server's count");
	const double took = now() - begun;
	printf("{\"bytes\":%" PRIu64 ",\"seconds\":%.3f,\"bytesPerSecond\":%.0f}\n", bytes, took, (double)bytes / took);
}

static void idle(long count)
{
	int *fds = calloc((size_t)count, sizeof *fds);
	char line;
	allow_many_descriptors();
	const double begun = now();
	for (long i = 0; i < count; i++) {
		fds[i] = open_socket();
		exchange(fds[i], ECHO);
	}
	printf("{\"open\":%ld,\"seconds\":%.3f}\n", count, now() - begun);
	fflush(stdout);
	while (read(0, &line, 1) > 0)
		;
	for (long i = 0; i < count; i++)
		exchange(fds[i], ECHO);
	printf("{\"alive\":%ld}\n", count);
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		serve(argv[2]);
	if (argc < 5) {
		fputs("usage: see load.c\n", stderr);
		return 2;
	}
	const char *mode = argv[1];
	find_target(argv[2], argv[3]);
	if (strcmp(mode, "connects") == 0 && argc == 6)
		connects(atol(argv[4]), atol(argv[5]));
	else if (strcmp(mode, "latency") == 0)
		latency(atol(argv[4]));
	else if (strcmp(mode, "down") == 0 || strcmp(mode, "up") == 0)
		move_bytes(mode[0] == 'u', strtoull(argv[4], NULL, 10));
	else if (strcmp(mode, "idle") == 0)
		idle(atol(argv[4]));
	return 0;
}
