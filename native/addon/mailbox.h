/*
 * Records from a thread of the addon to JavaScript and back: { u32 type, u32 length of the body }, the body, filled up to eight
 * bytes. src/executor/records.ts is the other side.
 */
#ifndef VMJAIL_MAILBOX_H
#define VMJAIL_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addon.h"

struct mailbox {
	pthread_mutex_t lock;
	uint8_t *bytes;
	size_t used;
	size_t room;
};

void mailbox_open(struct mailbox *m);
void mailbox_close(struct mailbox *m);

/* Adds a record whose body is in two parts; true where the box was empty before: its reader has to be woken. */
bool mailbox_put(struct mailbox *m, uint32_t type, const void *head, size_t head_size, const void *tail, size_t tail_size);

/* Adds whole records; as above. */
bool mailbox_add(struct mailbox *m, const void *bytes, size_t size);

/* All records, for the caller to free; NULL where there are none. */
uint8_t *mailbox_take(struct mailbox *m, size_t *size);

size_t mailbox_size(struct mailbox *m);

struct record {
	uint32_t type;
	uint32_t length;
};

/* The next record at *at and its body; NULL at the end, or where what follows is no whole record. */
const struct record *record_next(const uint8_t *bytes, size_t size, size_t *at, const uint8_t **body);

/*
 * A thread that sends records to a JavaScript function. It has an eventfd in `wake` that says that there is mail for it or that
 * `stop` is set.
 */
struct worker {
	pthread_t thread;
	int wake;
	bool stop; /* atomic */
	bool running;
	struct mailbox in;
	struct mailbox out;
	napi_env env;
	napi_threadsafe_function call;
	void (*run)(struct worker *w);
};

/* Starts the thread: `w->run`. False and errno on failure; nothing is left then. */
bool worker_start(napi_env env, struct worker *w, napi_value callback, const char *name);

/* Stops and joins; more than once is fine. */
void worker_stop(struct worker *w);

/* After worker_stop: frees what the thread left. */
void worker_free(struct worker *w);

/* By the thread: sends a record to JavaScript. */
void worker_tell(struct worker *w, uint32_t type, const void *head, size_t head_size, const void *tail, size_t tail_size);

/* By JavaScript: records for the thread. */
void worker_post(struct worker *w, const void *bytes, size_t size);

bool worker_stopping(struct worker *w);

#endif
