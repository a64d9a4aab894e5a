#include "listener.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

static void on_closed(uv_handle_t *handle)
{
	struct listener *l = uv_handle_get_data(handle);
	close(l->fd);
	napi_delete_reference(l->env, l->callback);
	napi_async_destroy(l->env, l->context);
	free(l->poll);
	l->poll = NULL;
}

/* The control function cannot be called any more. */
static void release(napi_env env, void *data, void *hint)
{
	(void)env;
	(void)hint;
	struct listener *l = data;
	if (l->poll == NULL) /* else the process is ending: the loop may still know the handle */
		free(l);
}

napi_value listener_open(napi_env env, napi_callback_info info, const struct listener_kind *kind)
{
	napi_value argv[2], name, function;
	size_t argc = 2;
	int32_t fd;
	uv_loop_t *loop;
	napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
	if (napi_get_value_int32(env, argv[0], &fd) != napi_ok || napi_get_uv_event_loop(env, &loop) != napi_ok)
		return addon_fail(env, kind->call, EINVAL);
	struct listener *l = calloc(1, sizeof *l);
	uv_handle_t *poll = calloc(1, uv_handle_size(UV_ABI_POLL));
	const int error = l == NULL || poll == NULL ? ENOMEM : -uv_poll_init(loop, poll, fd);
	if (error != 0) {
		free(poll);
		free(l);
		return addon_fail(env, kind->call, error);
	}
	l->env = env;
	l->fd = fd;
	l->poll = poll;
	uv_handle_set_data(poll, l);
	napi_create_string_utf8(env, kind->resource, NAPI_AUTO_LENGTH, &name);
	napi_async_init(env, NULL, name, &l->context);
	napi_create_reference(env, argv[1], 1, &l->callback);
	napi_create_function(env, "control", NAPI_AUTO_LENGTH, kind->control, l, &function);
	napi_add_finalizer(env, function, l, release, NULL, NULL);
	uv_poll_start(poll, kind->events, kind->ready);
	return function;
}

struct listener *listener_of(napi_env env, napi_callback_info info, size_t *argc, napi_value *argv)
{
	void *data = NULL;
	napi_get_cb_info(env, info, argc, argv, NULL, &data);
	return data;
}

void listener_call(struct listener *l, size_t argc, const napi_value *argv)
{
	napi_value callback, global;
	napi_get_reference_value(l->env, l->callback, &callback);
	napi_get_global(l->env, &global);
	if (napi_make_callback(l->env, l->context, global, callback, argc, argv, NULL) != napi_pending_exception)
		return;
	napi_value exception;
	napi_get_and_clear_last_exception(l->env, &exception);
	napi_fatal_exception(l->env, exception);
}

void listener_close(struct listener *l)
{
	if (l->closed)
		return;
	l->closed = true;
	uv_close(l->poll, on_closed);
}

napi_value listener_stop(napi_env env, napi_callback_info info)
{
	listener_close(listener_of(env, info, NULL, NULL));
	return NULL;
}
