/*
 * What Node cannot do by itself: pipes and sealed memory as plain descriptors, and what the other files add.
 * No policy, no process, no namespace. src/executor/addon.ts gives the types.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "addon.h"

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

bool addon_descriptor(napi_env env, napi_callback_info info, const char *call, int32_t *fd)
{
	napi_value argv[1];
	size_t argc = 1;
	if (napi_get_cb_info(env, info, &argc, argv, NULL, NULL) == napi_ok && napi_get_value_int32(env, argv[0], fd) == napi_ok)
		return true;
	addon_fail(env, call, EINVAL);
	return false;
}

napi_value addon_pair(napi_env env, const int *ends)
{
	napi_value array, value;
	napi_create_array_with_length(env, 2, &array);
	for (uint32_t i = 0; i < 2; i++) {
		napi_create_int32(env, ends[i], &value);
		napi_set_element(env, array, i, value);
	}
	return array;
}

/* pipe(): [read end, write end] */
static napi_value make_pipe(napi_env env, napi_callback_info info)
{
	(void)info;
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return addon_fail(env, "pipe2", errno);
	return addon_pair(env, ends);
}

/* duplicate(descriptor: number): number */
static napi_value duplicate(napi_env env, napi_callback_info info)
{
	napi_value number;
	int32_t descriptor;
	if (!addon_descriptor(env, info, "duplicate", &descriptor))
		return NULL;
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

/* closeOnExec(descriptor): void */
static napi_value close_on_exec(napi_env env, napi_callback_info info)
{
	int32_t fd;
	if (!addon_descriptor(env, info, "closeOnExec", &fd))
		return NULL;
	return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? NULL : addon_fail(env, "fcntl", errno);
}

/*
 * leaveTerminals(): void; for the end of the process. Node would put each terminal among the standard streams back into the
 * mode that it had at Node's start, over the head of a pager or an editor that has it by now. What is another file it leaves.
 */
static napi_value leave_terminals(napi_env env, napi_callback_info info)
{
	(void)env;
	(void)info;
	const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; null >= 0 && fd <= 2; fd++)
		if (isatty(fd))
			dup2(null, fd);
	return NULL;
}

NAPI_MODULE_INIT()
{
	const napi_property_descriptor functions[] = {
		{"pipe", NULL, make_pipe, NULL, NULL, NULL, napi_enumerable, NULL},
		{"duplicate", NULL, duplicate, NULL, NULL, NULL, napi_enumerable, NULL},
		{"memfd", NULL, make_memfd, NULL, NULL, NULL, napi_enumerable, NULL},
		{"leaveTerminals", NULL, leave_terminals, NULL, NULL, NULL, napi_enumerable, NULL},
		{"closeOnExec", NULL, close_on_exec, NULL, NULL, NULL, napi_enumerable, NULL},
	};
	napi_define_properties(env, exports, sizeof functions / sizeof functions[0], functions);
	add_message_functions(env, exports);
	add_datagram_functions(env, exports);
	add_notification_functions(env, exports);
	add_relay_functions(env, exports);
	add_file_functions(env, exports);
	add_look_functions(env, exports);
	add_peer_functions(env, exports);
	add_discard_functions(env, exports);
	add_affinity_functions(env, exports);
	return exports;
}
