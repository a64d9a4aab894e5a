/*
 * The look before: what a call to execve(2) or execveat(2) names. It may be raced, so it only explains.
 *
 * A tick may interrupt any call here that waits for a file system, as 9p and FUSE let it: each is repeated.
 */
#include "guard-parts.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/uio.h>

enum { USUAL_PATH = 128 };

/* Reads a string of the tracee, never across a page that may not be there. False if it does not end in time. */
static bool read_string(pid_t pid, unsigned long address, char *out, size_t size)
{
	for (size_t done = 0; done < size;) {
		const size_t in_page = 4096 - (address + done) % 4096;
		const size_t most = in_page < size - done ? in_page : size - done;
		const size_t want = most < USUAL_PATH ? most : USUAL_PATH;
		struct iovec here = {out + done, want}, there = {(void *)(address + done), want};
		const ssize_t n = RETRY(process_vm_readv(pid, &here, 1, &there, 1, 0));
		if (n <= 0)
			return false;
		if (memchr(out + done, '\0', (size_t)n) != NULL)
			return true;
		done += (size_t)n;
	}
	return false;
}

/* What follows a prefix, or NULL. Slashes in front of the path count as one. */
static const char *after(const char *path, const char *prefix)
{
	while (path[0] == '/' && path[1] == '/')
		path++;
	const size_t length = strlen(prefix);
	return strncmp(path, prefix, length) == 0 ? path + length : NULL;
}

/*
 * Opens what a call names, as its caller would; -1 if that cannot be told. Names of the caller's own files in /proc would
 * mean pid 1's: they are taken by the caller's id. Any other link of that kind is left to the look after the call.
 */
static int open_named(const struct guard *g, pid_t pid, const struct call *c, const char *path)
{
	static const char *const self[][2] = {{"/proc/self/", "/"}, {"/proc/thread-self/", "/"}, {"/dev/fd/", "/fd/"}};
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS};
	char link[GUARD_PATH], suffix[GUARD_PATH] = "/cwd";
	for (size_t i = 0; i < sizeof self / sizeof *self; i++) {
		const char *rest = after(path, self[i][0]);
		if (rest == NULL || strlen(rest) + 32 > sizeof link)
			continue;
		stpcpy(stpcpy(suffix, self[i][1]), rest);
		proc_path(link, sizeof link, pid, suffix);
		return RETRY(openat(g->proc, link, O_PATH | O_CLOEXEC));
	}
	if (path[0] == '/') {
		how.resolve |= RESOLVE_IN_ROOT;
		stpcpy(suffix, "/root");
	} else if (c->folder != AT_FDCWD) {
		stpcpy(suffix, "/fd/");
		proc_path(suffix + 4, sizeof suffix - 4, c->folder, "");
	}
	proc_path(link, sizeof link, pid, suffix);
	const int folder = RETRY(openat(g->proc, link, O_PATH | O_CLOEXEC));
	if (folder < 0 || path[0] == '\0')
		return folder;
	int file = (int)RETRY(syscall(SYS_openat2, folder, path, &how, sizeof how));
	/* In gVisor. Links of /proc then mean pid 1's files, and nobody has another root: what is let pass is looked at again. */
	if (file < 0 && errno == ENOSYS)
		file = RETRY(openat(folder, path, O_PATH | O_CLOEXEC));
	close(folder);
	return file;
}

/* The name to tell: as the caller spelled it, if that means the same to everybody. */
static void tell_refusal(struct guard *g, pid_t pid, int file, const char *path)
{
	char link[32], real[GUARD_PATH];
	if (path[0] == '/' && after(path, "/proc/") == NULL && after(path, "/dev/") == NULL) {
		guard_deny(g, pid, false, path);
		return;
	}
	proc_path(link, sizeof link, file, "");
	memmove(link + 8, link, sizeof link - 8);
	memcpy(link, "self/fd/", 8);
	read_proc_link(g, link, real, sizeof real);
	guard_deny(g, pid, false, real[0] == '\0' ? path : real);
}

enum look guard_look(struct guard *g, pid_t pid, const struct call *c)
{
	char path[4096];
	struct stat info;
	if (!read_string(pid, c->path, path, sizeof path))
		return UNKNOWN; /* the kernel will answer EFAULT or ENAMETOOLONG */
	/* The usual case, at the least cost: if the name means another file to the caller, the look after the call tells. */
	if (path[0] == '/' && RETRY(stat(path, &info)) == 0 && guard_allows(g, &info))
		return ALLOWED;
	const int file = open_named(g, pid, c, path);
	if (file < 0)
		return UNKNOWN;
	/* What is no file, or not executable, gets the kernel's own answer. */
	enum look look = UNKNOWN;
	if (RETRY(fstat(file, &info)) == 0 && S_ISREG(info.st_mode) && (info.st_mode & 0111) != 0)
		look = guard_allows(g, &info) ? ALLOWED : REFUSED;
	if (look == REFUSED)
		tell_refusal(g, pid, file, path);
	close(file);
	return look;
}

void guard_refuse_unseen(struct guard *g, pid_t pid, const struct call *c)
{
	char path[4096];
	guard_deny(g, pid, false, read_string(pid, c->path, path, sizeof path) ? path : "");
}
