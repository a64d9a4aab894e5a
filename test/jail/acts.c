/* What programs do to a jail, one act for each name. Exit status 0: it could be done; 3: the kernel refused it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

static char zeroed[512 << 20];

static int refused(const char *what)
{
	printf("%s: %s\n", what, strerrorname_np(errno));
	return 3;
}

static void touch(char *at, size_t size)
{
	for (size_t i = 0; i < size; i += 4096)
		at[i] = 1;
}

static int touch_mapping(size_t mib)
{
	char *at = mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return refused("mmap");
	touch(at, mib * MIB);
	return 0;
}

static int touch_shared(size_t mib)
{
	const int id = shmget(IPC_PRIVATE, mib * MIB, IPC_CREAT | 0600);
	char *at = id < 0 ? (char *)-1 : shmat(id, NULL, 0);
	if (at == (char *)-1)
		return refused("shm");
	touch(at, mib * MIB);
	return 0;
}

/* Messages that nobody receives. */
static int fill_queues(size_t mib)
{
	static struct {
		long type;
		char text[8192];
	} message = {.type = 1};
	for (size_t sent = 0; sent < mib * MIB;) {
		const int id = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
		if (id < 0)
			return refused("msgget");
		while (msgsnd(id, &message, sizeof message.text, IPC_NOWAIT) == 0)
			sent += sizeof message.text;
	}
	return 0;
}

static int touch_memfd(size_t mib)
{
	const int fd = memfd_create("x", 0);
	if (fd < 0 || ftruncate(fd, (off_t)(mib * MIB)) != 0)
		return refused("memfd");
	touch(mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), mib * MIB);
	return 0;
}

/* Many processes, none of which is large. */
static int touch_together(size_t mib)
{
	int failed = 0, status;
	for (int i = 0; i < 16; i++)
		if (fork() == 0) {
			touch_mapping(mib / 16 + 1);
			usleep(300000);
			_exit(0);
		}
	while (wait(&status) > 0)
		failed |= status != 0;
	return failed;
}

static double used_ms(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void *burn(void *ms)
{
	while (used_ms(CLOCK_THREAD_CPUTIME_ID) < *(double *)ms)
		;
	return NULL;
}

static int burn_in_threads(double ms, int count)
{
	pthread_t threads[8];
	for (int i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, burn, &ms) != 0)
			return refused("pthread_create");
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

/* In a child that nobody waits for: its time is not in what wait4(2) tells. */
static int burn_unseen(double ms)
{
	signal(SIGCHLD, SIG_IGN);
	if (fork() == 0) {
		burn(&ms);
		_exit(0);
	}
	while (wait(NULL) > 0)
		;
	return 0;
}

static int fork_until_refused(void)
{
	int count = 0;
	for (;; count++) {
		const pid_t pid = fork();
		if (pid == 0)
			for (;;)
				pause();
		if (pid < 0)
			break;
	}
	printf("%d\n", count);
	return refused("fork");
}

static int write_file(const char *path, size_t size, int ignore)
{
	char block[4096] = {0};
	if (ignore)
		signal(SIGXFSZ, SIG_IGN);
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		return refused("open");
	for (size_t done = 0; done < size; done += sizeof block)
		if (write(fd, block, sizeof block) < 0)
			return refused("write");
	return 0;
}

static int print_limit(int resource)
{
	struct rlimit limit;
	getrlimit((__rlimit_resource_t)resource, &limit);
	printf("%llu %llu\n", (unsigned long long)limit.rlim_cur, (unsigned long long)limit.rlim_max);
	return 0;
}

enum { KEY = 0x766d };

static int make_objects(void)
{
	int ok = shmget(KEY, 4096, IPC_CREAT | 0666) >= 0 && semget(KEY, 1, IPC_CREAT | 0666) >= 0 && msgget(KEY, IPC_CREAT | 0666) >= 0;
	ok = ok && mq_open("/vmjail", O_CREAT | O_RDWR, 0666, NULL) != (mqd_t)-1;
	ok = ok && shm_open("/vmjail", O_CREAT | O_RDWR, 0666) >= 0;
	return ok ? 0 : refused("make");
}

static int look_for_objects(void)
{
	printf("%s%s%s%s%s\n", shmget(KEY, 0, 0) >= 0 ? "shm " : "", semget(KEY, 0, 0) >= 0 ? "sem " : "",
	       msgget(KEY, 0) >= 0 ? "msg " : "", mq_open("/vmjail", O_RDWR) != (mqd_t)-1 ? "mq " : "",
	       shm_open("/vmjail", O_RDWR, 0) >= 0 ? "posix-shm " : "");
	return 0;
}

/* Reads a byte and answers it, `count` times; the one that begins writes first. */
static int ping(int count, int begins)
{
	char byte = 'x';
	for (int i = 0; i < count; i++) {
		if (begins && write(1, &byte, 1) != 1)
			return refused("write");
		if (read(0, &byte, 1) != 1)
			return refused("read");
		if (!begins && write(1, &byte, 1) != 1)
			return refused("write");
	}
	return 0;
}

static int lock(const char *path)
{
	const int fd = open(path, O_RDONLY);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0)
		return refused("flock");
	puts("locked");
	fflush(stdout);
	return sleep(100) > 0;
}

static int abstract(int listens)
{
	const struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0vmjail-test"};
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (!listens)
		return connect(fd, (const struct sockaddr *)&name, sizeof name) == 0 ? 0 : refused("connect");
	if (bind(fd, (const struct sockaddr *)&name, sizeof name) != 0 || listen(fd, 1) != 0)
		return refused("bind");
	puts("listens");
	fflush(stdout);
	return sleep(100) > 0;
}

static int vsock(void)
{
	return socket(AF_VSOCK, SOCK_STREAM, 0) >= 0 ? 0 : refused("socket");
}

int main(int argc, char **argv)
{
	const char *act = argc > 1 ? argv[1] : "";
	const double number = argc > 2 ? atof(argv[2]) : 0;
	const int second = argc > 3 ? atoi(argv[3]) : 0;
	if (strcmp(act, "touch") == 0)
		return touch_mapping((size_t)number);
	if (strcmp(act, "bss") == 0)
		return touch(zeroed, sizeof zeroed), 0;
	if (strcmp(act, "shm") == 0)
		return touch_shared((size_t)number);
	if (strcmp(act, "queues") == 0)
		return fill_queues((size_t)number);
	if (strcmp(act, "memfd") == 0)
		return touch_memfd((size_t)number);
	if (strcmp(act, "together") == 0)
		return touch_together((size_t)number);
	if (strcmp(act, "burn") == 0)
		return burn_in_threads(number, second);
	if (strcmp(act, "unseen") == 0)
		return burn_unseen(number);
	if (strcmp(act, "forks") == 0)
		return fork_until_refused();
	if (strcmp(act, "file") == 0)
		return write_file(argv[4], (size_t)number, second);
	if (strcmp(act, "limit") == 0)
		return print_limit((int)number);
	if (strcmp(act, "make") == 0)
		return make_objects();
	if (strcmp(act, "look") == 0)
		return look_for_objects();
	if (strcmp(act, "ping") == 0)
		return ping((int)number, second);
	if (strcmp(act, "lock") == 0)
		return lock(argv[2]);
	if (strcmp(act, "listen") == 0 || strcmp(act, "connect") == 0)
		return abstract(act[0] == 'l');
	if (strcmp(act, "vsock") == 0)
		return vsock();
	return 2;
}
