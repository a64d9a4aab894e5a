#include "guard.h"

#include <elf.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

int guard_allow(struct guard *g, int descriptor)
{
	struct stat info;
	if (g->count == GUARD_MAX_FILES) {
		errno = E2BIG;
		return -1;
	}
	if (fstat(descriptor, &info) != 0)
		return -1;
	const int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
	if (copy < 0)
		return -1;
	g->files[g->count++] = (struct guard_file){info.st_dev, info.st_ino, copy};
	return 0;
}

int guard_seize(pid_t pid)
{
	const long options = PTRACE_O_TRACEEXEC | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
			     PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL;
	return (int)ptrace(PTRACE_SEIZE, pid, NULL, options);
}

static bool is_allowed(const struct guard *g, const struct stat *info)
{
	for (unsigned i = 0; i < g->count; i++)
		if (g->files[i].inode == info->st_ino && g->files[i].device == info->st_dev)
			return true;
	return false;
}

/* "<pid><suffix>", relative to /proc. */
static void proc_path(char *out, size_t size, pid_t pid, const char *suffix)
{
	char digits[12];
	int n = 0;
	unsigned value = (unsigned)pid;
	do
		digits[n++] = (char)('0' + value % 10);
	while ((value /= 10) != 0);
	size_t at = 0;
	while (n > 0 && at + 1 < size)
		out[at++] = digits[--n];
	while (*suffix != '\0' && at + 1 < size)
		out[at++] = *suffix++;
	out[at] = '\0';
}

static void deny(struct guard *g, pid_t pid, bool killed, const char *path)
{
	struct guard_denial denial = {.pid = pid, .killed = killed};
	for (size_t i = 0; i + 1 < sizeof denial.path && path[i] != '\0'; i++)
		denial.path[i] = path[i];
	g->denied(g->owner, &denial);
}

/* Where a link in /proc points to; an empty string where that cannot be told. */
static void read_link(const struct guard *g, const char *link, char *out, size_t size)
{
	const ssize_t n = readlinkat(g->proc, link, out, size - 1);
	out[n > 0 ? n : 0] = '\0';
}

/* What a process calls itself: all that is known of a program that may not be looked at. */
static void read_comm(const struct guard *g, pid_t pid, char *out, size_t size)
{
	char file[32];
	proc_path(file, sizeof file, pid, "/comm");
	const int comm = openat(g->proc, file, O_RDONLY | O_CLOEXEC);
	const ssize_t n = comm < 0 ? 0 : read(comm, out, size - 1);
	if (comm >= 0)
		close(comm);
	out[n > 0 ? n - 1 : 0] = '\0'; /* without the new line */
}

/* At PTRACE_EVENT_EXEC: the new image is in place and has not run. */
static bool image_is_allowed(struct guard *g, pid_t pid)
{
	struct stat info;
	char link[32], path[GUARD_PATH];
	proc_path(link, sizeof link, pid, "/exe");
	if (fstatat(g->proc, link, &info, 0) == 0) {
		if (is_allowed(g, &info))
			return true;
	} else if (errno == ENOENT || errno == ESRCH) {
		return false; /* somebody else killed it first: there is nothing to tell */
	}
	read_link(g, link, path, sizeof path);
	if (path[0] == '\0')
		read_comm(g, pid, path, sizeof path);
	deny(g, pid, true, path);
	return false;
}

/* What execve or execveat was called with. */
struct call {
	unsigned long path;
	int folder;
};

#if defined(__x86_64__)

typedef struct user_regs_struct registers;

static struct call call_of(const registers *r)
{
	if (r->orig_rax == SYS_execveat)
		return (struct call){r->rsi, (int)r->rdi};
	return (struct call){r->rdi, AT_FDCWD};
}

/* Makes the stopped call answer EACCES without running. */
static void refuse_call(pid_t pid, registers *r)
{
	struct iovec part = {r, sizeof *r};
	r->orig_rax = (unsigned long)-1;
	r->rax = (unsigned long)-EACCES;
	ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &part);
}

#elif defined(__aarch64__)

typedef struct user_regs_struct registers;

static struct call call_of(const registers *r)
{
	if (r->regs[8] == SYS_execveat)
		return (struct call){r->regs[1], (int)r->regs[0]};
	return (struct call){r->regs[0], AT_FDCWD};
}

static void refuse_call(pid_t pid, registers *r)
{
	int none = -1;
	struct iovec number = {&none, sizeof none}, part = {r, sizeof *r};
	ptrace(PTRACE_SETREGSET, pid, NT_ARM_SYSTEM_CALL, &number);
	r->regs[0] = (unsigned long)-EACCES;
	ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &part);
}

#else
#error "the guard knows x86_64 and aarch64"
#endif

/* Reads a string of the tracee, never across a page that may not be there. False if it does not end in time. */
static bool read_string(pid_t pid, unsigned long address, char *out, size_t size)
{
	for (size_t done = 0; done < size;) {
		const size_t in_page = 4096 - (address + done) % 4096;
		const size_t want = in_page < size - done ? in_page : size - done;
		struct iovec here = {out + done, want}, there = {(void *)(address + done), want};
		const ssize_t n = process_vm_readv(pid, &here, 1, &there, 1, 0);
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
		return openat(g->proc, link, O_PATH | O_CLOEXEC);
	}
	if (path[0] == '/') {
		how.resolve |= RESOLVE_IN_ROOT;
		stpcpy(suffix, "/root");
	} else if (c->folder != AT_FDCWD) {
		stpcpy(suffix, "/fd/");
		proc_path(suffix + 4, sizeof suffix - 4, c->folder, "");
	}
	proc_path(link, sizeof link, pid, suffix);
	const int folder = openat(g->proc, link, O_PATH | O_CLOEXEC);
	if (folder < 0 || path[0] == '\0')
		return folder;
	int file = (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
	/* In gVisor. Links of /proc then mean pid 1's files, and nobody has another root: what is let pass is looked at again. */
	if (file < 0 && errno == ENOSYS)
		file = openat(folder, path, O_PATH | O_CLOEXEC);
	close(folder);
	return file;
}

/* The name to tell: as the caller spelled it, if that means the same to everybody. */
static void tell_refusal(struct guard *g, pid_t pid, int file, const char *path)
{
	char link[32], real[GUARD_PATH];
	if (path[0] == '/' && after(path, "/proc/") == NULL && after(path, "/dev/") == NULL) {
		deny(g, pid, false, path);
		return;
	}
	proc_path(link, sizeof link, file, "");
	memmove(link + 8, link, sizeof link - 8);
	memcpy(link, "self/fd/", 8);
	read_link(g, link, real, sizeof real);
	deny(g, pid, false, real[0] == '\0' ? path : real);
}

/* At PTRACE_EVENT_SECCOMP: execve or execveat is about to run. */
static void before_exec(struct guard *g, pid_t pid)
{
	registers r;
	struct iovec part = {&r, sizeof r};
	char path[4096];
	struct stat info;
	if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &part) != 0)
		return;
	const struct call c = call_of(&r);
	if (!read_string(pid, c.path, path, sizeof path))
		return; /* the kernel will answer EFAULT or ENAMETOOLONG */
	/* The usual case, at the least cost: if the name means another file to the caller, the look after the call tells. */
	if (path[0] == '/' && stat(path, &info) == 0 && is_allowed(g, &info))
		return;
	const int file = open_named(g, pid, &c, path);
	if (file < 0)
		return;
	/* What is no file, or not executable, gets the kernel's own answer. */
	if (fstat(file, &info) == 0 && S_ISREG(info.st_mode) && (info.st_mode & 0111) != 0 && !is_allowed(g, &info)) {
		tell_refusal(g, pid, file, path);
		refuse_call(pid, &r);
	}
	close(file);
}

static bool is_job_control(int signal)
{
	return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

void guard_handle(struct guard *g, pid_t pid, int status)
{
	const int signal = WSTOPSIG(status);
	switch (status >> 16) {
	case 0:
		ptrace(PTRACE_CONT, pid, NULL, (long)signal); /* a signal on its way: deliver it */
		return;
	case PTRACE_EVENT_EXEC:
		if (!image_is_allowed(g, pid)) {
			kill(pid, SIGKILL);
			return;
		}
		break;
	case PTRACE_EVENT_SECCOMP:
		before_exec(g, pid);
		break;
	case PTRACE_EVENT_STOP:
		if (is_job_control(signal)) {
			g->stopped(g->owner, pid, signal);
			ptrace(PTRACE_LISTEN, pid, NULL, 0); /* stay stopped until SIGCONT */
			return;
		}
		break;
	default: /* fork, vfork, clone: the child is traced from its first instruction */
		break;
	}
	ptrace(PTRACE_CONT, pid, NULL, 0);
}
