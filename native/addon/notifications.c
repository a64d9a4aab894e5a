/*
 * Seccomp user notifications (seccomp_unotify(2)): a jailed program's call waits until vmjail has answered it.
 *
 *   watchNotifications(fd, (id: bigint, pid: number, call: number, args: BigUint64Array) => void): () => void
 *   answerNotification(fd, id: bigint, error: number): void       0: go on with the call; else: it fails with this errno
 *   readMemory(pid, address: bigint, size): Buffer | undefined    of another process, as far as it can be read
 */
#include "listener.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif
#ifndef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP 1
#endif

enum { MAX_READ = 4096 };

static void deliver(struct listener *l, const struct seccomp_notif *n)
{
	napi_handle_scope scope;
	napi_value argv[4], buffer;
	napi_env env = l->env;
	void *data = NULL;
	napi_open_handle_scope(env, &scope);
	napi_create_bigint_uint64(env, n->id, &argv[0]);
	napi_create_uint32(env, n->pid, &argv[1]);
	napi_create_int32(env, n->data.nr, &argv[2]);
	napi_create_arraybuffer(env, sizeof n->data.args, &data, &buffer);
	memcpy(data, n->data.args, sizeof n->data.args);
	napi_create_typedarray(env, napi_biguint64_array, 6, buffer, 0, &argv[3]);
	listener_call(l, 4, argv);
	napi_close_handle_scope(env, scope);
}

static void on_ready(uv_handle_t *poll_handle, int status, int events)
{
	struct listener *l = uv_handle_get_data(poll_handle);
	struct pollfd now = {.fd = l->fd, .events = POLLIN};
	(void)events; /* libuv reports a mere end as readable */
	/* The end: no process has the filter any more. Receiving would wait for ever then (before Linux 6.11). */
	if (status < 0 || poll(&now, 1, 0) < 0 || (now.revents & ~POLLIN) != 0) {
		uv_poll_stop(poll_handle);
		return;
	}
	struct seccomp_notif notification;
	memset(&notification, 0, sizeof notification);
	/* ENOENT: the caller died meanwhile. One at a time: receiving waits where there is nothing. */
	if ((now.revents & POLLIN) != 0 && ioctl(l->fd, SECCOMP_IOCTL_NOTIF_RECV, &notification) == 0 && !l->closed)
		deliver(l, &notification);
}

static napi_value watch_notifications(napi_env env, napi_callback_info info)
{
	static const struct listener_kind kind = {.call = "watchNotifications",
						  .resource = "vmjail:notifications",
						  .events = UV_ABI_READABLE | UV_ABI_DISCONNECT,
						  .ready = on_ready,
						  .control = listener_stop};
	napi_value fd;
	size_t argc = 1;
	int32_t number;
	napi_get_cb_info(env, info, &argc, &fd, NULL, NULL);
	/* A faster hand-over where the kernel has it (Linux 6.6). */
	if (napi_get_value_int32(env, fd, &number) == napi_ok)
		ioctl(number, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	return listener_open(env, info, &kind);
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
