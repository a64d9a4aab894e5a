#include "pid1-state.h"

#include <fcntl.h>
#include <string.h>

/* The descriptor that a workload's plan sends is its terminal's master side: kept, to be resized. */
int send_descriptor(struct machine *m, int descriptor)
{
	struct pid1 *p = m->owner;
	if (p->work.program != NULL && p->work.pid == 0 && p->work.terminal < 0 && isatty(descriptor)) {
		p->work.terminal = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
		if (p->work.terminal < 0)
			return -1;
	}
	const uint32_t idle = p->reset_sequence != 0 ? p->reset_sequence : p->launch_sequence;
	const uint32_t sequence = p->work.program != NULL ? p->work.sequence : idle;
	return frame_send(&p->control, FRAME_DESCRIPTOR, sequence, p->jail, NULL, 0, descriptor);
}

int allow_program(struct machine *m, int descriptor)
{
	struct pid1 *p = m->owner;
	return guard_allow(&p->guard, descriptor);
}

int watch_exec(struct machine *m, int listener)
{
	struct pid1 *p = m->owner;
	return guard_give(&p->guard, listener);
}

static uint64_t hash_of(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
	for (; *text != '\0'; text++)
		hash = (hash ^ (uint8_t)*text) * 0x100000001b3u;
	return hash;
}

/* A program that tries forever must not be able to fill the socket: each path is told once. */
static bool is_new(struct workload *w, const char *path)
{
	const uint64_t hash = hash_of(path);
	for (unsigned i = 0; i < w->told_count; i++)
		if (w->told[i] == hash)
			return false;
	if (w->told_count == MAX_TOLD)
		return false;
	w->told[w->told_count++] = hash;
	return true;
}

void on_denied(void *owner, const struct guard_denial *denial)
{
	struct pid1 *p = owner;
	const bool launching = denial->pid == p->work.pid && !p->work.running;
	struct denied denied = {.pid = (uint32_t)denial->pid, .killed = denial->killed, .launching = launching};
	if (denial->killed && denial->pid == p->work.pid)
		p->work.cause = CAUSE_DENIED;
	if (!launching && !is_new(&p->work, denial->path))
		return;
	memcpy(denied.path, denial->path, sizeof denied.path);
	frame_try_send(&p->control, FRAME_DENIED, p->work.sequence, p->jail, &denied, sizeof denied);
}

void on_stopped(struct pid1 *p, pid_t pid, int signal)
{
	const struct stopped stopped = {.signal = (uint32_t)signal};
	if (pid == p->work.pid && p->work.terminal >= 0)
		report(p, FRAME_STOPPED, p->work.sequence, &stopped, sizeof stopped, -1);
}
