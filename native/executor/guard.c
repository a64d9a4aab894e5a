#include "guard-parts.h"

#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
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

bool guard_allows(const struct guard *g, const struct stat *info)
{
	for (unsigned i = 0; i < g->count; i++)
		if (g->files[i].inode == info->st_ino && g->files[i].device == info->st_dev)
			return true;
	return false;
}

void proc_path(char *out, size_t size, pid_t pid, const char *suffix)
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

void guard_deny(struct guard *g, pid_t pid, bool killed, const char *path)
{
	struct guard_denial denial = {.pid = pid, .killed = killed};
	for (size_t i = 0; i + 1 < sizeof denial.path && path[i] != '\0'; i++)
		denial.path[i] = path[i];
	g->denied(g->owner, &denial);
}

void read_proc_link(const struct guard *g, const char *link, char *out, size_t size)
{
	const ssize_t n = RETRY(readlinkat(g->proc, link, out, size - 1));
	out[n > 0 ? n : 0] = '\0';
}

/* What a process calls itself: all that is known of a program that may not be looked at. */
static void read_comm(const struct guard *g, pid_t pid, char *out, size_t size)
{
	char file[32];
	proc_path(file, sizeof file, pid, "/comm");
	const int comm = RETRY(openat(g->proc, file, O_RDONLY | O_CLOEXEC));
	const ssize_t n = comm < 0 ? 0 : RETRY(read(comm, out, size - 1));
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
	if (RETRY(fstatat(g->proc, link, &info, 0)) == 0) {
		if (guard_allows(g, &info))
			return true;
	} else if (errno == ENOENT || errno == ESRCH) {
		return false; /* somebody else killed it first: there is nothing to tell */
	}
	read_proc_link(g, link, path, sizeof path);
	if (path[0] == '\0')
		read_comm(g, pid, path, sizeof path);
	guard_deny(g, pid, true, path);
	return false;
}

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

/* At PTRACE_EVENT_SECCOMP: execve or execveat is about to run. */
static void before_exec(struct guard *g, pid_t pid)
{
	registers r;
	struct iovec part = {&r, sizeof r};
	if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &part) != 0)
		return;
	const struct call c = call_of(&r);
	if (guard_look(g, pid, &c) == REFUSED)
		refuse_call(pid, &r);
}

static bool is_job_control(int signal)
{
	return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

/* A listener announces its next execve(2), and those of its children: until then it is on its own. */
static void let_go(const struct guard *g, pid_t pid)
{
	ptrace(g->listener >= 0 ? PTRACE_DETACH : PTRACE_CONT, pid, NULL, 0);
}

bool guard_handle(struct guard *g, pid_t pid, int status)
{
	const int signal = WSTOPSIG(status);
	switch (status >> 16) {
	case 0:
		/* A signal on its way: deliver it. Or a child that nobody traces stopped for job control. */
		return ptrace(PTRACE_CONT, pid, NULL, (long)signal) == 0 || !is_job_control(signal);
	case PTRACE_EVENT_EXEC:
		guard_executed(g, pid);
		if (image_is_allowed(g, pid))
			let_go(g, pid);
		else
			kill(pid, SIGKILL);
		return true;
	case PTRACE_EVENT_SECCOMP:
		before_exec(g, pid);
		break;
	case PTRACE_EVENT_STOP:
		if (is_job_control(signal)) {
			ptrace(PTRACE_LISTEN, pid, NULL, 0); /* stay stopped until SIGCONT */
			return false;
		}
		break;
	default: /* fork, vfork, clone: the child is traced from its first instruction */
		break;
	}
	ptrace(PTRACE_CONT, pid, NULL, 0);
	return true;
}
