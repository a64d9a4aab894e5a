#include "pid1-state.h"
#include "cputime.h"

#include <signal.h>
#include <sys/timerfd.h>

uint64_t cpu_now(struct pid1 *p)
{
	const struct program *program = p->machine->program;
	uint64_t ns;
	if (program->cpu_usage_slot != NO_SLOT &&
	    cputime_of_cgroup(p->machine->slots[program->cpu_usage_slot], program->cpu_usage_format, &ns))
		return ns;
	return cputime_of_processes();
}

/*
 * Of the program that runs, in nanoseconds. A group's usage lags behind the clock of pid 1 that is taken off it
 * (CPU_USAGE_SHARED) by up to a tick, differently each time, and pid 1 has used some before it was in the group: either figure
 * may be less than nothing. Their difference counts, which is nothing where it is less than that.
 */
uint64_t cpu_used(struct pid1 *p)
{
	const int64_t used = (int64_t)(cpu_now(p) - p->work.cpu_before_ns);
	return used > 0 ? (uint64_t)used : 0;
}

void arm_timer(struct pid1 *p, uint64_t delay_ns)
{
	const struct itimerspec when = {
		.it_value = {.tv_sec = (time_t)(delay_ns / 1000000000u), .tv_nsec = (long)(delay_ns % 1000000000u)}};
	if (timerfd_settime(p->timer, 0, &when, NULL) != 0)
		end_jail(1);
}

static uint64_t min_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void check_limits(struct pid1 *p)
{
	const uint64_t shortest_ns = 1000000;
	const struct program *program = p->machine->program;
	uint64_t delay = UINT64_MAX;
	if (p->work.pid == 0 || p->work.cause != CAUSE_NONE)
		return;
	if (program->wall_limit_ns != 0) {
		const uint64_t used = monotonic_ns() - p->work.started_ns;
		if (used >= program->wall_limit_ns)
			p->work.cause = CAUSE_WALL;
		else
			delay = program->wall_limit_ns - used;
	}
	if (program->cpu_limit_ns != 0 && p->work.cause == CAUSE_NONE) {
		const uint64_t used = cpu_used(p);
		if (used >= program->cpu_limit_ns)
			p->work.cause = CAUSE_CPU;
		else
			delay = min_of(delay, (program->cpu_limit_ns - used) / p->cpus);
	}
	if (p->work.cause != CAUSE_NONE)
		kill(-1, SIGKILL);
	else if (delay != UINT64_MAX)
		arm_timer(p, delay < shortest_ns ? shortest_ns : delay);
}
