/* From accept(2) to a connected server: RFC 8305 without its sorting, over the addresses that JavaScript named. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay.h"

enum { ACCEPTED_AT_A_TIME = 64 };

static void option(int fd, int level, int name, int value)
{
	setsockopt(fd, level, name, &value, sizeof value);
}

static void close_with_reset(int fd)
{
	const struct linger none = {.l_onoff = 1, .l_linger = 0};
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
	close(fd);
}

/* Where an accepted connection wanted to go: under TPROXY its local address. */
static bool destination_of(int fd, struct address_record *to)
{
	struct sockaddr_storage at;
	socklen_t size = sizeof at;
	memset(to, 0, sizeof *to);
	if (getsockname(fd, (struct sockaddr *)&at, &size) != 0)
		return false;
	if (at.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&at;
		to->family = 4;
		to->port = ntohs(in->sin_port);
		memcpy(to->address, &in->sin_addr, 4);
	} else {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)&at;
		to->family = 6;
		to->port = ntohs(in->sin6_port);
		memcpy(to->address, &in->sin6_addr, 16);
	}
	return true;
}

/* Ends a connection that has no server yet. `error`: of the last attempt, for the event; 0: no event. */
static void give_up(struct relay *r, struct connection *c, int error)
{
	struct ask *ask = c->ask;
	list_remove(c->stage == WAITING ? &ask->waiting : &r->dialling, c);
	ask->users--;
	r->pending--;
	for (unsigned i = 0; i < MOST_ATTEMPTS; i++)
		if (c->attempts[i] >= 0)
			close(c->attempts[i]);
	if (error != 0) {
		const uint32_t failed[] = {ask->id, (uint32_t)error};
		worker_tell(&r->worker, TELL_FAILED, failed, sizeof failed, NULL, 0);
	}
	close_with_reset(c->client);
	connection_free(r, c);
}

static bool is_trying(const struct connection *c)
{
	for (unsigned i = 0; i < MOST_ATTEMPTS; i++)
		if (c->attempts[i] >= 0)
			return true;
	return false;
}

static void connected(struct relay *r, struct connection *c, unsigned attempt)
{
	struct ask *ask = c->ask;
	const struct opened_record opened = {c->id, ask->id, c->attempted[attempt]};
	list_remove(&r->dialling, c);
	ask->users--;
	r->pending--;
	c->server = c->attempts[attempt];
	for (unsigned i = 0; i < MOST_ATTEMPTS; i++)
		if (i != attempt && c->attempts[i] >= 0) {
			close(c->attempts[i]);
			c->attempts[i] = -1;
		}
	c->stage = OPEN;
	c->inspected = ask->inspect;
	c->ask = NULL;
	c->told = c->inspected || r->tell_all;
	if (c->told)
		worker_tell(&r->worker, TELL_OPENED, &opened, sizeof opened, NULL, 0);
	flow_open(r, c);
}

/* Begins a connection to an address; false and c->last_error where it fails at once. */
static bool attempt(struct relay *r, struct connection *c, unsigned slot, const struct address_record *to)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(to->port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(to->port)};
	memcpy(&in.sin_addr, to->address, 4);
	memcpy(&in6.sin6_addr, to->address, 16);
	const bool four = to->family == 4;
	const int fd = socket(four ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		c->last_error = errno;
		return false;
	}
	option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u64 = side_of(SIDE_ATTEMPT + slot, c->id)};
	const struct sockaddr *address = four ? (struct sockaddr *)&in : (struct sockaddr *)&in6;
	if ((connect(fd, address, four ? sizeof in : sizeof in6) != 0 && errno != EINPROGRESS) ||
	    epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
		c->last_error = errno;
		close(fd);
		return false;
	}
	c->attempts[slot] = fd;
	return true;
}

/* Tries the next address that does not fail at once. Ends the connection when there is none and nothing is under way. */
static void try_next(struct relay *r, struct connection *c)
{
	struct ask *ask = c->ask;
	unsigned slot = 0;
	while (slot < MOST_ATTEMPTS && c->attempts[slot] >= 0)
		slot++;
	c->next_attempt_ms = r->now_ms + NEXT_ATTEMPT_MS;
	while (slot < MOST_ATTEMPTS && c->next_address < ask->count) {
		c->attempted[slot] = ask->addresses[c->next_address++];
		if (attempt(r, c, slot, &c->attempted[slot]))
			return;
	}
	if (!is_trying(c))
		give_up(r, c, c->last_error == 0 ? EHOSTUNREACH : c->last_error);
}

void dial_event(struct relay *r, struct connection *c, unsigned slot, uint32_t events)
{
	int error = 0;
	socklen_t size = sizeof error;
	const int fd = c->attempts[slot];
	if (fd < 0)
		return;
	if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
		c->last_error = error == 0 ? ECONNRESET : error;
		close(fd);
		c->attempts[slot] = -1;
		try_next(r, c);
	} else if ((events & EPOLLOUT) != 0)
		connected(r, c, slot);
}

/* Whatever is known of the destination: dials, refuses, or asks and waits. */
static void pursue(struct relay *r, struct connection *c)
{
	struct ask *ask = c->ask;
	const bool known = ask->state != ASKING && ask->until_ms > r->now_ms;
	if (known && ask->state == ALLOWED) {
		c->stage = DIALLING;
		c->begun_ms = r->now_ms;
		list_add(&r->dialling, c);
		try_next(r, c);
		return;
	}
	c->stage = WAITING;
	list_add(&ask->waiting, c);
	if (known) {
		give_up(r, c, 0);
	} else if (ask->state != ASKING) {
		const struct ask_record record = {ask->id, 0, ask->to};
		ask->state = ASKING;
		worker_tell(&r->worker, TELL_ASK, &record, sizeof record, NULL, 0);
	}
}

static void admit(struct relay *r, int fd)
{
	struct address_record to;
	struct ask *ask = destination_of(fd, &to) ? ask_for(r, &to) : NULL;
	const bool full = r->open_count >= r->most_connections || r->pending >= r->most_pending;
	struct connection *c = ask == NULL || full ? NULL : connection_new(r, fd);
	if (c == NULL) {
		if (ask != NULL) {
			const struct ask_record record = {ask->id, 0, ask->to};
			worker_tell(&r->worker, TELL_FULL, &record, sizeof record, NULL, 0);
		}
		close_with_reset(fd);
		return;
	}
	c->ask = ask;
	ask->users++;
	r->pending++;
	pursue(r, c);
}

void relay_accept(struct relay *r, int listener)
{
	/* Before anything is taken: who finds the listener empty afterwards can rely on it. */
	__atomic_store_n(&r->touched, true, __ATOMIC_SEQ_CST);
	for (int i = 0; i < ACCEPTED_AT_A_TIME; i++) {
		const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		/* Out of descriptors: what waits is tried again as others close; the listener is level-triggered, so not at full speed. */
		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
			usleep(1000);
		if (fd < 0)
			return;
		admit(r, fd);
	}
}

void relay_verdict(struct relay *r, const uint8_t *body, size_t size)
{
	struct verdict_record verdict;
	if (size < sizeof verdict)
		return;
	memcpy(&verdict, body, sizeof verdict);
	struct ask *ask = ask_by_id(r, verdict.ask);
	if (ask == NULL || ask->state != ASKING || verdict.count > MOST_ADDRESSES ||
	    size - sizeof verdict < verdict.count * sizeof(struct address_record))
		return;
	ask->state = (verdict.flags & VERDICT_ALLOW) != 0 ? ALLOWED : REFUSED;
	ask->inspect = (verdict.flags & VERDICT_INSPECT) != 0;
	ask->until_ms = r->now_ms + verdict.lifetime_ms;
	ask->count = verdict.count;
	memcpy(ask->addresses, body + sizeof verdict, verdict.count * sizeof(struct address_record));
	/* Those who wait get this answer, however soon it goes out of date. */
	struct list waiting = ask->waiting;
	ask->waiting = (struct list){0};
	while (waiting.first != NULL) {
		struct connection *c = waiting.first;
		list_remove(&waiting, c);
		if (ask->state == ALLOWED) {
			c->stage = DIALLING;
			c->begun_ms = r->now_ms;
			list_add(&r->dialling, c);
			try_next(r, c);
		} else {
			list_add(&ask->waiting, c);
			give_up(r, c, 0);
		}
	}
}

/* The next address beside the last, and the end of patience. */
void dial_tick(struct relay *r)
{
	for (struct connection *c = r->dialling.first, *next; c != NULL; c = next) {
		next = c->next;
		if (r->now_ms - c->begun_ms >= GIVE_UP_MS)
			give_up(r, c, ETIMEDOUT);
		else if (r->now_ms >= c->next_attempt_ms && c->next_address < c->ask->count)
			try_next(r, c);
	}
}

/* The relay is being closed. */
void dial_abandon(struct relay *r, struct connection *c)
{
	give_up(r, c, 0);
}
