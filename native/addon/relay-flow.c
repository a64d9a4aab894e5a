/* The bytes of open connections. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay.h"

static void closed(struct relay *r, struct connection *c)
{
	const struct closed_record record = {c->id, (uint32_t)(r->now_ms - c->begun_ms), c->up.bytes, c->down.bytes};
	if (c->told)
		worker_tell(&r->worker, TELL_CLOSED, &record, sizeof record, NULL, 0);
	/* Whoever is in the list of those that are ready is found to be gone when its turn comes. */
	close(c->client);
	close(c->server);
	c->client = c->server = -1;
	if (!c->is_ready)
		connection_free(r, c);
}

/* One side failed: the other is told by a reset. */
void connection_reset(struct relay *r, struct connection *c)
{
	const struct linger none = {.l_onoff = 1, .l_linger = 0};
	setsockopt(c->client, SOL_SOCKET, SO_LINGER, &none, sizeof none);
	setsockopt(c->server, SOL_SOCKET, SO_LINGER, &none, sizeof none);
	closed(r, c);
}

static void make_ready(struct relay *r, struct connection *c)
{
	if (c->is_ready)
		return;
	c->is_ready = true;
	c->next_ready = NULL;
	if (r->ready_last == NULL)
		r->ready = c;
	else
		r->ready_last->next_ready = c;
	r->ready_last = c;
}

/* Keeps what a receiver does not take. */
static bool hold(struct relay *r, struct flow *f, const uint8_t *bytes, size_t size)
{
	const size_t old = f->held_size - f->held_at;
	uint8_t *held = malloc(old + size);
	if (held == NULL)
		return false;
	if (old > 0)
		memcpy(held, f->held + f->held_at, old);
	memcpy(held + old, bytes, size);
	free(f->held);
	r->held += old + size - f->held_size;
	f->held = held;
	f->held_size = old + size;
	f->held_at = 0;
	return true;
}

/* Sends bytes, or keeps them; false: the connection has failed. */
static bool deliver(struct relay *r, struct flow *f, int to, const uint8_t *bytes, size_t size)
{
	size_t at = 0;
	f->bytes += size;
	while (f->held == NULL && at < size) {
		const ssize_t n = send(to, bytes + at, size - at, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN)
			return false;
		if (n < 0)
			break;
		at += (size_t)n;
	}
	return at == size || hold(r, f, bytes + at, size - at);
}

static bool is_held(const struct flow *f)
{
	return f->held != NULL || f->piped > 0;
}

/* Sends what was kept. 1: all of it, 0: not yet, -1: failed. */
static int deliver_held(struct relay *r, struct flow *f, int to)
{
	while (f->held != NULL) {
		const ssize_t n = send(to, f->held + f->held_at, f->held_size - f->held_at, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		f->held_at += (size_t)n;
		if (f->held_at < f->held_size)
			continue;
		r->held -= f->held_size;
		free(f->held);
		f->held = NULL;
		f->held_size = f->held_at = 0;
	}
	return pipe_drain(r, f, to);
}

static void pass_end_on(struct flow *f, int to)
{
	if (f->shut || !f->ended || is_held(f))
		return;
	f->shut = true;
	shutdown(to, SHUT_WR);
}

/* The first bytes of the server of an inspected connection: its answer to an upgrade. */
static void note_first(struct relay *r, struct connection *c, const uint8_t *bytes, size_t size)
{
	if (c->first_size == FIRST_BYTES)
		return;
	const size_t wanted = FIRST_BYTES - c->first_size, part = size < wanted ? size : wanted;
	memcpy(c->first + c->first_size, bytes, part);
	c->first_size += part;
	if (c->first_size == FIRST_BYTES)
		worker_tell(&r->worker, TELL_ANSWERED, &c->id, sizeof c->id, c->first, FIRST_BYTES);
}

/* Bytes that were read: on to the receiver, or to JavaScript. */
static bool dispose(struct relay *r, struct connection *c, struct flow *f, int to, const uint8_t *bytes, size_t size)
{
	if (f == &c->up && c->inspected) {
		c->answer_due = true;
		worker_tell(&r->worker, TELL_DATA, &c->id, sizeof c->id, bytes, size);
		return true;
	}
	if (f == &c->down && c->inspected)
		note_first(r, c, bytes, size);
	return deliver(r, f, to, bytes, size);
}

static void reached_end(struct relay *r, struct connection *c, struct flow *f)
{
	f->readable = false;
	if (f == &c->up && c->inspected) {
		if (!c->end_told)
			worker_tell(&r->worker, TELL_ENDED, &c->id, sizeof c->id, NULL, 0);
		c->end_told = c->answer_due = true;
	} else
		f->ended = true;
}

enum moved { NOTHING_LEFT, HELD_UP, MORE, FAILED };

/* One chunk without a copy; where that cannot be had, the next goes by copy. False: the connection has failed. */
static bool move_by_pipe(struct relay *r, struct connection *c, struct flow *f, int from, int to)
{
	const ssize_t n = pipe_fill(r, f, from, PIPE_TURN);
	if (n == 0)
		reached_end(r, c, f);
	else if (n < 0 && errno == EAGAIN)
		f->readable = false;
	else if (n < 0 && (errno == EMFILE || errno == ENFILE || errno == EINVAL))
		f->bulk = false;
	else if (n < 0)
		return false;
	else
		f->bytes += (uint64_t)n;
	return pipe_drain(r, f, to) >= 0;
}

/* One turn of one direction. */
static enum moved move(struct relay *r, struct connection *c, struct flow *f, int from, int to)
{
	const int sent = deliver_held(r, f, to);
	if (sent <= 0)
		return sent < 0 ? FAILED : HELD_UP;
	const bool by_script = f == &c->up && c->inspected;
	for (int i = 0; f->readable && !f->ended && !is_held(f); i++) {
		if (f == &c->up && c->answer_due)
			return HELD_UP; /* what comes next must not overtake it */
		if (i == TURN || rate_take(r, 0) > 0)
			return MORE;
		if (by_script && mailbox_size(&r->worker.out) > MOST_MAIL) {
			r->mail_full = true;
			return MORE;
		}
		if (f->bulk && !by_script && r->rate == 0) {
			if (!move_by_pipe(r, c, f, from, to))
				return FAILED;
			continue;
		}
		const size_t most = r->held > MOST_HELD ? SMALL_CHUNK : r->chunk_size;
		const ssize_t n = recv(from, r->chunk, most, MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN)
			return FAILED;
		if (n < 0)
			f->readable = false;
		else if (n == 0)
			reached_end(r, c, f);
		else {
			/* Less than there was room for: nothing is left, and what comes will be an event. An end that was announced is not. */
			f->readable = (size_t)n == most || f->ending;
			f->bulk = (size_t)n == CHUNK && (f == &c->up || !c->inspected);
			rate_take(r, (size_t)n);
			if (!dispose(r, c, f, to, r->chunk, (size_t)n))
				return FAILED;
		}
	}
	pass_end_on(f, to);
	return is_held(f) ? HELD_UP : NOTHING_LEFT;
}

/* Both directions, as far as it goes; may end the connection. */
static void pump(struct relay *r, struct connection *c)
{
	const enum moved up = move(r, c, &c->up, c->client, c->server);
	const enum moved down = up == FAILED ? FAILED : move(r, c, &c->down, c->server, c->client);
	if (up == FAILED || down == FAILED)
		connection_reset(r, c);
	else if (c->up.shut && c->down.shut)
		closed(r, c);
	else if (up == MORE || down == MORE)
		make_ready(r, c);
}

void flow_open(struct relay *r, struct connection *c)
{
	const int one = 1;
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u64 = side_of(SIDE_CLIENT, c->id)};
	c->begun_ms = r->now_ms;
	setsockopt(c->client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, c->client, &event) != 0) {
		connection_reset(r, c);
		return;
	}
	c->up.readable = c->down.readable = true;
	pump(r, c);
}

void flow_event(struct relay *r, struct connection *c, bool client, uint32_t events)
{
	struct flow *f = client ? &c->up : &c->down;
	if (c->client < 0)
		return;
	if ((events & EPOLLERR) != 0) {
		connection_reset(r, c);
		return;
	}
	if ((events & (EPOLLRDHUP | EPOLLHUP)) != 0)
		f->ending = f->readable = true;
	if ((events & EPOLLIN) != 0)
		f->readable = true;
	pump(r, c);
}

/* One turn of each that was not done when its turn was over. */
void flow_ready(struct relay *r)
{
	struct connection *c = r->ready;
	r->ready = r->ready_last = NULL;
	r->mail_full = false;
	while (c != NULL) {
		struct connection *next = c->next_ready;
		c->is_ready = false;
		if (c->client < 0)
			connection_free(r, c);
		else
			pump(r, c);
		c = next;
	}
}

void flow_forward(struct relay *r, const uint8_t *body, size_t size)
{
	struct forward_record forward;
	if (size < sizeof forward)
		return;
	memcpy(&forward, body, sizeof forward);
	struct connection *c = connection_by_id(r, forward.connection);
	if (c == NULL || c->stage != OPEN || c->client < 0)
		return;
	if (size > sizeof forward && !deliver(r, &c->up, c->server, body + sizeof forward, size - sizeof forward)) {
		connection_reset(r, c);
		return;
	}
	if ((forward.flags & FORWARD_ANSWER) != 0)
		c->answer_due = false;
	if ((forward.flags & FORWARD_DONE) != 0)
		c->inspected = false;
	if ((forward.flags & FORWARD_END) != 0)
		c->up.ended = true;
	pump(r, c);
}
