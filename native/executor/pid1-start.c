#include "pid1-state.h"

#include <signal.h>
#include <sys/prctl.h>

/* Runs what makes the workload's process the program; returns only if that failed, which machine->failure then tells. */
static void run_child(struct pid1 *p)
{
	struct machine *m = p->machine;
	if (machine_run(m, SECTION_CHILD) != 0)
		return;
	if (p->kept != NULL) {
		machine_load(m, p->kept);
		if (machine_run(m, SECTION_CHILD) != 0) {
			m->failure.section |= SECTION_OF_KEPT;
			return;
		}
		machine_load(m, p->work.program);
	}
	if (machine_run(m, SECTION_EXEC) == 0)
		m->failure = (struct failure){.section = SECTION_EXEC, .step = UINT32_MAX, .error = EINVAL};
}

/* In the workload's process: becomes the program, or leaves a record of why not. Never returns. */
static _Noreturn void become_program(struct pid1 *p, struct hold *hold)
{
	struct machine *m = p->machine;
	if (!hold_wait(hold))
		_exit(127);
	m->pid = getpid();
	/* Else its own files in /proc would be the host's root's, and it asks there for its profile at exec (AppArmor, SELinux). */
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	run_child(p);
	p->record->failure = m->failure;
	p->record->failed = 1;
	_exit(127);
}

static bool seize_if_guarded(struct pid1 *p)
{
	if (p->guard.count == 0 || guard_seize(p->work.pid) == 0)
		return true;
	p->machine->failure = (struct failure){.section = SECTION_PARENT, .step = UINT32_MAX, .error = (uint32_t)errno};
	return false;
}

bool start_workload(struct pid1 *p)
{
	struct machine *m = p->machine;
	struct hold hold = {-1, -1};
	/* Where there is nothing to do for the child it need not wait: two switches between processes less. */
	const bool held = m->program->sections[SECTION_PARENT].count > 0 || p->guard.count > 0;
	if (machine_run(m, SECTION_BEFORE) != 0)
		return false;
	*p->record = (struct launch_record){0};
	getrusage(RUSAGE_CHILDREN, &p->work.usage_before);
	if (m->program->cpu_limit_ns != 0 || m->program->cpu_usage_slot != NO_SLOT)
		p->work.cpu_before_ns = cpu_now(p);
	p->work.started_ns = monotonic_ns();
	/*
	 * Until its exec the child's memory counts as the host's user namespace's, and only where it is dumpable may pid 1
	 * trace it and map its ids. There is no other process in the jail now that could use that.
	 */
	if (held)
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	if ((held && !hold_open(&hold)) || (p->work.pid = machine_clone(m, 0)) < 0) {
		m->failure = (struct failure){.section = SECTION_PARENT, .step = UINT32_MAX, .error = (uint32_t)errno};
		p->work.pid = 0;
		hold_close(&hold);
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
		return false;
	}
	if (p->work.pid == 0)
		become_program(p, &hold);
	/* Before the child is let go: from then on there may be others. */
	if (held && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		end_jail(1);
	m->pid = p->work.pid;
	if (machine_run(m, SECTION_PARENT) != 0 || !seize_if_guarded(p)) {
		p->record->failure = m->failure;
		p->record->failed = 1;
		kill(p->work.pid, SIGKILL);
		hold_close(&hold);
		return true;
	}
	hold_release(&hold);
	return true;
}
