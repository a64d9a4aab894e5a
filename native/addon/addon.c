/*
 * What Node cannot do by itself: sockets that carry descriptors, pipes and sealed memory as plain descriptors.
 * No policy, no process, no namespace. src/executor/addon.ts gives the types.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "addon.h"
#include "uv_abi.h"

enum { MAX_MESSAGE = 256 * 1024, MAX_DESCRIPTORS = 8 };

napi_value addon_fail(napi_env env, const char *call, int error)
{
	napi_value code, message, object, number;
	napi_create_string_utf8(env, strerrorname_np(error), NAPI_AUTO_LENGTH, &code);
	napi_create_string_utf8(env, call, NAPI_AUTO_LENGTH, &message);
	napi_create_error(env, code, message, &object);
	napi_create_int32(env, error, &number);
	napi_set_named_property(env, object, "errno", number);
	napi_throw(env, object);
	return NULL;
}

static napi_value pair_of(napi_env env, const int *ends)
{
	napi_value array, value;
	napi_create_array_with_length(env, 2, &array);
	for (uint32_t i = 0; i < 2; i++) {
		napi_create_int32(env, ends[i], &value);
		napi_set_element(env, array, i, value);
	}
	return array;
}

/* socketpair(): [number, number] */
static napi_value make_socketpair(napi_env env, napi_callback_info info)
{
	(void)info;
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return addon_fail(env, "socketpair", errno);
	return pair_of(env, ends);
}

/* pipe(): [read end, write end] */
static napi_value make_pipe(napi_env env, napi_callback_info info)
{
	(void)info;
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return addon_fail(env, "pipe2", errno);
	return pair_of(env, ends);
}

/* duplicate(descriptor: number): number */
static napi_value duplicate(napi_env env, napi_callback_info info)
{
	napi_value argv[1], number;
	size_t argc = 1;
	int32_t descriptor;
	napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
	if (argc != 1 || napi_get_value_int32(env, argv[0], &descriptor) != napi_ok)
		return addon_fail(env, "fcntl", EINVAL);
	const int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
	if (copy < 0)
		return addon_fail(env, "fcntl", errno);
	napi_create_int32(env, copy, &number);
	return number;
}

static bool write_all(int fd, const uint8_t *data, size_t size)
{
	while (size > 0) {
		const ssize_t n = write(fd, data, size);
		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0) {
			data += n;
			size -= (size_t)n;
		}
	}
	return true;
}

/* memfd(bytes: Uint8Array): number; sealed against every change */
static napi_value make_memfd(napi_env env, napi_callback_info info)
{
	napi_value argv[1];
	size_t argc = 1, size = 0;
	void *data = NULL;
	napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
	if (napi_get_typedarray_info(env, argv[0], NULL, &size, &data, NULL, NULL) != napi_ok)
		return addon_fail(env, "memfd", EINVAL);
	const int fd = memfd_create("vmjail", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return addon_fail(env, "memfd_create", errno);
	if (!write_all(fd, data, size) || lseek(fd, 0, SEEK_SET) != 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
		const int error = errno;
		close(fd);
		return addon_fail(env, "memfd", error);
	}
	napi_value value;
	napi_create_int32(env, fd, &value);
	return value;
}

union control {
	char bytes[CMSG_SPACE(sizeof(int) * MAX_DESCRIPTORS)];
	struct cmsghdr align;
};

static bool read_descriptors(napi_env env, napi_value array, int *out, uint32_t *count)
{
	if (napi_get_array_length(env, array, count) != napi_ok || *count > MAX_DESCRIPTORS)
		return false;
	for (uint32_t i = 0; i < *count; i++) {
		napi_value value;
		if (napi_get_element(env, array, i, &value) != napi_ok || napi_get_value_int32(env, value, &out[i]) != napi_ok)
			return false;
	}
	return true;
}

/* closeOnExec(descriptor): void */
static napi_value close_on_exec(napi_env env, napi_callback_info info)
{
	napi_value argv[1];
	size_t argc = 1;
	int32_t fd;
	napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
	if (napi_get_value_int32(env, argv[0], &fd) != napi_ok)
		return addon_fail(env, "closeOnExec", EINVAL);
	return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? NULL : addon_fail(env, "fcntl", errno);
}

/* finish(socket): void; the peer reads to its end, and is still heard */
static napi_value finish_sending(napi_env env, napi_callback_info info)
{
	napi_value argv[1];
	size_t argc = 1;
	int32_t fd;
	napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
	if (napi_get_value_int32(env, argv[0], &fd) != napi_ok)
		return addon_fail(env, "finish", EINVAL);
	return shutdown(fd, SHUT_WR) == 0 ? NULL : addon_fail(env, "shutdown", errno);
}

/* send(socket, message: Uint8Array, descriptors: number[]): boolean; false where the socket is full */
static napi_value send_message(napi_env env, napi_callback_info info)
{
	napi_value argv[3], result;
	size_t argc = 3, size = 0;
	void *data = NULL;
	int32_t fd;
	int descriptors[MAX_DESCRIPTORS];
	uint32_t count = 0;
	napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
	if (napi_get_value_int32(env, argv[0], &fd) != napi_ok ||
	    napi_get_typedarray_info(env, argv[1], NULL, &size, &data, NULL, NULL) != napi_ok ||
	    !read_descriptors(env, argv[2], descriptors, &count))
		return addon_fail(env, "send", EINVAL);
	union control control = {0};
	struct iovec part = {data, size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	if (count > 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		struct cmsghdr *c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(c), descriptors, sizeof(int) * count);
	}
	ssize_t n;
	do
		n = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN)
		return addon_fail(env, "sendmsg", errno);
	napi_get_boolean(env, n >= 0, &result);
	return result;
}

struct watch {
	uv_handle_t *poll;
	napi_env env;
	napi_ref callback;
	napi_async_context context;
	int fd;
	bool closed;
};

static uint8_t message_buffer[MAX_MESSAGE];

/* Hands one message to JavaScript: callback(message | null, descriptors). null: the peer is gone. */
static void deliver(struct watch *w, const uint8_t *data, size_t size, const int *descriptors, uint32_t count)
{
	napi_handle_scope scope;
	napi_value callback, argv[2], global, value;
	napi_env env = w->env;
	napi_open_handle_scope(env, &scope);
	napi_get_reference_value(env, w->callback, &callback);
	napi_get_global(env, &global);
	if (data == NULL)
		napi_get_null(env, &argv[0]);
	else
		napi_create_buffer_copy(env, size, data, NULL, &argv[0]);
	napi_create_array_with_length(env, count, &argv[1]);
	for (uint32_t i = 0; i < count; i++) {
		napi_create_int32(env, descriptors[i], &value);
		napi_set_element(env, argv[1], i, value);
	}
	if (napi_make_callback(env, w->context, global, callback, 2, argv, NULL) == napi_pending_exception) {
		napi_value exception;
		napi_get_and_clear_last_exception(env, &exception);
		napi_fatal_exception(env, exception);
	}
	napi_close_handle_scope(env, scope);
}

static uint32_t take_descriptors(struct msghdr *message, int *out)
{
	uint32_t count = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		const size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n && count < MAX_DESCRIPTORS; i++)
			memcpy(&out[count++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
	return count;
}

static void on_ready(uv_handle_t *poll, int status, int events)
{
	struct watch *w = uv_handle_get_data(poll);
	(void)events;
	while (!w->closed) {
		union control control;
		int descriptors[MAX_DESCRIPTORS];
		struct iovec part = {message_buffer, sizeof message_buffer};
		struct msghdr message = {
			.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
		const ssize_t n = status < 0 ? 0 : recvmsg(w->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		/* ECONNRESET: the peer left without reading something of ours. What it said before is still to be read. */
		if (n < 0 && (errno == EINTR || errno == ECONNRESET))
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			uv_poll_stop(w->poll);
			deliver(w, NULL, 0, NULL, 0);
			return;
		}
		const uint32_t count = take_descriptors(&message, descriptors);
		deliver(w, message_buffer, (size_t)n, descriptors, count);
	}
}

static void on_closed(uv_handle_t *handle)
{
	struct watch *w = uv_handle_get_data(handle);
	close(w->fd);
	napi_delete_reference(w->env, w->callback);
	napi_async_destroy(w->env, w->context);
	free(w->poll);
	free(w);
}

static void close_watch(struct watch *w)
{
	if (w->closed)
		return;
	w->closed = true;
	uv_close(w->poll, on_closed);
}

/* The function that watch() returns: stop(), ref(true | false) as stop("close" | "ref" | "unref"). */
static napi_value control_watch(napi_env env, napi_callback_info info)
{
	napi_value argv[1];
	size_t argc = 1, length = 0;
	char text[8] = "";
	void *data = NULL;
	napi_get_cb_info(env, info, &argc, argv, NULL, &data);
	napi_get_value_string_utf8(env, argv[0], text, sizeof text, &length);
	struct watch *w = data;
	if (w->closed)
		return NULL;
	if (strcmp(text, "ref") == 0)
		uv_ref(w->poll);
	else if (strcmp(text, "unref") == 0)
		uv_unref(w->poll);
	else
		close_watch(w);
	return NULL;
}

/*
 * watch(socket, callback): (action: "close" | "ref" | "unref") => void. Owns the socket from now on. After "close" the
 * returned function must not be called again.
 */
static napi_value watch_socket(napi_env env, napi_callback_info info)
{
	napi_value argv[2], name, function;
	size_t argc = 2;
	int32_t fd;
	uv_loop_t *loop;
	napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
	if (napi_get_value_int32(env, argv[0], &fd) != napi_ok || napi_get_uv_event_loop(env, &loop) != napi_ok)
		return addon_fail(env, "watch", EINVAL);
	struct watch *w = calloc(1, sizeof *w);
	uv_handle_t *poll = calloc(1, uv_handle_size(UV_ABI_POLL));
	const int error = w == NULL || poll == NULL ? ENOMEM : -uv_poll_init(loop, poll, fd);
	if (error != 0) {
		free(poll);
		free(w);
		return addon_fail(env, "watch", error);
	}
	w->env = env;
	w->fd = fd;
	w->poll = poll;
	uv_handle_set_data(poll, w);
	napi_create_string_utf8(env, "vmjail:watch", NAPI_AUTO_LENGTH, &name);
	napi_async_init(env, NULL, name, &w->context);
	napi_create_reference(env, argv[1], 1, &w->callback);
	napi_create_function(env, "control", NAPI_AUTO_LENGTH, control_watch, w, &function);
	uv_poll_start(w->poll, UV_ABI_READABLE | UV_ABI_DISCONNECT, on_ready);
	return function;
}

NAPI_MODULE_INIT()
{
	const napi_property_descriptor functions[] = {
		{"socketpair", NULL, make_socketpair, NULL, NULL, NULL, napi_enumerable, NULL},
		{"pipe", NULL, make_pipe, NULL, NULL, NULL, napi_enumerable, NULL},
		{"duplicate", NULL, duplicate, NULL, NULL, NULL, napi_enumerable, NULL},
		{"memfd", NULL, make_memfd, NULL, NULL, NULL, napi_enumerable, NULL},
		{"closeOnExec", NULL, close_on_exec, NULL, NULL, NULL, napi_enumerable, NULL},
		{"finish", NULL, finish_sending, NULL, NULL, NULL, napi_enumerable, NULL},
		{"send", NULL, send_message, NULL, NULL, NULL, napi_enumerable, NULL},
		{"watch", NULL, watch_socket, NULL, NULL, NULL, napi_enumerable, NULL},
	};
	napi_define_properties(env, exports, sizeof functions / sizeof functions[0], functions);
	add_datagram_functions(env, exports);
	add_notification_functions(env, exports);
	add_relay_functions(env, exports);
	add_file_functions(env, exports);
	add_look_functions(env, exports);
	add_peer_functions(env, exports);
	return exports;
}
