#include "guard.h"

#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
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

int guard_seize(const struct guard *g, pid_t pid)
{
	(void)g;
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

/* At PTRACE_EVENT_EXEC: the new image is in place and has not run. */
static bool image_is_allowed(struct guard *g, pid_t pid)
{
	struct stat info;
	char link[32], path[GUARD_PATH];
	proc_path(link, sizeof link, pid, "/exe");
	if (fstatat(g->proc, link, &info, 0) == 0 && is_allowed(g, &info))
		return true;
	const ssize_t n = readlinkat(g->proc, link, path, sizeof path - 1);
	path[n > 0 ? n : 0] = '\0';
	deny(g, pid, true, path);
	return false;
}

struct call {
	bool at; /* execveat */
	unsigned long path;
	int folder;
	int flags;
};

#if defined(__x86_64__)

typedef struct user_regs_struct registers;

static struct call call_of(const registers *r)
{
	if (r->orig_rax == SYS_execveat)
		return (struct call){true, r->rsi, (int)r->rdi, (int)r->r8};
	return (struct call){false, r->rdi, AT_FDCWD, 0};
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
		return (struct call){true, r->regs[1], (int)r->regs[0], (int)r->regs[4]};
	return (struct call){false, r->regs[0], AT_FDCWD, 0};
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

/*
 * Opens what a call names, as far as pid 1 can see it the way the caller does; -1 if it cannot be told. Names in /proc
 * and /dev mean other things to pid 1: they are left to the look after the call.
 */
static int open_named(struct guard *g, pid_t pid, const struct call *c, const char *path)
{
	char link[48];
	if (strncmp(path, "/proc/", 6) == 0 || strncmp(path, "/dev/", 5) == 0)
		return -1;
	if (path[0] == '/')
		return open(path, O_PATH | O_CLOEXEC);
	if (c->folder == AT_FDCWD) {
		proc_path(link, sizeof link, pid, "/cwd");
	} else {
		char suffix[24] = "/fd/";
		proc_path(suffix + 4, sizeof suffix - 4, c->folder, "");
		proc_path(link, sizeof link, pid, suffix);
	}
	const int folder = openat(g->proc, link, O_PATH | O_CLOEXEC);
	if (folder < 0 || path[0] == '\0')
		return folder;
	const int file = openat(folder, path, O_PATH | O_CLOEXEC);
	close(folder);
	return file;
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
	const int file = open_named(g, pid, &c, path);
	if (file < 0)
		return;
	/* What is no file, or not executable, gets the kernel's own answer. */
	const bool refused = fstat(file, &info) == 0 && S_ISREG(info.st_mode) && (info.st_mode & 0111) != 0 && !is_allowed(g, &info);
	close(file);
	if (!refused)
		return;
	deny(g, pid, false, path);
	refuse_call(pid, &r);
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
