#include "pid1-state.h"
#include "ticks.h"

#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

static void forget_workload(struct pid1 *p)
{
	struct machine *m = p->machine;
	machine_close_slots(m, m->program->first_slot);
	if (p->work.terminal >= 0)
		close(p->work.terminal);
	guard_forget(&p->guard);
	munmap(p->work.program, p->work.program_size);
	p->work = (struct workload){.terminal = -1};
}

static uint64_t microseconds(const struct timeval *after, const struct timeval *before)
{
	return (uint64_t)((after->tv_sec - before->tv_sec) * 1000000 + (after->tv_usec - before->tv_usec));
}

void reset(struct pid1 *p, uint32_t sequence)
{
	struct machine *m = p->machine;
	dismiss_waiting(p);
	p->reset_sequence = sequence;
	remove_shared_memory();
	machine_load(m, p->kept);
	if (machine_run(m, SECTION_BEFORE) != 0) {
		m->failure.section |= SECTION_OF_KEPT;
		report(p, FRAME_FAILED, sequence, &m->failure, sizeof m->failure, -1);
		end_jail(1);
	}
	machine_close_slots(m, m->program->first_slot);
	p->reset_sequence = 0;
	p->renewed = true;
}

/* What the kernel counted for this workload, behind `exited` in the buffer; returns the size of both. */
static size_t account(struct pid1 *p, const struct exited *exited)
{
	struct machine *m = p->machine;
	memcpy(p->buffer, exited, sizeof *exited);
	if (p->kept == NULL)
		return sizeof *exited;
	m->reports = p->buffer + sizeof *exited;
	m->reports_size = MAX_REPORT;
	m->reports_used = 0;
	machine_load(m, p->kept);
	machine_run_all(m, SECTION_ACCOUNT);
	machine_load(m, p->work.program);
	m->reports = NULL;
	return sizeof *exited + m->reports_used;
}

/* Everybody is a child of pid 1, or will be one: without children it is alone, and need not look at every process there is. */
static void end_others(void)
{
	if (RETRY(wait4(-1, NULL, WNOHANG | __WALL, NULL)) < 0 && errno == ECHILD)
		return;
	do
		kill(-1, SIGKILL);
	while (RETRY(wait4(-1, NULL, __WALL, NULL)) > 0);
}

void finish(struct pid1 *p, int status)
{
	struct workload *w = &p->work;
	struct rusage usage;
	arm_timer(p, 0);
	ticks_stop();
	end_others();
	getrusage(RUSAGE_CHILDREN, &usage);
	const struct exited exited = {
		.status = (uint32_t)status,
		.cause = w->cause,
		.user_us = microseconds(&usage.ru_utime, &w->usage_before.ru_utime),
		.system_us = microseconds(&usage.ru_stime, &w->usage_before.ru_stime),
		.max_rss_bytes = w->max_rss_bytes,
		.wall_ns = monotonic_ns() - w->started_ns,
		.cgroup_cpu_ns = p->machine->program->cpu_usage_slot == NO_SLOT ? 0 : cpu_used(p),
	};
	if (p->record->failed)
		report(p, FRAME_FAILED, w->sequence, &p->record->failure, sizeof p->record->failure, -1);
	else
		report(p, FRAME_EXITED, w->sequence, p->buffer, account(p, &exited), -1);
	/* The scheduler expects us to sleep now, and may have put vmjail behind us on this processor for all of the renewal. */
	if (w->reset)
		sched_yield();
	machine_run_all(p->machine, SECTION_CLEANUP);
	const bool last = w->last, renew = w->reset;
	const uint32_t sequence = w->sequence;
	forget_workload(p);
	if (last)
		end_jail(0);
	if (renew)
		reset(p, sequence);
}

void report_launch_failure(struct pid1 *p)
{
	const bool last = p->work.last, renew = p->work.reset;
	const uint32_t sequence = p->work.sequence;
	report(p, FRAME_FAILED, sequence, &p->machine->failure, sizeof p->machine->failure, -1);
	forget_workload(p);
	if (last)
		end_jail(0);
	if (renew)
		reset(p, sequence);
}
