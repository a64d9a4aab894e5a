/* The server of load.c: one thread, epoll, level-triggered. */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 256, MOST = 1 << 17 };

struct connection {
	char mode; /* 0: not said yet */
	uint8_t size[8];
	unsigned have; /* of `size` */
	uint64_t bytes; /* down: left; up: got */
};

static struct connection *connections[MOST];
static char block[1 << 17];
static int epoll;

static void watch(int fd, uint32_t events, int how)
{
	struct epoll_event event = {.events = events, .data.fd = fd};
	if (epoll_ctl(epoll, how, fd, &event) != 0)
		die("epoll_ctl");
}

static void end(int fd)
{
	free(connections[fd]);
	connections[fd] = NULL;
	close(fd);
}

static void accept_all(int listener)
{
	const int one = 1;
	for (;;) {
		const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		if (fd >= MOST || (connections[fd] = calloc(1, sizeof *connections[fd])) == NULL) {
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		watch(fd, EPOLLIN, EPOLL_CTL_ADD);
	}
}

static void send_more(int fd, struct connection *c)
{
	while (c->bytes > 0) {
		const ssize_t n = send(fd, block, c->bytes < sizeof block ? c->bytes : sizeof block, 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			end(fd);
			return;
		}
		c->bytes -= (uint64_t)n;
	}
	end(fd);
}

/* What came before the bytes themselves; returns how many bytes of it are left. */
static size_t read_size(struct connection *c, const char *data, size_t n)
{
	size_t used = 0;
	while (used < n && c->have < sizeof c->size)
		c->size[c->have++] = (uint8_t)data[used++];
	return n - used;
}

static void on_bytes(int fd, struct connection *c, const char *data, size_t n)
{
	if (c->mode == 0) {
		c->mode = *data++;
		n--;
		if (c->mode == ASK || c->mode == ECHO) {
			const bool sent = send(fd, &c->mode, 1, 0) == 1;
			if (c->mode == ASK || !sent)
				end(fd);
			return;
		}
	}
	if (c->mode == ECHO) {
		if (send(fd, data, n, 0) < 0)
			end(fd);
		return;
	}
	const size_t left = read_size(c, data, n);
	uint64_t size;
	memcpy(&size, c->size, sizeof size);
	if (c->mode == DOWN && c->have == sizeof c->size) {
		c->bytes = size;
		watch(fd, EPOLLOUT, EPOLL_CTL_MOD);
	} else if (c->mode == UP) {
		c->bytes += left;
		if (c->have == sizeof c->size && c->bytes == size) {
			send(fd, &c->bytes, sizeof c->bytes, 0);
			end(fd);
		}
	}
}

static void on_readable(int fd, struct connection *c)
{
	static char input[1 << 17];
	const ssize_t n = read(fd, input, sizeof input);
	if (n > 0)
		on_bytes(fd, c, input, (size_t)n);
	else if (n == 0 || errno != EAGAIN)
		end(fd);
}

noreturn void serve(const char *port)
{
	const int one = 1, zero = 0, listener = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(port)), .sin6_addr = in6addr_any};
	struct epoll_event events[BATCH];
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
	allow_many_descriptors();
	if (bind(listener, (struct sockaddr *)&at, sizeof at) != 0 ||
	    listen(listener, 65535) != 0 || (epoll = epoll_create1(EPOLL_CLOEXEC)) < 0)
		die("serve");
	watch(listener, EPOLLIN, EPOLL_CTL_ADD);
	puts("ready");
	fflush(stdout);
	for (;;) {
		const int n = epoll_wait(epoll, events, BATCH, -1);
		for (int i = 0; i < n; i++) {
			const int fd = events[i].data.fd;
			struct connection *c = fd == listener ? NULL : connections[fd];
			if (fd == listener)
				accept_all(listener);
			else if (c != NULL && c->mode == DOWN && c->have == sizeof c->size)
				send_more(fd, c);
			else if (c != NULL)
				on_readable(fd, c);
		}
	}
}
