#include "pid1-state.h"

#include <poll.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <sys/wait.h>

/* One report of wait4(2). */
static void take(struct pid1 *p, pid_t pid, int status, const struct rusage *usage)
{
	if (WIFSTOPPED(status)) {
		p->work.running |= pid == p->work.pid && status >> 16 == PTRACE_EVENT_EXEC;
		if (p->guard.count > 0)
			guard_handle(&p->guard, pid, status);
		else
			on_stopped(p, pid, WSTOPSIG(status));
	} else if (pid == p->work.pid) {
		p->work.max_rss_bytes = (uint64_t)usage->ru_maxrss * 1024;
		finish(p, status);
	} else if (pid == p->waiting.pid) {
		forget_waiting(p);
	}
}

static volatile sig_atomic_t ticked;

static void on_tick(int signal)
{
	(void)signal;
	ticked = 1;
}

static void set_ticks(suseconds_t microseconds)
{
	const struct itimerval every = {{0, microseconds}, {0, microseconds}};
	setitimer(ITIMER_REAL, &every, NULL);
}

void receive_ticks(void)
{
	const struct sigaction action = {.sa_handler = on_tick};
	sigset_t alarm;
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	if (sigaction(SIGALRM, &action, NULL) != 0 || sigprocmask(SIG_UNBLOCK, &alarm, NULL) != 0)
		end_jail(1);
}

static bool is_asked(const struct pid1 *p)
{
	struct pollfd ready[2] = {{.fd = p->control.socket, .events = POLLIN}, {.fd = p->timer, .events = POLLIN}};
	return RETRY(poll(ready, 2, 0)) > 0;
}

/*
 * Where programs start and end one after the other, each stop that goes through poll(2) and a signalfd costs them half as
 * much again. So as long as there are stops, wait4(2) itself waits for the next; every two milliseconds others get a turn.
 */
static void follow(struct pid1 *p)
{
	const suseconds_t turn_us = 2000;
	struct rusage usage;
	int status;
	pid_t pid;
	bool busy = true;
	set_ticks(turn_us);
	while (busy && p->work.pid > 0 && !is_asked(p)) {
		ticked = busy = 0;
		while (!ticked && p->work.pid > 0 && (pid = wait4(-1, &status, WUNTRACED | __WALL, &usage)) > 0) {
			busy = true;
			take(p, pid, status, &usage);
		}
	}
	set_ticks(0);
}

void reap(struct pid1 *p)
{
	struct signalfd_siginfo info;
	struct rusage usage;
	int status;
	pid_t pid;
	while (read(p->signals, &info, sizeof info) > 0)
		;
	while ((pid = RETRY(wait4(-1, &status, WNOHANG | WUNTRACED | __WALL, &usage))) > 0)
		take(p, pid, status, &usage);
	if (p->guard.count > 0 && p->work.pid > 0)
		follow(p);
}
