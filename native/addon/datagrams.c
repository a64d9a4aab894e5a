/*
 * What Node's dgram cannot do: receive datagrams together with the destination that their sender wrote (IP_ORIGDSTADDR of a
 * transparent socket), and send whole IP packets by a connected raw socket.
 *
 *   receiveDatagrams(fd, (payload: Buffer, source: Buffer, destination: Buffer) => void): () => void
 *   sendPacket(fd, packet: Uint8Array): boolean
 */
#include "listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#ifndef IPV6_ORIGDSTADDR
#define IPV6_ORIGDSTADDR 74
#endif

/* Datagrams handed over before other work gets its turn. */
enum { BATCH = 64, MAX_DATAGRAM = 65535 };

static void deliver(struct listener *l, const uint8_t *data, size_t size, const struct sockaddr_storage *source,
		    const struct sockaddr_storage *destination)
{
	napi_handle_scope scope;
	napi_value argv[3];
	napi_env env = l->env;
	napi_open_handle_scope(env, &scope);
	napi_create_buffer_copy(env, size, data, NULL, &argv[0]);
	napi_create_buffer_copy(env, sizeof(struct sockaddr_in6), source, NULL, &argv[1]);
	napi_create_buffer_copy(env, sizeof(struct sockaddr_in6), destination, NULL, &argv[2]);
	listener_call(l, 3, argv);
	napi_close_handle_scope(env, scope);
}

static bool original_destination(struct msghdr *message, struct sockaddr_storage *out)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
		const bool four = c->cmsg_level == SOL_IP && c->cmsg_type == IP_ORIGDSTADDR;
		const bool six = c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_ORIGDSTADDR;
		if (!four && !six)
			continue;
		memcpy(out, CMSG_DATA(c), four ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
		return true;
	}
	return false;
}

static void on_ready(uv_handle_t *poll, int status, int events)
{
	static uint8_t buffer[MAX_DATAGRAM];
	struct listener *l = uv_handle_get_data(poll);
	(void)status;
	(void)events;
	for (int i = 0; i < BATCH && !l->closed; i++) {
		union {
			char bytes[CMSG_SPACE(sizeof(struct sockaddr_in6)) * 2];
			struct cmsghdr align;
		} control;
		struct sockaddr_storage source = {0}, destination = {0};
		struct iovec part = {buffer, sizeof buffer};
		struct msghdr message = {.msg_name = &source,
					 .msg_namelen = sizeof source,
					 .msg_iov = &part,
					 .msg_iovlen = 1,
					 .msg_control = control.bytes,
					 .msg_controllen = sizeof control.bytes};
		const ssize_t n = recvmsg(l->fd, &message, MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return;
		/* Any other error is one datagram's own (ICMP), and has been taken off the socket by being returned. */
		if (n >= 0 && original_destination(&message, &destination))
			deliver(l, buffer, (size_t)n, &source, &destination);
	}
}

static napi_value receive(napi_env env, napi_callback_info info)
{
	static const struct listener_kind kind = {.call = "receiveDatagrams",
						  .resource = "vmjail:datagrams",
						  .events = UV_ABI_READABLE,
						  .ready = on_ready,
						  .control = listener_stop};
	return listener_open(env, info, &kind);
}

static napi_value send_packet(napi_env env, napi_callback_info info)
{
	napi_value argv[2], result;
	size_t argc = 2, size = 0;
	void *data = NULL;
	int32_t fd;
	napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
	if (napi_get_value_int32(env, argv[0], &fd) != napi_ok ||
	    napi_get_typedarray_info(env, argv[1], NULL, &size, &data, NULL, NULL) != napi_ok)
		return addon_fail(env, "send", EINVAL);
	const ssize_t n = send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	napi_get_boolean(env, n >= 0, &result);
	return result;
}

void add_datagram_functions(napi_env env, napi_value exports)
{
	const napi_property_descriptor functions[] = {
		{"receiveDatagrams", NULL, receive, NULL, NULL, NULL, napi_enumerable, NULL},
		{"sendPacket", NULL, send_packet, NULL, NULL, NULL, napi_enumerable, NULL},
	};
	napi_define_properties(env, exports, sizeof functions / sizeof functions[0], functions);
}
