/*
 * Sockets that carry messages and descriptors (unix(7), SOCK_SEQPACKET).
 *
 *   socketpair(): [number, number]
 *   finish(socket), send(socket, message, descriptors), watch(socket, callback)
 */
#include "listener.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_MESSAGE = 256 * 1024, MAX_DESCRIPTORS = 8 };

/* socketpair(): [number, number] */
static napi_value make_socketpair(napi_env env, napi_callback_info info)
{
	(void)info;
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return addon_fail(env, "socketpair", errno);
	return addon_pair(env, ends);
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

/* finish(socket): void; the peer reads to its end, and is still heard */
static napi_value finish_sending(napi_env env, napi_callback_info info)
{
	int32_t fd;
	if (!addon_descriptor(env, info, "finish", &fd))
		return NULL;
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

static uint8_t message_buffer[MAX_MESSAGE];

/* Hands one message to JavaScript: callback(message | null, descriptors). null: the peer is gone. */
static void deliver(struct listener *l, const uint8_t *data, size_t size, const int *descriptors, uint32_t count)
{
	napi_handle_scope scope;
	napi_value argv[2], value;
	napi_env env = l->env;
	napi_open_handle_scope(env, &scope);
	if (data == NULL)
		napi_get_null(env, &argv[0]);
	else
		napi_create_buffer_copy(env, size, data, NULL, &argv[0]);
	napi_create_array_with_length(env, count, &argv[1]);
	for (uint32_t i = 0; i < count; i++) {
		napi_create_int32(env, descriptors[i], &value);
		napi_set_element(env, argv[1], i, value);
	}
	listener_call(l, 2, argv);
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
	struct listener *l = uv_handle_get_data(poll);
	(void)events;
	while (!l->closed) {
		union control control;
		int descriptors[MAX_DESCRIPTORS];
		struct iovec part = {message_buffer, sizeof message_buffer};
		struct msghdr message = {
			.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
		const ssize_t n = recvmsg(l->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		/*
		 * ECONNRESET, which libuv may have seen before us (status): the peer left without reading something of ours. What it
		 * said before is still to be read.
		 */
		if (n < 0 && (errno == EINTR || errno == ECONNRESET))
			continue;
		if (n < 0 && errno == EAGAIN && status >= 0)
			return;
		if (n <= 0) {
			uv_poll_stop(l->poll);
			deliver(l, NULL, 0, NULL, 0);
			return;
		}
		const uint32_t count = take_descriptors(&message, descriptors);
		deliver(l, message_buffer, (size_t)n, descriptors, count);
	}
}

/* The function that watch() returns: stop(), ref(true | false) as stop("close" | "ref" | "unref"). */
static napi_value control_watch(napi_env env, napi_callback_info info)
{
	napi_value argv[1];
	size_t argc = 1, length = 0;
	char text[8] = "";
	struct listener *l = listener_of(env, info, &argc, argv);
	napi_get_value_string_utf8(env, argv[0], text, sizeof text, &length);
	if (l->closed)
		return NULL;
	if (strcmp(text, "ref") == 0)
		uv_ref(l->poll);
	else if (strcmp(text, "unref") == 0)
		uv_unref(l->poll);
	else
		listener_close(l);
	return NULL;
}

/* watch(socket, callback): (action: "close" | "ref" | "unref") => void; owns the socket from now on */
static napi_value watch_socket(napi_env env, napi_callback_info info)
{
	static const struct listener_kind kind = {.call = "watch",
						  .resource = "vmjail:watch",
						  .events = UV_ABI_READABLE | UV_ABI_DISCONNECT,
						  .ready = on_ready,
						  .control = control_watch};
	return listener_open(env, info, &kind);
}

void add_message_functions(napi_env env, napi_value exports)
{
	const napi_property_descriptor functions[] = {
		{"socketpair", NULL, make_socketpair, NULL, NULL, NULL, napi_enumerable, NULL},
		{"finish", NULL, finish_sending, NULL, NULL, NULL, napi_enumerable, NULL},
		{"send", NULL, send_message, NULL, NULL, NULL, napi_enumerable, NULL},
		{"watch", NULL, watch_socket, NULL, NULL, NULL, napi_enumerable, NULL},
	};
	napi_define_properties(env, exports, sizeof functions / sizeof functions[0], functions);
}
