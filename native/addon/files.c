/*
 * Files into a jail and out of it: found below the jail's own root and never by a path of the host, with the rights of the
 * jail's program and no others, since that program may have put anything in the way.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "addon.h"

enum { MAX_PATH = 4096, MAX_GROUPS = 64 };

/* The call that failed, as messages name it, and errno; error 0: none did. */
struct fault {
	const char *call;
	int error;
};

static struct fault fault_of(const char *call)
{
	return (struct fault){call, errno};
}

/* --- the rights of the jail's program, for this thread only --- */

struct identity {
	uint32_t uid;
	uint32_t gid;
	uint32_t groups[MAX_GROUPS];
	uint32_t group_count;
};

struct before {
	struct __user_cap_data_struct caps[2];
	uint32_t uid;
	uint32_t gid;
	uint32_t groups[MAX_GROUPS * 4];
	long group_count;
	bool regrouped;
	bool known; /* all of the above */
};

static struct __user_cap_header_struct cap_header(void)
{
	return (struct __user_cap_header_struct){.version = _LINUX_CAPABILITY_VERSION_3};
}

/* Raw calls: the C library's would change every thread of the process. */
static bool become(const struct identity *who, struct before *was)
{
	struct __user_cap_header_struct header = cap_header();
	*was = (struct before){0};
	was->group_count = syscall(SYS_getgroups, MAX_GROUPS * 4, was->groups);
	if (was->group_count < 0 || syscall(SYS_capget, &header, was->caps) != 0)
		return false;
	was->known = true;
	/* Who may not set groups runs programs with his own. */
	was->regrouped = syscall(SYS_setgroups, who->group_count, who->groups) == 0;
	was->gid = (uint32_t)syscall(SYS_setfsgid, who->gid);
	was->uid = (uint32_t)syscall(SYS_setfsuid, who->uid);
	struct __user_cap_data_struct none[2];
	memcpy(none, was->caps, sizeof none);
	none[0].effective = none[1].effective = 0;
	const bool capless = syscall(SYS_capset, &header, none) == 0;
	/* setfsuid(2) never says whether it did anything: asking for what cannot be tells what is. */
	const bool is_it = (uint32_t)syscall(SYS_setfsuid, -1) == who->uid && (uint32_t)syscall(SYS_setfsgid, -1) == who->gid;
	errno = EPERM;
	return capless && is_it;
}

static void unbecome(const struct before *was)
{
	struct __user_cap_header_struct header = cap_header();
	if (!was->known)
		return;
	/* Nothing of this can fail: it is what the thread had, and its permitted capabilities were not touched. */
	if (syscall(SYS_capset, &header, was->caps) != 0)
		abort();
	syscall(SYS_setfsuid, was->uid);
	syscall(SYS_setfsgid, was->gid);
	if (was->regrouped && syscall(SYS_setgroups, was->group_count, was->groups) != 0)
		abort();
	syscall(SYS_capset, &header, was->caps);
}

/* --- finding --- */

static int open_beneath(int at, const char *path, uint64_t flags, uint64_t mode)
{
	const struct open_how how = {.flags = flags | O_CLOEXEC,
				     .mode = mode,
				     .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	return (int)syscall(SYS_openat2, at, path, &how, sizeof how);
}

/* Opens the folder that holds the path's last name, making what is missing; `name` gets that name. -1 and errno. */
static int open_parent(int root, const char *path, const char **name)
{
	char part[MAX_PATH];
	int at = fcntl(root, F_DUPFD_CLOEXEC, 3);
	while (at >= 0) {
		const char *slash = strchr(path, '/');
		if (slash == NULL)
			break;
		const size_t length = (size_t)(slash - path);
		memcpy(part, path, length);
		part[length] = '\0';
		if (mkdirat(at, part, 0755) != 0 && errno != EEXIST && errno != EROFS && errno != EACCES) {
			const int error = errno;
			close(at);
			errno = error;
			return -1;
		}
		const int next = open_beneath(at, part, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
		const int error = errno;
		close(at);
		errno = error;
		at = next;
		path = slash + 1;
	}
	*name = path;
	return at;
}

/* --- in --- */

struct content {
	const uint8_t *bytes; /* NULL: from the descriptor, from its beginning */
	size_t size;
	int descriptor;
};

static bool copy_content(int to, const struct content *c)
{
	off_t at = 0;
	for (size_t done = 0; c->bytes != NULL && done < c->size;) {
		const ssize_t n = write(to, c->bytes + done, c->size - done);
		if (n < 0 && errno != EINTR)
			return false;
		done += n > 0 ? (size_t)n : 0;
	}
	while (c->bytes == NULL) {
		const ssize_t n = sendfile(to, c->descriptor, &at, 1 << 20);
		if (n < 0 && errno != EINTR)
			return false;
		if (n == 0)
			break;
	}
	return true;
}

static struct fault fill(int fd, const struct content *c, mode_t mode)
{
	struct stat info;
	if (fstat(fd, &info) != 0)
		return fault_of("open");
	if (!S_ISREG(info.st_mode))
		return (struct fault){"open", EINVAL};
	if (ftruncate(fd, 0) != 0 || !copy_content(fd, c) || fchmod(fd, mode) != 0)
		return fault_of("copy");
	return (struct fault){0};
}

static struct fault put_file(int root, const char *path, const struct content *c, mode_t mode)
{
	const char *name;
	const int parent = open_parent(root, path, &name);
	if (parent < 0)
		return fault_of("mkdir");
	const int fd = open_beneath(parent, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
	struct fault fault = fd < 0 ? fault_of("open") : fill(fd, c, mode);
	if (fd >= 0)
		close(fd);
	close(parent);
	return fault;
}

static struct fault put_link(int root, const char *path, const char *target)
{
	const char *name;
	const int parent = open_parent(root, path, &name);
	if (parent < 0)
		return fault_of("mkdir");
	const struct fault fault = symlinkat(target, parent, name) == 0 ? (struct fault){0} : fault_of("symlink");
	close(parent);
	return fault;
}

/* --- out --- */

/* A regular file, opened without waiting for anybody. What is no regular file is not even opened. */
static struct fault open_regular(int root, const char *path, int *fd, struct stat *info)
{
	struct stat seen;
	const int place = open_beneath(root, path, O_PATH | O_NOFOLLOW, 0);
	if (place < 0)
		return fault_of("open");
	const bool looked = fstat(place, &seen) == 0;
	close(place);
	if (!looked)
		return fault_of("open");
	if (!S_ISREG(seen.st_mode))
		return (struct fault){"not-regular", EINVAL};
	*fd = open_beneath(root, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
	if (*fd < 0)
		return fault_of("open");
	if (fstat(*fd, info) == 0 && S_ISREG(info->st_mode) && info->st_dev == seen.st_dev && info->st_ino == seen.st_ino)
		return (struct fault){0};
	close(*fd);
	return (struct fault){"not-regular", EINVAL};
}

static struct fault read_all(int fd, uint8_t *to, size_t size, size_t *done)
{
	for (*done = 0; *done < size;) {
		const ssize_t n = read(fd, to + *done, size - *done);
		if (n < 0 && errno != EINTR)
			return fault_of("copy");
		if (n == 0)
			break;
		*done += n > 0 ? (size_t)n : 0;
	}
	return (struct fault){0};
}

/* --- looking for a file of a certain size --- */

struct search {
	off_t size;
	struct timespec since;
	int64_t entries; /* that may still be looked at */
};

static bool is_later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec >= b->tv_nsec);
}

static bool search_folder(int at, struct search *s, int depth);

static bool search_entry(int at, const char *name, struct search *s, int depth)
{
	struct stat info;
	if (fstatat(at, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	if (S_ISREG(info.st_mode))
		return info.st_size == s->size && is_later(&info.st_ctim, &s->since);
	return S_ISDIR(info.st_mode) && depth > 0 &&
	       search_folder(open_beneath(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0), s, depth);
}

/* Closes `at`. */
static bool search_folder(int at, struct search *s, int depth)
{
	DIR *folder = at < 0 ? NULL : fdopendir(at);
	bool found = false;
	if (folder == NULL) {
		if (at >= 0)
			close(at);
		return false;
	}
	for (struct dirent *e; !found && s->entries-- > 0 && (e = readdir(folder)) != NULL;)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			found = search_entry(dirfd(folder), e->d_name, s, depth - 1);
	closedir(folder);
	return found;
}

/* --- from JavaScript --- */

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
