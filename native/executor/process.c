#include "process.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>

bool hold_open(struct hold *h)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return false;
	h->read = ends[0];
	h->write = ends[1];
	return true;
}

static void close_end(int *end)
{
	if (*end >= 0)
		close(*end);
	*end = -1;
}

bool hold_wait(struct hold *h)
{
	char go = 0;
	if (h->read < 0)
		return true;
	close_end(&h->write);
	const ssize_t n = RETRY(read(h->read, &go, 1));
	close_end(&h->read);
	return n == 1;
}

void hold_release(struct hold *h)
{
	if (h->write < 0)
		return;
	/* The child may be dead already: its end says so elsewhere. SIGPIPE is blocked. */
	if (RETRY(write(h->write, "", 1)) < 0)
		errno = 0;
	hold_close(h);
}

void hold_close(struct hold *h)
{
	close_end(&h->read);
	close_end(&h->write);
}

pid_t machine_clone(struct machine *m, uint64_t flags)
{
	/* With CLONE_PARENT the exit signal is the caller's own. */
	struct clone_args args = {.flags = m->program->clone_flags | flags, .exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD};
	if (m->program->cgroup_slot != NO_SLOT) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)m->slots[m->program->cgroup_slot];
	}
	return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}
