/* Many lstat(2) at once, in a form that two looks can be compared by. src/jail/answers.ts gives the same form. */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "addon.h"

enum { MAX_LOOK = 64 * 1024, MAX_TARGET = 4096 };

enum kind { MISSING, FOLDER, LINK, CHARACTER, BLOCK, FIFO, SOCKET, PLAIN_FILE, UNKNOWN };

/* `target` bytes of a link's target follow, then zeros up to a multiple of four. */
struct answer {
	uint32_t kind;
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
	uint32_t major;
	uint32_t minor;
	uint32_t target;
};

static uint8_t answers[MAX_LOOK];

static enum kind kind_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return FOLDER;
	case S_IFLNK:
		return LINK;
	case S_IFCHR:
		return CHARACTER;
	case S_IFBLK:
		return BLOCK;
	case S_IFIFO:
		return FIFO;
	case S_IFSOCK:
		return SOCKET;
	default:
		return PLAIN_FILE;
	}
}

/* Writes one answer; returns its size, or 0 where there is no room. */
static size_t answer(const char *path, uint8_t *out, size_t room)
{
	struct stat info;
	struct answer a = {.kind = MISSING};
	char target[MAX_TARGET];
	if (lstat(path, &info) == 0) {
		a = (struct answer){.kind = kind_of(info.st_mode),
				    .mode = info.st_mode & 07777,
				    .uid = info.st_uid,
				    .gid = info.st_gid,
				    .major = major(info.st_rdev),
				    .minor = minor(info.st_rdev)};
	} else if (errno != ENOENT) {
		a.kind = UNKNOWN;
	}
	if (a.kind == LINK) {
		const ssize_t length = readlink(path, target, sizeof target);
		if (length < 0)
			a.kind = UNKNOWN;
		else
			a.target = (uint32_t)length;
	}
	const size_t padded = (a.target + 3u) & ~3u;
	if (room < sizeof a + padded)
		return 0;
	memcpy(out, &a, sizeof a);
	memset(out + sizeof a, 0, padded);
	memcpy(out + sizeof a, target, a.target);
	return sizeof a + padded;
}

/* look(paths: Uint8Array): Buffer; the paths each end with NUL. Empty where the answers are more than it has room for. */
static napi_value look(napi_env env, napi_callback_info info)
{
	napi_value argv[1], result;
	size_t argc = 1, size = 0, used = 0;
	void *data = NULL;
	napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
	if (napi_get_typedarray_info(env, argv[0], NULL, &size, &data, NULL, NULL) != napi_ok)
		return addon_fail(env, "look", EINVAL);
	const char *paths = data;
	if (size == 0 || paths[size - 1] != '\0')
		return addon_fail(env, "look", EINVAL);
	for (size_t at = 0; at < size; at += strlen(paths + at) + 1) {
		const size_t written = answer(paths + at, answers + used, sizeof answers - used);
		if (written == 0) {
			used = 0;
			break;
		}
		used += written;
	}
	napi_create_buffer_copy(env, used, answers, NULL, &result);
	return result;
}

void add_look_functions(napi_env env, napi_value exports)
{
	const napi_property_descriptor functions[] = {{"look", NULL, look, NULL, NULL, NULL, napi_enumerable, NULL}};
	napi_define_properties(env, exports, sizeof functions / sizeof functions[0], functions);
}
