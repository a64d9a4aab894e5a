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
		if (machine_run(m, SECTION_CHILD) != 0 || machine_run(m, SECTION_EXEC) != 0) {
			m->failure.section |= SECTION_OF_KEPT;
			return;
		}
		machine_load(m, p->work.program);
	}
	if (machine_run(m, SECTION_EXEC) == 0)
		m->failure = (struct failure){.section = SECTION_EXEC, .step = UINT32_MAX, .error = EINVAL};
}

bool begin_process(struct pid1 *p, struct hold *hold)
{
	if (!hold_wait(hold))
		return false;
	p->machine->pid = getpid();
	/* Else its own files in /proc would be the host's root's, and it asks there for its profile at exec (AppArmor, SELinux). */
	if (!p->inner)
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	return true;
}

_Noreturn void give_up(struct pid1 *p)
{
	p->record->failure = p->machine->failure;
	p->record->failed = 1;
	_exit(127);
}

/* In the workload's process: becomes the program, or leaves a record of why not. Never returns. */
static void become_program(struct pid1 *p, struct hold *hold)
{
	if (!begin_process(p, hold))
		_exit(127);
	run_child(p);
	give_up(p);
}

/*
 * In gVisor a copy of pid 1 takes as long as the rest of a start. So a child that is about to execute, and for which nothing
 * is to be done meanwhile, has pid 1's own memory until then, and pid 1 stands still: vfork(2). Nobody may trace either.
 */
static bool may_borrow_memory(const struct pid1 *p)
{
	const struct program *program = p->machine->program;
	return p->inner && program->sections[SECTION_EXEC].count > 0 && program->sections[SECTION_PARENT].count == 0 &&
	       p->guard.count == 0 && program->clone_flags == 0 && program->cgroup_slot == NO_SLOT;
}

/* As become_program, but in pid 1's memory: what it keeps of its machine is put back. Its id, or -1 and errno. */
static pid_t borrow_memory(struct pid1 *p)
{
	const struct machine before = *p->machine;
	struct hold hold = {-1, -1};
	const pid_t pid = vfork();
	if (pid == 0)
		become_program(p, &hold);
	*p->machine = before;
	return pid;
}

static bool seize_if_guarded(struct pid1 *p, pid_t pid)
{
	if (p->guard.count == 0 || guard_seize(pid) == 0)
		return true;
	p->machine->failure = (struct failure){.section = SECTION_PARENT, .step = UINT32_MAX, .error = (uint32_t)errno};
	return false;
}

static pid_t not_cloned(struct pid1 *p, struct hold *hold)
{
	p->machine->failure = (struct failure){.section = SECTION_PARENT, .step = UINT32_MAX, .error = (uint32_t)errno};
	hold_close(hold);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	return -1;
}

pid_t start_process(struct pid1 *p, become *become)
{
	struct machine *m = p->machine;
	struct hold hold = {-1, -1};
	/* Where there is nothing to do for the child it need not wait: two switches between processes less. */
	const bool held = m->program->sections[SECTION_PARENT].count > 0 || p->guard.count > 0;
	const bool borrowed = become == become_program && may_borrow_memory(p);
	*p->record = (struct launch_record){0};
	/*
	 * Until its exec the child's memory counts as the host's user namespace's, and only where it is dumpable may pid 1
	 * trace it and map its ids. There is no other process in the jail now that could use that.
	 */
	if (held)
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	if (held && !hold_open(&hold))
		return not_cloned(p, &hold);
	const pid_t pid = borrowed ? borrow_memory(p) : machine_clone(m, 0);
	if (pid < 0)
		return not_cloned(p, &hold);
	if (pid == 0) {
		become(p, &hold);
		_exit(127);
	}
	/* Before the child is let go: from then on there may be others. */
	if (held && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		end_jail(1);
	m->pid = pid;
	if (machine_run(m, SECTION_PARENT) != 0 || !seize_if_guarded(p, pid)) {
		p->record->failure = m->failure;
		p->record->failed = 1;
		kill(pid, SIGKILL);
		hold_close(&hold);
		return pid;
	}
	hold_release(&hold);
	return pid;
}

void start_clocks(struct pid1 *p)
{
	const struct program *program = p->machine->program;
	getrusage(RUSAGE_CHILDREN, &p->work.usage_before);
	if (program->cpu_limit_ns != 0 || program->cpu_usage_slot != NO_SLOT)
		p->work.cpu_before_ns = cpu_now(p);
	p->work.started_ns = monotonic_ns();
}

bool start_workload(struct pid1 *p)
{
	if (machine_run(p->machine, SECTION_BEFORE) != 0)
		return false;
	start_clocks(p);
	const pid_t pid = start_process(p, become_program);
	p->work.pid = pid < 0 ? 0 : pid;
	return pid >= 0;
}
