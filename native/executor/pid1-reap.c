#include "pid1-state.h"
#include "ticks.h"

#include <poll.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

/* One report of wait4(2). */
static void take(struct pid1 *p, pid_t pid, int status, const struct rusage *usage)
{
	if (WIFSTOPPED(status)) {
		p->work.running |= pid == p->work.pid && status >> 16 == PTRACE_EVENT_EXEC;
		if (p->guard.count == 0 || !guard_handle(&p->guard, pid, status))
			on_stopped(p, pid, WSTOPSIG(status));
		return;
	}
	guard_died(&p->guard, pid);
	if (pid == p->work.pid) {
		p->work.max_rss_bytes = (uint64_t)usage->ru_maxrss * 1024;
		finish(p, status);
	} else if (pid == p->waiting.pid) {
		forget_waiting(p);
	}
}

static bool is_asked(const struct pid1 *p)
{
	struct pollfd ready[2] = {{.fd = p->control.socket, .events = POLLIN}, {.fd = p->timer, .events = POLLIN}};
	return RETRY(poll(ready, 2, 0)) > 0;
}

/* Waits in wait4(2) for one report after the other, until a tick or the end of the workload. Were there any? */
static bool wait_until_tick(struct pid1 *p, bool (*more)(const struct pid1 *))
{
	struct rusage usage;
	int status;
	pid_t pid;
	bool any = false;
	ticks_keep();
	while (!ticks_came() && more(p) && (pid = wait4(-1, &status, WUNTRACED | __WALL, &usage)) > 0) {
		any = true;
		take(p, pid, status, &usage);
	}
	return any;
}

static bool is_traced(const struct pid1 *p)
{
	return p->guard.count > 0 && p->guard.listener < 0 && p->work.pid > 0;
}

static bool is_expected(const struct pid1 *p)
{
	return p->guard.expected != 0;
}

/*
 * Where programs start and end one after the other, each stop that goes through poll(2) and a signalfd costs them half as
 * much again. So as long as there are stops, wait4(2) itself waits for the next; at every tick others get a turn.
 */
static void follow(struct pid1 *p)
{
	while (is_traced(p) && !is_asked(p) && wait_until_tick(p, is_traced))
		;
}

void reap(struct pid1 *p)
{
	struct signalfd_siginfo info;
	struct rusage usage;
	int status;
	pid_t pid;
	if (read(p->signals, &info, sizeof info) < 0 && errno != EAGAIN)
		end_jail(1);
	while ((pid = RETRY(wait4(-1, &status, WNOHANG | WUNTRACED | __WALL, &usage))) > 0)
		take(p, pid, status, &usage);
	follow(p);
}

void reap_expected(struct pid1 *p)
{
	if (!is_expected(p))
		return;
	wait_until_tick(p, is_expected);
	guard_give_up(&p->guard);
	reap(p); /* what was told of the stop by signal as well */
}
