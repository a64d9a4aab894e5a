/* Where a seccomp listener announces each execve(2): the caller is traced from then until its new program is looked at. */
#include "guard-parts.h"
#include "ticks.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif
#ifndef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP 1
#endif

bool guard_open(struct guard *g)
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, g->door) == 0;
}

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

int guard_give(struct guard *g, int listener)
{
	union control control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct iovec part = {"", 1};
	const struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	memcpy(CMSG_DATA(&control.header), &listener, sizeof listener);
	return RETRY(sendmsg(g->door[1], &message, 0)) == 1 ? 0 : -1;
}

/* -1: there is none. */
static int receive_listener(int socket)
{
	union control control;
	char byte;
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	int listener = -1;
	if (RETRY(recvmsg(socket, &message, MSG_CMSG_CLOEXEC)) != 1)
		return -1;
	const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	if (header != NULL && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&listener, CMSG_DATA(header), sizeof listener);
	return listener;
}

static void close_listener(struct guard *g)
{
	if (g->listener >= 0)
		close(g->listener);
	g->listener = -1;
	g->waits = false;
	g->expected = g->lowered = g->doubtful = 0;
}

void guard_take(struct guard *g)
{
	int listener;
	while ((listener = receive_listener(g->door[0])) >= 0) {
		close_listener(g);
		g->listener = listener;
		/* A faster hand-over where the kernel has it (Linux 6.6). */
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	}
}

void guard_forget(struct guard *g)
{
	if (g->count > 0)
		guard_take(g);
	close_listener(g);
}

/* Is pid 1 its tracer? Nobody else may trace, but then it is not us who will see its next program. */
static bool is_traced(const struct guard *g, pid_t pid)
{
	char file[32], status[1024];
	proc_path(file, sizeof file, pid, "/status");
	const int descriptor = RETRY(openat(g->proc, file, O_RDONLY | O_CLOEXEC));
	const ssize_t n = descriptor < 0 ? 0 : RETRY(read(descriptor, status, sizeof status - 1));
	if (descriptor >= 0)
		close(descriptor);
	status[n > 0 ? n : 0] = '\0';
	return strstr(status, "\nTracerPid:\t1\n") != NULL;
}

/* 0, an error, or EINTR at a tick. */
static int seize(pid_t pid)
{
	sigjmp_buf away;
	if (sigsetjmp(away, 0) != 0) {
		ticks_jump(NULL);
		return EINTR;
	}
	ticks_keep();
	ticks_jump(&away);
	const int error = ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL) == 0 ? 0 : errno;
	ticks_jump(NULL);
	return error;
}

enum followed { FOLLOWED, LATER, NEVER };

/*
 * The caller's next program will stop before its first instruction.
 *
 * Attaching waits for a mutex that another thread of the caller holds while it executes a program, and that thread waits for
 * the end of all the others: those which are traced end only when pid 1 collects them. So pid 1 does not wait for long.
 */
static enum followed follow_exec(const struct guard *g, pid_t pid)
{
	switch (seize(pid)) {
	case 0:
		return FOLLOWED;
	case EINTR:
		return LATER;
	case EPERM: /* its last execve failed: it is still attached */
		return is_traced(g, pid) ? FOLLOWED : NEVER;
	default:
		return NEVER;
	}
}

static struct call call_of(const struct seccomp_data *data)
{
	if (data->nr == SYS_execveat)
		return (struct call){(unsigned long)data->args[1], (int)data->args[0]};
	return (struct call){(unsigned long)data->args[0], AT_FDCWD};
}

static void answer(const struct guard *g, int error)
{
	const struct seccomp_notif_resp response = {
		.id = g->call.id, .error = -error, .flags = error == 0 ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0};
	/* ENOENT: the caller died meanwhile. */
	RETRY(ioctl(g->listener, SECCOMP_IOCTL_NOTIF_SEND, &response));
}

static bool schedule_as(pid_t pid, int policy)
{
	const struct sched_param none = {0};
	return sched_setscheduler(pid, policy, &none) == 0;
}

/* Under the id that it has by now. */
static void restore(struct guard *g, pid_t pid)
{
	if (g->lowered != 0 && (schedule_as(pid, SCHED_OTHER) || errno != ESRCH))
		g->lowered = 0;
}

/*
 * Between the two looks the caller gives way to pid 1 (SCHED_BATCH: it does not preempt). Else it goes on before pid 1 is
 * asleep again, its execve(2) finds its processor shared, and moves it to another one: that costs more than both looks.
 */
static void expect_exec(struct guard *g, pid_t pid)
{
	g->expected = pid;
	if (g->doubtful == pid)
		g->doubtful = 0;
	if (g->lowered == 0 && sched_getscheduler(pid) == SCHED_OTHER && schedule_as(pid, SCHED_BATCH))
		g->lowered = pid;
}

void guard_executed(struct guard *g, pid_t pid)
{
	unsigned long before = 0;
	if (g->expected == 0 && g->lowered == 0 && g->doubtful == 0)
		return;
	if (g->expected != pid || g->lowered != pid)
		ptrace(PTRACE_GETEVENTMSG, pid, NULL, &before);
	if (g->expected == pid || g->expected == (pid_t)before)
		g->expected = 0;
	if (g->doubtful != 0 && (g->doubtful == pid || g->doubtful == (pid_t)before)) {
		schedule_as(pid, SCHED_OTHER);
		g->doubtful = 0;
	}
	if (g->lowered == pid || g->lowered == (pid_t)before)
		restore(g, pid);
}

void guard_died(struct guard *g, pid_t pid)
{
	if (g->expected == pid)
		g->expected = 0;
	if (g->lowered == pid)
		g->lowered = 0;
}

void guard_give_up(struct guard *g)
{
	g->expected = 0;
	if (g->lowered == 0)
		return;
	/* In the middle of a thread's execve its id is that of the process's first thread, which is no more. */
	g->doubtful = g->lowered;
	restore(g, g->lowered);
}

/* The look before; then, if the call may be made, the way to the look after. */
static void judge(struct guard *g)
{
	const pid_t pid = (pid_t)g->call.pid;
	const struct call c = call_of(&g->call.data);
	const enum look look = guard_look(g, pid, &c);
	if (look == REFUSED) {
		answer(g, EACCES);
		return;
	}
	const enum followed followed = follow_exec(g, pid);
	g->waits = followed == LATER;
	if (g->waits)
		return;
	/* Whoever has died meanwhile was not refused. */
	if (followed == NEVER && RETRY(ioctl(g->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &g->call.id)) == 0)
		guard_refuse_unseen(g, pid, &c);
	if (followed == FOLLOWED && look == ALLOWED)
		expect_exec(g, pid);
	answer(g, followed == FOLLOWED ? 0 : EACCES);
}

void guard_serve(struct guard *g, short events)
{
	if (g->waits) {
		judge(g);
		return;
	}
	/* The end: no process has the filter any more. Receiving would wait for ever then (before Linux 6.11). */
	if ((events & ~POLLIN) != 0) {
		close_listener(g);
		return;
	}
	memset(&g->call, 0, sizeof g->call);
	if ((events & POLLIN) != 0 && ioctl(g->listener, SECCOMP_IOCTL_NOTIF_RECV, &g->call) == 0)
		judge(g);
}
