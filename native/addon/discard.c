/*
 * What waits on a socket is thrown away: what one program sent is not to be taken for another's.
 *
 *   discard(fd): number     connections that were reset, or datagrams that were dropped; throws where some may be left
 */
#include "addon.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static int is_listening(int fd)
{
	int listening = 0;
	socklen_t size = sizeof listening;
	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening;
}

enum { MOST_FAILURES = 64 };

/* One thing that waited, thrown away; -1 and errno where there was none. */
static int take_one(int fd, int listening)
{
	const struct linger none = {.l_onoff = 1, .l_linger = 0};
	char byte;
	if (!listening)
		return recv(fd, &byte, sizeof byte, MSG_DONTWAIT) < 0 ? -1 : 0;
	const int connection = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (connection < 0)
		return -1;
	setsockopt(connection, SOL_SOCKET, SO_LINGER, &none, sizeof none);
	close(connection);
	return 0;
}

static napi_value discard(napi_env env, napi_callback_info info)
{
	napi_value result;
	int32_t fd;
	if (!addon_descriptor(env, info, "discard", &fd))
		return NULL;
	const int listening = is_listening(fd);
	uint32_t count = 0, failures = 0;
	for (;; count++) {
		if (take_one(fd, listening) == 0)
			continue;
		if (errno == EAGAIN)
			break;
		/* A connection that is over before it is accepted, or what became of an earlier datagram. */
		if (++failures > MOST_FAILURES)
			return addon_fail(env, "discard", errno);
	}
	napi_create_uint32(env, count, &result);
	return result;
}

void add_discard_functions(napi_env env, napi_value exports)
{
	const napi_property_descriptor functions[] = {
		{"discard", NULL, discard, NULL, NULL, NULL, napi_enumerable, NULL},
	};
	napi_define_properties(env, exports, sizeof functions / sizeof functions[0], functions);
}
