/*
 *   startRelay(listeners: number[], options: { connections, pending, bytesPerSecond, tellAll }, (records: Buffer) => void): Relay
 *
 *   relay.post(records: Uint8Array): void
 *   relay.take(bytes: number): number       of the rate; milliseconds to wait before more may be taken
 *   relay.connections(): number
 *   relay.touched(): boolean                has anything ever come to a listener? Once a listener is empty, this knows of all that came
 *   relay.close(): Buffer                   resets everything; the last records
 */
#include "relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 128 };

static uint64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void read_mail(struct relay *r)
{
	uint64_t count;
	size_t size, at = 0;
	if (read(r->worker.wake, &count, sizeof count) < 0)
		return;
	uint8_t *bytes = mailbox_take(&r->worker.in, &size);
	const struct record *record;
	const uint8_t *body;
	while (bytes != NULL && (record = record_next(bytes, size, &at, &body)) != NULL) {
		uint32_t id;
		if (record->type == POST_VERDICT)
			relay_verdict(r, body, record->length);
		else if (record->type == POST_FORWARD)
			flow_forward(r, body, record->length);
		else if (record->type == POST_RESET && record->length >= sizeof id) {
			memcpy(&id, body, sizeof id);
			struct connection *c = connection_by_id(r, id);
			if (c != NULL && c->stage == OPEN && c->client >= 0)
				connection_reset(r, c);
		}
	}
	free(bytes);
}

static void on_event(struct relay *r, const struct epoll_event *event)
{
	const uint32_t side = (uint32_t)(event->data.u64 >> 32);
	if (side == SIDE_WAKE) {
		read_mail(r);
	} else if (side >= SIDE_LISTENER) {
		relay_accept(r, r->listeners[side - SIDE_LISTENER]);
	} else {
		struct connection *c = connection_by_id(r, (uint32_t)event->data.u64);
		if (c == NULL)
			return;
		const unsigned slot = side - SIDE_ATTEMPT;
		if (side == SIDE_CLIENT)
			flow_event(r, c, true, event->events);
		else if (c->stage == DIALLING)
			dial_event(r, c, slot, event->events);
		else if (c->stage == OPEN && c->attempts[slot] == c->server)
			flow_event(r, c, false, event->events);
	}
}

/* Milliseconds to wait for events. */
static int patience(struct relay *r)
{
	const uint32_t rate = r->ready == NULL ? 0 : rate_take(r, 0);
	int wait = r->ready != NULL ? (int)(rate < TICK_MS ? rate : TICK_MS) : r->dialling.first != NULL ? TICK_MS : -1;
	return wait == 0 && r->mail_full ? 2 : wait;
}

static void run(struct worker *w)
{
	struct relay *r = (struct relay *)w;
	struct epoll_event events[EVENTS];
	uint64_t ticked = 0;
	while (!worker_stopping(w)) {
		const int n = epoll_wait(r->epoll, events, EVENTS, patience(r));
		r->now_ms = now_ms();
		for (int i = 0; i < n; i++)
			on_event(r, &events[i]);
		if (r->ready != NULL)
			flow_ready(r);
		if (r->now_ms - ticked >= TICK_MS) {
			ticked = r->now_ms;
			dial_tick(r);
		}
	}
	/* What is still open is reset, and told of. */
	for (uint32_t i = 0; i < r->most_connections; i++) {
		struct connection *c = r->connections[i];
		if (c != NULL && c->stage == OPEN && c->client >= 0)
			connection_reset(r, c);
		else if (c != NULL && c->stage != OPEN)
			dial_abandon(r, c);
	}
	for (struct connection *c = r->ready, *next; c != NULL; c = next) {
		next = c->next_ready;
		connection_free(r, c);
	}
}

static void relay_free(struct relay *r)
{
	for (uint32_t i = 0; i < r->listener_count; i++)
		close(r->listeners[i]);
	close(r->epoll);
	table_close(r);
	pipe_close_spare(r);
	free(r->chunk);
	pthread_mutex_destroy(&r->rate_lock);
	worker_free(&r->worker);
}

static struct relay *this_relay(napi_env env, napi_callback_info info, size_t *argc, napi_value *argv)
{
	void *data = NULL;
	napi_get_cb_info(env, info, argc, argv, NULL, &data);
	return data;
}

static napi_value post(napi_env env, napi_callback_info info)
{
	napi_value argv[1];
	size_t argc = 1, size = 0;
	void *bytes = NULL;
	struct relay *r = this_relay(env, info, &argc, argv);
	if (napi_get_typedarray_info(env, argv[0], NULL, &size, &bytes, NULL, NULL) != napi_ok)
		return addon_fail(env, "post", EINVAL);
	if (r->worker.running && size > 0)
		worker_post(&r->worker, bytes, size);
	return NULL;
}

static napi_value take(napi_env env, napi_callback_info info)
{
	napi_value argv[1], result;
	size_t argc = 1;
	uint32_t bytes = 0;
	struct relay *r = this_relay(env, info, &argc, argv);
	if (napi_get_value_uint32(env, argv[0], &bytes) != napi_ok)
		return addon_fail(env, "take", EINVAL);
	napi_create_uint32(env, r->worker.running ? rate_take(r, bytes) : 0, &result);
	return result;
}

static napi_value connections(napi_env env, napi_callback_info info)
{
	napi_value result;
	size_t argc = 0;
	struct relay *r = this_relay(env, info, &argc, NULL);
	napi_create_uint32(env, __atomic_load_n(&r->open_count, __ATOMIC_RELAXED), &result);
	return result;
}

static napi_value touched(napi_env env, napi_callback_info info)
{
	napi_value result;
	size_t argc = 0;
	struct relay *r = this_relay(env, info, &argc, NULL);
	napi_get_boolean(env, __atomic_load_n(&r->touched, __ATOMIC_SEQ_CST), &result);
	return result;
}

static napi_value close_relay(napi_env env, napi_callback_info info)
{
	napi_value result;
	size_t argc = 0, size = 0;
	uint8_t *last = NULL;
	struct relay *r = this_relay(env, info, &argc, NULL);
	if (r->worker.running) {
		worker_stop(&r->worker);
		last = mailbox_take(&r->worker.out, &size);
		relay_free(r);
	}
	napi_create_buffer_copy(env, size, last, NULL, &result);
	free(last);
	return result;
}

/* The object is out of reach, and closed unless the environment is going. */
static void release(napi_env env, void *data, void *hint)
{
	struct relay *r = data;
	(void)env;
	(void)hint;
	if (!r->worker.running)
		free(r);
}

static uint32_t number_option(napi_env env, napi_value options, const char *name, double *value)
{
	napi_value property;
	return napi_get_named_property(env, options, name, &property) == napi_ok && napi_get_value_double(env, property, value) == napi_ok;
}

static bool read_options(napi_env env, napi_value options, struct relay *r, double *rate)
{
	napi_value tell;
	double most = 0, pending = 0;
	if (!number_option(env, options, "connections", &most) || !number_option(env, options, "pending", &pending) ||
	    !number_option(env, options, "bytesPerSecond", rate) || most < 1 || most > 65536 || pending < 1 || *rate < 0 ||
	    napi_get_named_property(env, options, "tellAll", &tell) != napi_ok || napi_get_value_bool(env, tell, &r->tell_all) != napi_ok)
		return false;
	r->most_connections = (uint32_t)most;
	r->most_pending = (uint32_t)pending;
	return true;
}

static bool read_listeners(napi_env env, napi_value list, struct relay *r)
{
	uint32_t count;
	if (napi_get_array_length(env, list, &count) != napi_ok || count > MOST_LISTENERS)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		napi_value value;
		if (napi_get_element(env, list, i, &value) != napi_ok || napi_get_value_int32(env, value, &r->listeners[i]) != napi_ok)
			return false;
	}
	r->listener_count = count;
	return true;
}

static bool watch(struct relay *r, int fd, uint32_t side)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = side_of(side, 0)};
	return epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static napi_value start_relay(napi_env env, napi_callback_info info)
{
	napi_value argv[3], object;
	size_t argc = 3;
	double rate = 0;
	napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
	struct relay *r = calloc(1, sizeof *r);
	if (r == NULL || !read_listeners(env, argv[0], r) || !read_options(env, argv[1], r, &rate)) {
		free(r);
		return addon_fail(env, "startRelay", EINVAL);
	}
	r->chunk_size = rate == 0 || rate / 40 > CHUNK ? CHUNK : rate / 40 < 1024 ? 1024 : (size_t)(rate / 40);
	r->chunk = malloc(CHUNK);
	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	r->worker.run = run;
	rate_open(r, (uint64_t)rate);
	bool ready = r->chunk != NULL && r->epoll >= 0 && table_open(r);
	for (uint32_t i = 0; ready && i < r->listener_count; i++)
		ready = watch(r, r->listeners[i], SIDE_LISTENER + i);
	if (!ready || !worker_start(env, &r->worker, argv[2], "vmjail:relay")) {
		const int error = errno;
		table_close(r);
		free(r->chunk);
		if (r->epoll >= 0)
			close(r->epoll);
		free(r);
		return addon_fail(env, "startRelay", error);
	}
	watch(r, r->worker.wake, SIDE_WAKE);
	const napi_property_descriptor functions[] = {
		{"post", NULL, post, NULL, NULL, NULL, napi_enumerable, r},
		{"take", NULL, take, NULL, NULL, NULL, napi_enumerable, r},
		{"connections", NULL, connections, NULL, NULL, NULL, napi_enumerable, r},
		{"touched", NULL, touched, NULL, NULL, NULL, napi_enumerable, r},
		{"close", NULL, close_relay, NULL, NULL, NULL, napi_enumerable, r},
	};
	napi_create_object(env, &object);
	napi_define_properties(env, object, sizeof functions / sizeof functions[0], functions);
	napi_wrap(env, object, r, release, NULL, NULL);
	return object;
}

void add_relay_functions(napi_env env, napi_value exports)
{
	const napi_property_descriptor functions[] = {
		{"startRelay", NULL, start_relay, NULL, NULL, NULL, napi_enumerable, NULL},
	};
	napi_define_properties(env, exports, 1, functions);
}
