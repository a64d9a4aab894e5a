#include "pid1.h"
#include "pid1-state.h"
#include "ticks.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

_Noreturn void end_jail(int status)
{
	_exit(status);
}

void report(struct pid1 *p, enum frame_type type, uint32_t sequence, const void *payload, size_t size, int fd)
{
	if (frame_send(&p->control, type, sequence, p->jail, payload, size, fd) != 0)
		end_jail(1);
}

static void keep_only_slots(struct machine *m)
{
	const uint8_t *keep = m->program->keep;
	for (unsigned i = 0; i < MAX_SLOTS; i++)
		if ((keep[i / 8] & (1u << i % 8)) == 0 && m->slots[i] >= 0) {
			close(m->slots[i]);
			m->slots[i] = -1;
		}
}

static void close_what_others_own(const struct pid1_start *s)
{
	int keep[MAX_SLOTS + 3];
	memcpy(keep, s->machine->slots, sizeof s->machine->slots);
	keep[MAX_SLOTS] = s->control;
	keep[MAX_SLOTS + 1] = s->hold.read;
	keep[MAX_SLOTS + 2] = s->hold.write;
	close_all_but(keep, MAX_SLOTS + 3);
}

static bool open_event_sources(struct pid1 *p)
{
	sigset_t children;
	cpu_set_t cpus;
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	p->signals = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
	p->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	p->cpus = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? (unsigned)CPU_COUNT(&cpus) : 1;
	p->record = mmap(NULL, sizeof *p->record, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return p->signals >= 0 && p->timer >= 0 && p->record != MAP_FAILED;
}

void set_up(struct pid1 *p, uint32_t sequence)
{
	struct machine *m = p->machine;
	if (machine_run(m, SECTION_CHILD) != 0) {
		report(p, FRAME_FAILED, sequence, &m->failure, sizeof m->failure, -1);
		end_jail(1);
	}
	keep_only_slots(m);
	p->unfinished = m->program->unfinished;
	if (p->unfinished)
		return;
	/* The jail's own, which is mounted now. */
	p->guard.proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (p->guard.proc < 0)
		end_jail(1);
	if (p->guard.count == 0)
		return;
	if (!ticks_receive() || !guard_open(&p->guard))
		end_jail(1);
}

static void begin(struct pid1 *p, const struct pid1_start *s)
{
	struct hold hold = s->hold;
	close_what_others_own(s);
	if (!s->inner && (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || !hold_wait(&hold)))
		end_jail(1);
	/* Nobody inside may trace pid 1 or read its memory, also where it has no more rights than they. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		end_jail(1);
	s->machine->pid = getpid();
	if (s->machine->pid != 1) {
		/* It ends workloads by killing everybody it can see: that must be its own namespace's processes only. */
		s->machine->failure = (struct failure){.section = SECTION_CHILD, .step = UINT32_MAX, .error = EINVAL};
		report(p, FRAME_FAILED, s->sequence, &s->machine->failure, sizeof s->machine->failure, -1);
		end_jail(1);
	}
	set_up(p, s->sequence);
	if (!open_event_sources(p))
		end_jail(1);
}

_Noreturn void pid1_main(const struct pid1_start *s)
{
	struct pid1 p = {.inner = s->inner, .jail = s->jail, .launch_sequence = s->sequence, .machine = s->machine, .buffer = s->buffer, .work = {.terminal = -1}};
	p.control = (struct channel){.socket = s->control, .bound = true, .copies = s->inner};
	memcpy(p.control.token, s->token, TOKEN_SIZE);
	p.guard.denied = on_denied;
	p.guard.listener = p.guard.door[0] = p.guard.door[1] = -1;
	p.guard.owner = &p;
	s->machine->send_descriptor = send_descriptor;
	s->machine->allow_program = allow_program;
	s->machine->watch_exec = watch_exec;
	s->machine->owner = &p;
	begin(&p, s);
	struct pollfd ready[5] = {{.fd = p.control.socket, .events = POLLIN},
				  {.fd = p.signals, .events = POLLIN},
				  {.fd = p.timer, .events = POLLIN},
				  {.fd = p.guard.door[0], .events = POLLIN},
				  {.events = POLLIN}};
	for (;;) {
		uint64_t expirations;
		prepare_waiting(&p);
		ready[4].fd = p.guard.waits ? -1 : p.guard.listener;
		if (RETRY(poll(ready, 5, p.guard.waits ? 1 : -1)) < 0)
			end_jail(1);
		if (ready[2].revents != 0 && read(p.timer, &expirations, sizeof expirations) > 0)
			check_limits(&p);
		if (ready[1].revents != 0)
			reap(&p);
		if (ready[3].revents != 0)
			guard_take(&p.guard);
		if (ready[4].revents != 0 || p.guard.waits)
			guard_serve(&p.guard, ready[4].revents);
		reap_expected(&p);
		if (ready[0].revents != 0)
			serve_requests(&p);
	}
}
