/*
 * Files into a jail and out of it: found below the jail's own root and never by a path of the host, with the rights of the
 * jail's program and no others, since that program may have put anything in the way.
 */
#include "addon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "beneath.h"
#include "identity.h"

/* Uint32Array: uid, gid, supplementary groups. */
static bool read_identity(napi_env env, napi_value value, struct identity *who)
{
	size_t length = 0;
	uint32_t *data = NULL;
	napi_typedarray_type type;
	if (napi_get_typedarray_info(env, value, &type, &length, (void **)&data, NULL, NULL) != napi_ok ||
	    type != napi_uint32_array || length < 2 || length - 2 > MAX_GROUPS)
		return false;
	*who = (struct identity){.uid = data[0], .gid = data[1], .group_count = (uint32_t)length - 2};
	memcpy(who->groups, data + 2, (length - 2) * sizeof *data);
	return true;
}

static bool read_path(napi_env env, napi_value value, char *path)
{
	size_t length = 0;
	return napi_get_value_string_utf8(env, value, path, MAX_PATH, &length) == napi_ok && length > 0 &&
	       length < MAX_PATH - 1 && strlen(path) == length;
}

/* putFile(root, path, content: Uint8Array | number, mode, who) */
static napi_value put_file_call(napi_env env, napi_callback_info info)
{
	napi_value argv[5];
	size_t argc = 5;
	int32_t root, mode;
	char path[MAX_PATH];
	struct identity who;
	struct content content = {.descriptor = -1};
	napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
	const bool is_bytes =
		napi_get_typedarray_info(env, argv[2], NULL, &content.size, (void **)&content.bytes, NULL, NULL) == napi_ok;
	if (is_bytes && content.bytes == NULL)
		content.bytes = (const uint8_t *)"";
	if (napi_get_value_int32(env, argv[0], &root) != napi_ok || !read_path(env, argv[1], path) ||
	    (!is_bytes && napi_get_value_int32(env, argv[2], &content.descriptor) != napi_ok) ||
	    napi_get_value_int32(env, argv[3], &mode) != napi_ok || !read_identity(env, argv[4], &who))
		return addon_fail(env, "putFile", EINVAL);
	struct before was;
	struct fault fault = {"rights", EPERM};
	if (become(&who, &was))
		fault = put_file(root, path, &content, (mode_t)mode & 07777);
	unbecome(&was);
	return fault.error == 0 ? NULL : addon_fail(env, fault.call, fault.error);
}

/* putLink(root, path, target, who) */
static napi_value put_link_call(napi_env env, napi_callback_info info)
{
	napi_value argv[4];
	size_t argc = 4;
	int32_t root;
	char path[MAX_PATH], target[MAX_PATH];
	struct identity who;
	napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
	if (napi_get_value_int32(env, argv[0], &root) != napi_ok || !read_path(env, argv[1], path) ||
	    !read_path(env, argv[2], target) || !read_identity(env, argv[3], &who))
		return addon_fail(env, "putLink", EINVAL);
	struct before was;
	struct fault fault = {"rights", EPERM};
	if (become(&who, &was))
		fault = put_link(root, path, target);
	unbecome(&was);
	return fault.error == 0 ? NULL : addon_fail(env, fault.call, fault.error);
}

/* Buffer with the file's first bytes, `size` at most. */
static struct fault take_bytes(napi_env env, int fd, size_t size, napi_value *buffer)
{
	size_t done = 0;
	uint8_t *bytes = malloc(size == 0 ? 1 : size);
	if (bytes == NULL)
		return (struct fault){"copy", ENOMEM};
	const struct fault fault = read_all(fd, bytes, size, &done);
	if (fault.error == 0 && napi_create_buffer_copy(env, done, bytes, NULL, buffer) != napi_ok) {
		free(bytes);
		return (struct fault){"copy", ENOMEM};
	}
	free(bytes);
	return fault;
}

/* takeFile(root, path, maxBytes, truncate, who): Buffer */
static napi_value take_file_call(napi_env env, napi_callback_info info)
{
	napi_value argv[5], buffer = NULL;
	size_t argc = 5;
	int32_t root;
	int64_t max;
	bool truncate;
	char path[MAX_PATH];
	struct identity who;
	napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
	if (napi_get_value_int32(env, argv[0], &root) != napi_ok || !read_path(env, argv[1], path) ||
	    napi_get_value_int64(env, argv[2], &max) != napi_ok || max < 0 ||
	    napi_get_value_bool(env, argv[3], &truncate) != napi_ok || !read_identity(env, argv[4], &who))
		return addon_fail(env, "takeFile", EINVAL);
	struct before was;
	struct stat found = {0};
	struct fault fault = {"rights", EPERM};
	int fd = -1;
	if (become(&who, &was))
		fault = open_regular(root, path, &fd, &found);
	unbecome(&was);
	if (fault.error != 0)
		return addon_fail(env, fault.call, fault.error);
	if (found.st_size > max && !truncate)
		fault = (struct fault){"too-large", EFBIG};
	else
		fault = take_bytes(env, fd, (size_t)(found.st_size < max ? found.st_size : max), &buffer);
	close(fd);
	return fault.error == 0 ? buffer : addon_fail(env, fault.call, fault.error);
}

/* hasFileOfSize(root, path, size, sinceMs, maxEntries, who): boolean */
static napi_value has_file_call(napi_env env, napi_callback_info info)
{
	napi_value argv[6], result;
	size_t argc = 6;
	int32_t root;
	int64_t size, since;
	char path[MAX_PATH];
	struct identity who;
	struct search search;
	napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
	if (napi_get_value_int32(env, argv[0], &root) != napi_ok || !read_path(env, argv[1], path) ||
	    napi_get_value_int64(env, argv[2], &size) != napi_ok || napi_get_value_int64(env, argv[3], &since) != napi_ok ||
	    napi_get_value_int64(env, argv[4], &search.entries) != napi_ok || !read_identity(env, argv[5], &who))
		return addon_fail(env, "hasFileOfSize", EINVAL);
	search.size = size;
	search.since = (struct timespec){.tv_sec = since / 1000, .tv_nsec = since % 1000 * 1000000};
	struct before was;
	const bool able = become(&who, &was);
	const bool found = able && search_entry(root, path, &search, 32);
	unbecome(&was);
	napi_get_boolean(env, found, &result);
	return able ? result : addon_fail(env, "rights", EPERM);
}

void add_file_functions(napi_env env, napi_value exports)
{
	const napi_property_descriptor functions[] = {
		{"putFile", NULL, put_file_call, NULL, NULL, NULL, napi_enumerable, NULL},
		{"putLink", NULL, put_link_call, NULL, NULL, NULL, napi_enumerable, NULL},
		{"hasFileOfSize", NULL, has_file_call, NULL, NULL, NULL, napi_enumerable, NULL},
		{"takeFile", NULL, take_file_call, NULL, NULL, NULL, napi_enumerable, NULL},
	};
	napi_define_properties(env, exports, sizeof functions / sizeof functions[0], functions);
}
