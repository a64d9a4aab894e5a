/* A descriptor that the event loop watches, and the JavaScript function that hears of it. */
#ifndef VMJAIL_LISTENER_H
#define VMJAIL_LISTENER_H

#include "addon.h"

#include <stdbool.h>

#include "uv_abi.h"

struct listener {
	uv_handle_t *poll; /* NULL once the loop has let go of it */
	napi_env env;
	napi_ref callback;
	napi_async_context context;
	int fd;
	bool closed;
};

struct listener_kind {
	const char *call; /* named by errors */
	const char *resource; /* of async_hooks */
	int events;
	void (*ready)(uv_handle_t *poll, int status, int events);
	napi_callback control; /* the function given to JavaScript; the listener is its data */
};

/*
 * Takes (fd, callback) from a call's arguments, and owns the descriptor from now on. The function that it returns may be
 * called at any time, also after the listener was closed. NULL, with an exception: the descriptor is still the caller's.
 */
napi_value listener_open(napi_env env, napi_callback_info info, const struct listener_kind *kind);

/* The listener that a control function is called for; *argc arguments into argv, as napi_get_cb_info has it. */
struct listener *listener_of(napi_env env, napi_callback_info info, size_t *argc, napi_value *argv);

/* Calls the callback within a scope that the caller has opened; what it throws is an uncaught exception. */
void listener_call(struct listener *l, size_t argc, const napi_value *argv);

/* Closes the descriptor, soon; the callback is not called any more. */
void listener_close(struct listener *l);

/* A control function that only closes: (): void */
napi_value listener_stop(napi_env env, napi_callback_info info);

#endif
