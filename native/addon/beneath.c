#include "beneath.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct fault fault_of(const char *call)
{
	return (struct fault){call, errno};
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

struct fault put_file(int root, const char *path, const struct content *c, mode_t mode)
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

struct fault put_link(int root, const char *path, const char *target)
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

struct fault open_regular(int root, const char *path, int *fd, struct stat *info)
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

struct fault read_all(int fd, uint8_t *to, size_t size, size_t *done)
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

static bool is_later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec >= b->tv_nsec);
}

static bool search_folder(int at, struct search *s, int depth);

bool search_entry(int at, const char *name, struct search *s, int depth)
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
