#include "mailbox.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static size_t padded(size_t size)
{
	return (size + 7) & ~(size_t)7;
}

void mailbox_open(struct mailbox *m)
{
	pthread_mutex_init(&m->lock, NULL);
}

void mailbox_close(struct mailbox *m)
{
	free(m->bytes);
	pthread_mutex_destroy(&m->lock);
}

/* Room for `size` more bytes; the lock is held. Without memory there is no way to go on: half a message would be a lie. */
static uint8_t *room_for(struct mailbox *m, size_t size)
{
	if (m->room - m->used < size) {
		size_t room = m->room == 0 ? 4096 : m->room;
		while (room - m->used < size)
			room *= 2;
		uint8_t *bytes = realloc(m->bytes, room);
		if (bytes == NULL)
			abort();
		m->bytes = bytes;
		m->room = room;
	}
	uint8_t *at = m->bytes + m->used;
	m->used += size;
	return at;
}

bool mailbox_put(struct mailbox *m, uint32_t type, const void *head, size_t head_size, const void *tail, size_t tail_size)
{
	const size_t size = head_size + tail_size;
	const struct record record = {type, (uint32_t)size};
	pthread_mutex_lock(&m->lock);
	const bool was_empty = m->used == 0;
	uint8_t *at = room_for(m, sizeof record + padded(size));
	memcpy(at, &record, sizeof record);
	memcpy(at + sizeof record, head, head_size);
	if (tail_size > 0)
		memcpy(at + sizeof record + head_size, tail, tail_size);
	memset(at + sizeof record + size, 0, padded(size) - size);
	pthread_mutex_unlock(&m->lock);
	return was_empty;
}

bool mailbox_add(struct mailbox *m, const void *bytes, size_t size)
{
	pthread_mutex_lock(&m->lock);
	const bool was_empty = m->used == 0;
	memcpy(room_for(m, size), bytes, size);
	pthread_mutex_unlock(&m->lock);
	return was_empty;
}

uint8_t *mailbox_take(struct mailbox *m, size_t *size)
{
	pthread_mutex_lock(&m->lock);
	uint8_t *bytes = m->used == 0 ? NULL : m->bytes;
	*size = m->used;
	if (bytes != NULL) {
		m->bytes = NULL;
		m->used = m->room = 0;
	}
	pthread_mutex_unlock(&m->lock);
	return bytes;
}

size_t mailbox_size(struct mailbox *m)
{
	pthread_mutex_lock(&m->lock);
	const size_t used = m->used;
	pthread_mutex_unlock(&m->lock);
	return used;
}

const struct record *record_next(const uint8_t *bytes, size_t size, size_t *at, const uint8_t **body)
{
	if (size - *at < sizeof(struct record))
		return NULL;
	const struct record *record = (const struct record *)(bytes + *at);
	const size_t whole = sizeof *record + padded(record->length);
	if (size - *at < whole)
		return NULL;
	*body = bytes + *at + sizeof *record;
	*at += whole;
	return record;
}

/* In JavaScript's thread: all that has come since. */
static void deliver(napi_env env, napi_value callback, void *context, void *data)
{
	struct worker *w = context;
	napi_value global, buffer, result;
	size_t size;
	(void)data;
	if (env == NULL)
		return; /* the environment is going */
	uint8_t *bytes = mailbox_take(&w->out, &size);
	if (bytes == NULL)
		return;
	const napi_status copied = napi_create_buffer_copy(env, size, bytes, NULL, &buffer);
	free(bytes);
	napi_get_global(env, &global);
	if (copied == napi_ok && napi_call_function(env, global, callback, 1, &buffer, &result) == napi_pending_exception) {
		napi_value exception;
		napi_get_and_clear_last_exception(env, &exception);
		napi_fatal_exception(env, exception);
	}
}

static void *run(void *data)
{
	struct worker *w = data;
	w->run(w);
	return NULL;
}

static void at_exit(void *data)
{
	worker_stop(data);
}

bool worker_start(napi_env env, struct worker *w, napi_value callback, const char *name)
{
	napi_value label;
	sigset_t all, before;
	pthread_attr_t attributes;
	w->env = env;
	w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->wake < 0)
		return false;
	napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &label);
	if (napi_create_threadsafe_function(env, callback, NULL, label, 0, 1, NULL, NULL, w, deliver, &w->call) != napi_ok) {
		close(w->wake);
		errno = EINVAL;
		return false;
	}
	mailbox_open(&w->in);
	mailbox_open(&w->out);
	/* Signals are for the thread that Node has for them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 256 * 1024);
	const int error = pthread_create(&w->thread, &attributes, run, w);
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error != 0) {
		napi_release_threadsafe_function(w->call, napi_tsfn_abort);
		worker_free(w);
		errno = error;
		return false;
	}
	w->running = true;
	napi_add_env_cleanup_hook(env, at_exit, w);
	return true;
}

void worker_stop(struct worker *w)
{
	const uint64_t one = 1;
	if (!w->running)
		return;
	w->running = false;
	__atomic_store_n(&w->stop, true, __ATOMIC_RELEASE);
	if (write(w->wake, &one, sizeof one) != sizeof one)
		abort(); /* an eventfd that takes nothing */
	pthread_join(w->thread, NULL);
	napi_remove_env_cleanup_hook(w->env, at_exit, w);
	napi_release_threadsafe_function(w->call, napi_tsfn_abort);
}

void worker_free(struct worker *w)
{
	mailbox_close(&w->in);
	mailbox_close(&w->out);
	close(w->wake);
}

void worker_tell(struct worker *w, uint32_t type, const void *head, size_t head_size, const void *tail, size_t tail_size)
{
	if (mailbox_put(&w->out, type, head, head_size, tail, tail_size))
		napi_call_threadsafe_function(w->call, NULL, napi_tsfn_nonblocking);
}

void worker_post(struct worker *w, const void *bytes, size_t size)
{
	const uint64_t one = 1;
	if (mailbox_add(&w->in, bytes, size) && write(w->wake, &one, sizeof one) != sizeof one)
		abort();
}

bool worker_stopping(struct worker *w)
{
	return __atomic_load_n(&w->stop, __ATOMIC_ACQUIRE);
}
