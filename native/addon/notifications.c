/*
 * Seccomp user notifications (seccomp_unotify(2)): a jailed program's call waits until vmjail has answered it.
 *
 *   watchNotifications(fd, (id: bigint, pid: number, call: number, args: BigUint64Array) => void): () => void
 *   answerNotification(fd, id: bigint, error: number): void       0: go on with the call; else: it fails with this errno
 *   readMemory(pid, address: bigint, size): Buffer | undefined    of another process, as far as it can be read
 */
#include "addon.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "uv_abi.h"

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif
#ifndef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP 1
#endif

enum { MAX_READ = 4096 };

struct listener {
	uv_handle_t *poll;
	napi_env env;
	napi_ref callback;
	napi_async_context context;
	int fd;
	bool closed;
};

static void deliver(struct listener *l, const struct seccomp_notif *n)
{
	napi_handle_scope scope;
	napi_value callback, global, argv[4], buffer;
	napi_env env = l->env;
	void *data = NULL;
	napi_open_handle_scope(env, &scope);
	napi_get_reference_value(env, l->callback, &callback);
	napi_get_global(env, &global);
	napi_create_bigint_uint64(env, n->id, &argv[0]);
	napi_create_uint32(env, n->pid, &argv[1]);
	napi_create_int32(env, n->data.nr, &argv[2]);
	napi_create_arraybuffer(env, sizeof n->data.args, &data, &buffer);
	memcpy(data, n->data.args, sizeof n->data.args);
	napi_create_typedarray(env, napi_biguint64_array, 6, buffer, 0, &argv[3]);
	if (napi_make_callback(env, l->context, global, callback, 4, argv, NULL) == napi_pending_exception) {
		napi_value exception;
		napi_get_and_clear_last_exception(env, &exception);
		napi_fatal_exception(env, exception);
	}
	napi_close_handle_scope(env, scope);
}

static void on_ready(uv_handle_t *poll, int status, int events)
{
	struct listener *l = uv_handle_get_data(poll);
	/* Readable and the other end gone at once means: no process has the filter any more. */
	if (status < 0 || (events & UV_ABI_READABLE) == 0) {
		uv_poll_stop(poll);
		return;
	}
	struct seccomp_notif notification;
	memset(&notification, 0, sizeof notification);
	/* ENOENT: the caller died meanwhile. One at a time: receiving waits where there is nothing. */
	if (ioctl(l->fd, SECCOMP_IOCTL_NOTIF_RECV, &notification) == 0 && !l->closed)
		deliver(l, &notification);
}

static void on_closed(uv_handle_t *handle)
{
	struct listener *l = uv_handle_get_data(handle);
	close(l->fd);
	napi_delete_reference(l->env, l->callback);
	napi_async_destroy(l->env, l->context);
	free(l->poll);
	l->poll = NULL;
}

static void release(napi_env env, void *data, void *hint)
{
	(void)env;
	(void)hint;
	struct listener *l = data;
	if (l->poll == NULL) /* else the process is ending: the loop may still know the handle */
		free(l);
}

static napi_value stop(napi_env env, napi_callback_info info)
{
	void *data = NULL;
	napi_get_cb_info(env, info, NULL, NULL, NULL, &data);
	struct listener *l = data;
	if (!l->closed) {
		l->closed = true;
		uv_close(l->poll, on_closed);
	}
	return NULL;
}

static napi_value watch_notifications(napi_env env, napi_callback_info info)
{
	napi_value argv[2], name, function;
	size_t argc = 2;
	int32_t fd;
	uv_loop_t *loop;
	napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
	if (napi_get_value_int32(env, argv[0], &fd) != napi_ok || napi_get_uv_event_loop(env, &loop) != napi_ok)
		return addon_fail(env, "watchNotifications", EINVAL);
	/* A faster hand-over where the kernel has it (Linux 6.6). */
	if (ioctl(fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP) != 0)
		errno = 0;
	struct listener *l = calloc(1, sizeof *l);
	uv_handle_t *poll = calloc(1, uv_handle_size(UV_ABI_POLL));
	const int error = l == NULL || poll == NULL ? ENOMEM : -uv_poll_init(loop, poll, fd);
	if (error != 0) {
		free(poll);
		free(l);
		return addon_fail(env, "watchNotifications", error);
	}
	l->env = env;
	l->fd = fd;
	l->poll = poll;
	uv_handle_set_data(poll, l);
	napi_create_string_utf8(env, "vmjail:notifications", NAPI_AUTO_LENGTH, &name);
	napi_async_init(env, NULL, name, &l->context);
	napi_create_reference(env, argv[1], 1, &l->callback);
	napi_create_function(env, "stop", NAPI_AUTO_LENGTH, stop, l, &function);
	napi_add_finalizer(env, function, l, release, NULL, NULL);
	uv_poll_start(poll, UV_ABI_READABLE | UV_ABI_DISCONNECT, on_ready);
	return function;
}

static napi_value answer_notification(napi_env env, napi_callback_info info)
{
	napi_value argv[3];
	size_t argc = 3;
	int32_t fd, error;
	uint64_t id;
	bool lossless;
	napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
	if (napi_get_value_int32(env, argv[0], &fd) != napi_ok ||
	    napi_get_value_bigint_uint64(env, argv[1], &id, &lossless) != napi_ok ||
	    napi_get_value_int32(env, argv[2], &error) != napi_ok)
		return addon_fail(env, "answerNotification", EINVAL);
	struct seccomp_notif_resp answer = {
		.id = id, .error = -error, .flags = error == 0 ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0};
	/* ENOENT: the caller died, and needs no answer. */
	if (ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &answer) != 0 && errno != ENOENT)
		return addon_fail(env, "answerNotification", errno);
	return NULL;
}

static napi_value read_memory(napi_env env, napi_callback_info info)
{
	napi_value argv[3], result;
	size_t argc = 3;
	uint32_t pid, size;
	uint64_t address;
	bool lossless;
	uint8_t bytes[MAX_READ];
	napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
	if (napi_get_value_uint32(env, argv[0], &pid) != napi_ok ||
	    napi_get_value_bigint_uint64(env, argv[1], &address, &lossless) != napi_ok ||
	    napi_get_value_uint32(env, argv[2], &size) != napi_ok || size > MAX_READ)
		return addon_fail(env, "readMemory", EINVAL);
	struct iovec here = {bytes, size}, there = {(void *)(uintptr_t)address, size};
	const ssize_t n = process_vm_readv((pid_t)pid, &here, 1, &there, 1, 0);
	if (n < 0) {
		napi_get_undefined(env, &result);
		return result;
	}
	napi_create_buffer_copy(env, (size_t)n, bytes, NULL, &result);
	return result;
}

void add_notification_functions(napi_env env, napi_value exports)
{
	const napi_property_descriptor functions[] = {
		{"watchNotifications", NULL, watch_notifications, NULL, NULL, NULL, napi_enumerable, NULL},
		{"answerNotification", NULL, answer_notification, NULL, NULL, NULL, napi_enumerable, NULL},
		{"readMemory", NULL, read_memory, NULL, NULL, NULL, napi_enumerable, NULL},
	};
	napi_define_properties(env, exports, sizeof functions / sizeof functions[0], functions);
}
