/*
 * Files below a jail's root, found by openat2(2) with no link followed, whoever planted it. The caller has taken on the
 * rights of the jail's program.
 */
#ifndef VMJAIL_BENEATH_H
#define VMJAIL_BENEATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

enum { MAX_PATH = 4096 };

/* The call that failed, as messages name it, and errno; error 0: none did. */
struct fault {
	const char *call;
	int error;
};

struct content {
	const uint8_t *bytes; /* NULL: from the descriptor, from its beginning */
	size_t size;
	int descriptor;
};

/* Makes the folders on the way. `path` has less than MAX_PATH bytes. */
struct fault put_file(int root, const char *path, const struct content *c, mode_t mode);
struct fault put_link(int root, const char *path, const char *target);

/* A regular file, opened without waiting for anybody. What is no regular file is not even opened. */
struct fault open_regular(int root, const char *path, int *fd, struct stat *info);
struct fault read_all(int fd, uint8_t *to, size_t size, size_t *done);

struct search {
	off_t size;
	struct timespec since;
	int64_t entries; /* that may still be looked at */
};

/* Whether the named entry is a file of that size that was changed since, or a folder with one in it. */
bool search_entry(int at, const char *name, struct search *s, int depth);

#endif
