/*
 * Test harness: the two network namespaces of a jail, without the product's executor, as root or as an ordinary user.
 *
 *   netjail DIR GATEWAY... -- COMMAND...
 *
 * GATEWAY stays in the caller's namespaces and finds the sockets of G as descriptors 10 and up (see `sockets` below), and
 * writes one byte to descriptor 9 when it serves. Then COMMAND runs in S. DIR holds gateway.batch4, gateway.batch6, jail.batch4, jail.batch6, firewall.json,
 * gateway.sysctl, jail.sysctl, resolv.conf. Exits with COMMAND's status.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIRST_FD = 10, READY_FD = 9, TCP_PORT = 8001, UDP_PORT = 8002, DNS_PORT = 53 };

static const struct spec {
	int family, type, protocol, port;
	bool transparent;
} sockets[] = {
	{AF_INET, SOCK_STREAM, 0, TCP_PORT, true},   {AF_INET6, SOCK_STREAM, 0, TCP_PORT, true},
	{AF_INET6, SOCK_DGRAM, 0, DNS_PORT, false},  {AF_INET6, SOCK_STREAM, 0, DNS_PORT, false},
	{AF_INET, SOCK_DGRAM, 0, UDP_PORT, true},    {AF_INET6, SOCK_DGRAM, 0, UDP_PORT, true},
	{AF_INET, SOCK_RAW, IPPROTO_RAW, 0, false},  {AF_INET6, SOCK_RAW, IPPROTO_RAW, 0, false},
};
enum { SOCKETS = sizeof sockets / sizeof sockets[0] };

#define CHECK(call) ((call) < 0 ? die(#call) : (void)0)

static void die(const char *what)
{
	fprintf(stderr, "netjail: %s: %s\n", what, strerror(errno));
	_exit(125);
}

static void write_file(const char *path, const char *text, bool may_be_missing)
{
	const int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 && may_be_missing && errno == ENOENT)
		return;
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

static void enter_user_namespace(uid_t uid, gid_t gid, int flags)
{
	char map[64];
	CHECK(unshare(CLONE_NEWUSER | flags));
	write_file("/proc/self/setgroups", "deny", false);
	snprintf(map, sizeof map, "0 %u 1", uid);
	write_file("/proc/self/uid_map", map, false);
	snprintf(map, sizeof map, "0 %u 1", gid);
	write_file("/proc/self/gid_map", map, false);
}

static void apply_sysctls(const char *dir, const char *name)
{
	char path[4096], key[256], value[64];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	FILE *file = fopen(path, "re");
	if (file == NULL)
		die(path);
	while (fscanf(file, "%255s %63s", key, value) == 2) {
		snprintf(path, sizeof path, "/proc/sys/net/%s", key);
		write_file(path, value, true);
	}
	fclose(file);
}

static void run(const char *program, const char *dir, const char *name, int peer)
{
	char command[8192];
	snprintf(command, sizeof command, "sed s/@PEER@/%d/ '%s/%s' | %s", peer, dir, name, program);
	const int status = system(command);
	if (status != 0) {
		fprintf(stderr, "netjail: %s: status %d\n", command, status);
		_exit(125);
	}
}

static int open_socket(const struct spec *s)
{
	const int one = 1, zero = 0;
	const int fd = socket(s->family, s->type | SOCK_CLOEXEC | SOCK_NONBLOCK, s->protocol);
	CHECK(fd);
	if (s->type == SOCK_RAW) {
		struct sockaddr_in jail4 = {.sin_family = AF_INET};
		struct sockaddr_in6 jail6 = {.sin6_family = AF_INET6};
		inet_pton(AF_INET, "198.19.255.254", &jail4.sin_addr);
		inet_pton(AF_INET6, "fd76:6d6a:6169:6c00::2", &jail6.sin6_addr);
		if (s->family == AF_INET6)
			CHECK(setsockopt(fd, SOL_IPV6, IPV6_HDRINCL, &one, sizeof one));
		CHECK(s->family == AF_INET ? connect(fd, (struct sockaddr *)&jail4, sizeof jail4)
					   : connect(fd, (struct sockaddr *)&jail6, sizeof jail6));
		return fd;
	}
	CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
	if (s->family == AF_INET6)
		CHECK(setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, s->transparent ? &one : &zero, sizeof one));
	if (s->transparent) {
		CHECK(s->family == AF_INET ? setsockopt(fd, SOL_IP, IP_TRANSPARENT, &one, sizeof one)
					   : setsockopt(fd, SOL_IPV6, IPV6_TRANSPARENT, &one, sizeof one));
		if (s->type == SOCK_DGRAM)
			CHECK(s->family == AF_INET ? setsockopt(fd, SOL_IP, IP_RECVORIGDSTADDR, &one, sizeof one)
						   : setsockopt(fd, SOL_IPV6, IPV6_RECVORIGDSTADDR, &one, sizeof one));
	}
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s->port)};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)s->port)};
	CHECK(s->family == AF_INET ? bind(fd, (struct sockaddr *)&a4, sizeof a4) : bind(fd, (struct sockaddr *)&a6, sizeof a6));
	if (s->type == SOCK_STREAM)
		CHECK(listen(fd, 4096));
	return fd;
}

union control {
	char bytes[CMSG_SPACE(sizeof(int) * SOCKETS)];
	struct cmsghdr align;
};

static void send_sockets(int channel)
{
	int fds[SOCKETS];
	for (int i = 0; i < SOCKETS; i++)
		fds[i] = open_socket(&sockets[i]);
	union control control = {0};
	struct iovec part = {"s", 1};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof fds);
	memcpy(CMSG_DATA(c), fds, sizeof fds);
	CHECK(sendmsg(channel, &message, 0));
	for (int i = 0; i < SOCKETS; i++)
		close(fds[i]);
}

static void receive_sockets(int channel)
{
	char byte;
	union control control;
	struct iovec part = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	if (recvmsg(channel, &message, 0) != 1 || CMSG_FIRSTHDR(&message) == NULL)
		_exit(125); /* the other side has said why */
	int fds[SOCKETS];
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fds);
	for (int i = 0; i < SOCKETS; i++)
		CHECK(fcntl(fds[i], F_DUPFD_CLOEXEC, 64));
	for (int i = 0; i < SOCKETS; i++)
		CHECK(dup2(64 + i, FIRST_FD + i));
}

/* In S: its own user namespace, so that its root is nobody in G. */
static int jail(const char *dir, char **command, int made, int plumbed, int start)
{
	char byte, path[4096];
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	enter_user_namespace(0, 0, CLONE_NEWNET | CLONE_NEWNS);
	CHECK(write(made, "x", 1));
	if (read(plumbed, &byte, 1) != 1)
		return 125;
	CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	snprintf(path, sizeof path, "%s/resolv.conf", dir);
	CHECK(mount(path, "/etc/resolv.conf", NULL, MS_BIND, NULL));
	run("ip -4 -batch -", dir, "jail.batch4", 0);
	run("ip -6 -batch -", dir, "jail.batch6", 0);
	apply_sysctls(dir, "jail.sysctl");
	CHECK(write(made, "x", 1));
	if (read(start, &byte, 1) != 1)
		return 125;
	CHECK(unshare(CLONE_NEWPID)); /* so that all of the command ends with it */
	const pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execvp(command[0], command);
		die(command[0]);
	}
	int status;
	CHECK(waitpid(pid, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int gateway_namespace(const char *dir, char **command, int channel)
{
	char byte;
	int made[2], plumbed[2], start[2], status;
	const uid_t uid = getuid();
	const gid_t gid = getgid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (uid == 0)
		CHECK(unshare(CLONE_NEWNET));
	else
		enter_user_namespace(uid, gid, CLONE_NEWNET);
	CHECK(pipe2(made, O_CLOEXEC));
	CHECK(pipe2(plumbed, O_CLOEXEC));
	CHECK(pipe2(start, O_CLOEXEC));
	const pid_t pid = fork();
	if (pid == 0)
		_exit(jail(dir, command, made[1], plumbed[0], start[0]));
	close(made[1]);
	if (read(made[0], &byte, 1) != 1)
		return 125;
	run("ip -4 -batch -", dir, "gateway.batch4", pid);
	run("ip -6 -batch -", dir, "gateway.batch6", pid);
	apply_sysctls(dir, "gateway.sysctl");
	run("nft -j -f -", dir, "firewall.json", 0);
	CHECK(write(plumbed[1], "x", 1));
	if (read(made[0], &byte, 1) != 1)
		return 125;
	send_sockets(channel);
	if (read(channel, &byte, 1) != 1) /* the gateway serves */
		return 125;
	CHECK(write(start[1], "x", 1));
	CHECK(waitpid(pid, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 125;
}

int main(int argc, char **argv)
{
	int split = 2, channel[2], ready[2], status;
	char byte;
	while (split < argc && strcmp(argv[split], "--") != 0)
		split++;
	if (argc < 5 || split >= argc - 1 || split == 2)
		return fprintf(stderr, "usage: netjail DIR GATEWAY... -- COMMAND...\n"), 125;
	argv[split] = NULL;
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel));
	const pid_t namespaces = fork();
	if (namespaces == 0) {
		close(channel[0]);
		_exit(gateway_namespace(argv[1], argv + split + 1, channel[1]));
	}
	close(channel[1]);
	CHECK(pipe2(ready, O_CLOEXEC));
	const pid_t gateway = fork();
	if (gateway == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		receive_sockets(channel[0]);
		CHECK(dup2(ready[1], READY_FD));
		execvp(argv[2], argv + 2);
		die(argv[2]);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1) {
		kill(namespaces, SIGKILL);
		return 125;
	}
	CHECK(write(channel[0], "g", 1));
	CHECK(waitpid(namespaces, &status, 0));
	kill(gateway, SIGTERM);
	waitpid(gateway, NULL, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 125;
}
