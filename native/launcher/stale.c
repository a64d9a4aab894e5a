#include "stale.h"

#include <dirent.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What scripts/build.mjs reads; scripts/setup.sh has the same list. */
static const char *const SOURCES[] = {"src", "native", "scripts", "package.json", "package-lock.json"};

/* The build's own time: when it began. */
static const char STAMP[] = "build/stamp";

static const char *const PARTS[] = {"dist/cli.cjs", "build/vmjail-executor", "build/vmjail-confine", "build/addon.node"};

/* Deeper than any folder of the sources; a loop of mounts would end here. */
enum { MAX_DEPTH = 16 };

static bool is_newer(const struct stat *a, const struct timespec *stamp)
{
	return a->st_mtim.tv_sec > stamp->tv_sec ||
	       (a->st_mtim.tv_sec == stamp->tv_sec && a->st_mtim.tv_nsec > stamp->tv_nsec);
}

static bool any_newer(int folder, const char *name, const struct timespec *stamp, int depth);

static bool any_newer_inside(int folder, const struct timespec *stamp, int depth)
{
	DIR *entries = fdopendir(folder);
	if (entries == NULL) {
		close(folder);
		return true;
	}
	bool newer = false;
	for (const struct dirent *e; !newer && (e = readdir(entries)) != NULL;)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			newer = any_newer(dirfd(entries), e->d_name, stamp, depth);
	closedir(entries);
	return newer;
}

/* A folder's own time changes when something in it comes or goes. */
static bool any_newer(int folder, const char *name, const struct timespec *stamp, int depth)
{
	struct stat info;
	if (fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) != 0 || is_newer(&info, stamp) || depth > MAX_DEPTH)
		return true;
	if (!S_ISDIR(info.st_mode))
		return false;
	const int inside = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return inside < 0 || any_newer_inside(inside, stamp, depth + 1);
}

bool build_is_stale(int root)
{
	struct stat stamp;
	if (fstatat(root, STAMP, &stamp, 0) != 0)
		return true;
	for (size_t i = 0; i < sizeof SOURCES / sizeof *SOURCES; i++)
		if (any_newer(root, SOURCES[i], &stamp.st_mtim, 0))
			return true;
	return false;
}

bool build_is_whole(int root)
{
	for (size_t i = 0; i < sizeof PARTS / sizeof *PARTS; i++)
		if (faccessat(root, PARTS[i], F_OK, 0) != 0)
			return false;
	return true;
}
