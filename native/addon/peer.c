/*
 * Who is at the other end of a unix socket, as the kernel knows it (unix(7)).
 *
 *   peer(fd): { pid, uid, gid, groups: number[], pidfd }
 *   isAlive(pidfd): boolean
 *   closeAllOnExec(): void
 */
#include "addon.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif
/* Linux 6.5 */
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

/* NGROUPS_MAX */
enum { MAX_GROUPS = 65536 };

static bool set_number(napi_env env, napi_value object, const char *name, double number)
{
	napi_value value;
	return napi_create_double(env, number, &value) == napi_ok &&
	       napi_set_named_property(env, object, name, value) == napi_ok;
}

/* The array of the peer's supplementary groups; NULL, with errno, where it cannot be had. */
static napi_value groups_of(napi_env env, int fd)
{
	gid_t *groups = malloc(MAX_GROUPS * sizeof *groups);
	socklen_t size = MAX_GROUPS * sizeof *groups;
	napi_value array = NULL, value;
	if (groups == NULL)
		return NULL;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) == 0) {
		const uint32_t count = size / sizeof *groups;
		napi_create_array_with_length(env, count, &array);
		for (uint32_t i = 0; i < count; i++) {
			napi_create_uint32(env, groups[i], &value);
			napi_set_element(env, array, i, value);
		}
	}
	const int error = errno;
	free(groups);
	errno = error;
	return array;
}

/*
 * A descriptor of the peer's process itself, whatever becomes of its number. Before Linux 6.5 the number is looked up now, and may
 * be another process's by now: whoever reads /proc by it asks isAlive afterwards, and compares the owner.
 */
static int pidfd_of(int fd, pid_t pid)
{
	int pidfd = -1;
	socklen_t size = sizeof pidfd;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0)
		return pidfd;
	return errno == ENOPROTOOPT ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
}

static napi_value peer(napi_env env, napi_callback_info info)
{
	napi_value object;
	int32_t fd;
	struct ucred who;
	socklen_t size = sizeof who;
	if (!addon_descriptor(env, info, "peer", &fd))
		return NULL;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0)
		return addon_fail(env, "SO_PEERCRED", errno);
	/* The kernel's "nobody known": a socketpair's end, a listening socket. */
	if (who.pid <= 0 || who.uid == (uid_t)-1 || who.gid == (gid_t)-1)
		return addon_fail(env, "SO_PEERCRED", ENOTCONN);
	napi_value groups = groups_of(env, fd);
	if (groups == NULL)
		return addon_fail(env, "SO_PEERGROUPS", errno);
	const int pidfd = pidfd_of(fd, who.pid);
	if (pidfd < 0)
		return addon_fail(env, "SO_PEERPIDFD", errno);
	if (napi_create_object(env, &object) != napi_ok || !set_number(env, object, "pid", who.pid) ||
	    !set_number(env, object, "uid", who.uid) || !set_number(env, object, "gid", who.gid) ||
	    !set_number(env, object, "pidfd", pidfd) || napi_set_named_property(env, object, "groups", groups) != napi_ok) {
		close(pidfd);
		return addon_fail(env, "peer", ENOMEM);
	}
	return object;
}

/* A pidfd becomes readable when its process has ended (pidfd_open(2)). */
static napi_value is_alive(napi_env env, napi_callback_info info)
{
	napi_value result;
	int32_t fd;
	if (!addon_descriptor(env, info, "isAlive", &fd))
		return NULL;
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	const int n = poll(&wait, 1, 0);
	if (n < 0 || (wait.revents & POLLNVAL) != 0)
		return addon_fail(env, "isAlive", n < 0 ? errno : EBADF);
	napi_get_boolean(env, n == 0, &result);
	return result;
}

/* What this process was itself given by whoever started it goes no further (close_range(2), Linux 5.11). */
static napi_value close_all_on_exec(napi_env env, napi_callback_info info)
{
	(void)info;
	enum { CLOEXEC_RANGE = 4 };
	if (syscall(SYS_close_range, 3, ~0U, CLOEXEC_RANGE) != 0)
		return addon_fail(env, "close_range", errno);
	return NULL;
}

void add_peer_functions(napi_env env, napi_value exports)
{
	const napi_property_descriptor functions[] = {
		{"peer", NULL, peer, NULL, NULL, NULL, napi_enumerable, NULL},
		{"isAlive", NULL, is_alive, NULL, NULL, NULL, napi_enumerable, NULL},
		{"closeAllOnExec", NULL, close_all_on_exec, NULL, NULL, NULL, napi_enumerable, NULL},
	};
	napi_define_properties(env, exports, sizeof functions / sizeof functions[0], functions);
}
