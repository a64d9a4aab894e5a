#include "pid1.h"
#include "cputime.h"
#include "guard.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

enum { MAX_TOLD = 64 };

/* What a workload's process tells pid 1 before it becomes the program: in a page that both see and exec(2) takes away. */
struct launch_record {
	uint32_t failed;
	struct failure failure;
};

struct workload {
	pid_t pid; /* 0: none */
	uint32_t sequence;
	bool last;
	bool reset; /* when it has ended */
	uint8_t *program;
	size_t program_size;
	int terminal; /* master side, or -1 */
	uint64_t started_ns;
	uint64_t cpu_before_ns;
	struct rusage usage_before;
	enum end_cause cause;
	bool running; /* it has become its program */
	uint64_t max_rss_bytes;
	uint64_t told[MAX_TOLD]; /* hashes of the paths that denials were sent for */
	unsigned told_count;
};

struct pid1 {
	struct channel control;
	uint32_t jail;
	uint32_t launch_sequence;
	struct machine *machine;
	uint8_t *buffer;
	int signals;
	int timer;
	unsigned cpus;
	struct launch_record *record;
	struct workload work;
	struct guard guard;
	/* Of a jail that is used again: SECTION_BEFORE renews what a workload may have left, SECTION_CHILD confines each one. */
	uint8_t *kept;
	size_t kept_size;
	uint32_t reset_sequence; /* while a reset runs */
	bool renewed;            /* no workload has run since the last reset */
};

/* There is nobody to report to, or the protocol is broken: the kernel ends every process of the jail with pid 1. */
static _Noreturn void end_jail(int status)
{
	_exit(status);
}

static void report(struct pid1 *p, enum frame_type type, uint32_t sequence, const void *payload, size_t size, int fd)
{
	if (frame_send(&p->control, type, sequence, p->jail, payload, size, fd) != 0)
		end_jail(1);
}

/* The descriptor that a workload's plan sends is its terminal's master side: kept, to be resized. */
static int send_descriptor(struct machine *m, int descriptor)
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

static int allow_program(struct machine *m, int descriptor)
{
	struct pid1 *p = m->owner;
	return guard_allow(&p->guard, descriptor);
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

static void on_denied(void *owner, const struct guard_denial *denial)
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

static void on_stopped(void *owner, pid_t pid, int signal)
{
	struct pid1 *p = owner;
	const struct stopped stopped = {.signal = (uint32_t)signal};
	if (pid == p->work.pid && p->work.terminal >= 0)
		report(p, FRAME_STOPPED, p->work.sequence, &stopped, sizeof stopped, -1);
}

/* CPU time of the jail in nanoseconds: the cgroup's where the program names one. */
static uint64_t cpu_now(struct pid1 *p)
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
 * (CPU_USAGE_SHARED) by up to a tick, differently each time: what would be less than nothing is nothing.
 */
static uint64_t cpu_used(struct pid1 *p)
{
	const uint64_t now = cpu_now(p);
	return now > p->work.cpu_before_ns ? now - p->work.cpu_before_ns : 0;
}

static void arm_timer(struct pid1 *p, uint64_t delay_ns)
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

/* Ends the workload at its limit, else sleeps until the earliest moment at which it could be there. */
static void check_limits(struct pid1 *p)
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

static void forget_workload(struct pid1 *p)
{
	struct machine *m = p->machine;
	machine_close_slots(m, m->program->first_slot);
	if (p->work.terminal >= 0)
		close(p->work.terminal);
	munmap(p->work.program, p->work.program_size);
	p->work = (struct workload){.terminal = -1};
}

static uint64_t microseconds(const struct timeval *after, const struct timeval *before)
{
	return (uint64_t)((after->tv_sec - before->tv_sec) * 1000000 + (after->tv_usec - before->tv_usec));
}

/* Renews what the last workload may have left. A jail in which that failed is not to be used again: it ends. */
static void reset(struct pid1 *p, uint32_t sequence)
{
	struct machine *m = p->machine;
	p->reset_sequence = sequence;
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

/* The workload has ended: ends whatever it left behind, then reports. */
static void finish(struct pid1 *p, int status)
{
	struct workload *w = &p->work;
	struct rusage usage;
	arm_timer(p, 0);
	do
		kill(-1, SIGKILL);
	while (RETRY(wait4(-1, NULL, __WALL, NULL)) > 0);
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
	machine_run_all(p->machine, SECTION_CLEANUP);
	const bool last = w->last, renew = w->reset;
	const uint32_t sequence = w->sequence;
	forget_workload(p);
	if (last)
		end_jail(0);
	if (renew)
		reset(p, sequence);
}

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

/* Ticks interrupt wait4(2), and nothing else in pid 1 minds: every call is repeated. */
static void receive_ticks(void)
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

static void reap(struct pid1 *p)
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

static void report_launch_failure(struct pid1 *p)
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

static bool seize_if_guarded(struct pid1 *p)
{
	if (p->guard.count == 0 || guard_seize(p->work.pid) == 0)
		return true;
	p->machine->failure = (struct failure){.section = SECTION_PARENT, .step = UINT32_MAX, .error = (uint32_t)errno};
	return false;
}

/* After SECTION_BEFORE: clones, runs SECTION_PARENT, lets go. False if that failed; machine->failure says why. */
static bool start_workload(struct pid1 *p)
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

/* The standard streams, then whatever else the program's steps use, go into the program's first slots. */
static bool take_descriptors(struct pid1 *p, struct frame *frame, unsigned count)
{
	const unsigned first_slot = p->machine->program->first_slot;
	if (first_slot + count > MAX_SLOTS)
		return false;
	for (unsigned i = 0; i < count; i++) {
		if (i < 3 && !descriptor_is_stdio(frame->descriptors[i]))
			return false;
		p->machine->slots[first_slot + i] = frame->descriptors[i];
		frame->descriptors[i] = -1;
	}
	return true;
}

static bool exec_request(struct pid1 *p, struct frame *frame)
{
	const int count = frame->header.descriptors - (frame->header.flags & FLAG_MEMFD ? 1 : 0);
	size_t size;
	if (p->work.program != NULL || count < 3 || ((frame->header.flags & FLAG_RESET) && p->kept == NULL))
		return false;
	/* What one program left is not for another one; but vmjail fetches files from there. */
	const bool errand = (frame->header.flags & FLAG_ERRAND) != 0;
	if (p->kept != NULL && !p->renewed && !errand)
		return false;
	p->renewed = p->renewed && errand;
	uint8_t *program = frame_program(&p->control, frame, &size);
	if (program == NULL)
		return false;
	p->work = (struct workload){.sequence = frame->header.sequence,
				    .last = (frame->header.flags & FLAG_LAST) != 0,
				    .reset = (frame->header.flags & FLAG_RESET) != 0,
				    .program = program,
				    .program_size = size,
				    .terminal = -1};
	machine_load(p->machine, program);
	if (!take_descriptors(p, frame, (unsigned)count))
		return false;
	if (!start_workload(p)) {
		report_launch_failure(p);
		return true;
	}
	machine_close_slots(p->machine, p->machine->program->first_slot);
	check_limits(p);
	return true;
}

/* The program for all later resets and workloads, in the place of any earlier one. */
static bool keep_request(struct pid1 *p, struct frame *frame)
{
	size_t size;
	if (p->work.program != NULL || frame->header.descriptors != (frame->header.flags & FLAG_MEMFD ? 1 : 0))
		return false;
	uint8_t *program = frame_program(&p->control, frame, &size);
	if (program == NULL)
		return false;
	if (p->kept != NULL)
		munmap(p->kept, p->kept_size);
	p->renewed = p->kept != NULL && p->renewed;
	p->kept = program;
	p->kept_size = size;
	return true;
}

static bool reset_request(struct pid1 *p, const struct frame *frame)
{
	if (p->kept == NULL || p->work.program != NULL || frame->size != 0 || frame->header.descriptors != 0)
		return false;
	if (!p->renewed || (frame->header.flags & FLAG_RESET))
		reset(p, frame->header.sequence);
	report(p, FRAME_READY, frame->header.sequence, NULL, 0, -1);
	return true;
}

static bool signal_request(struct pid1 *p, const struct frame *frame)
{
	struct signal_request request;
	if (frame->size != sizeof request || frame->header.descriptors != 0)
		return false;
	memcpy(&request, frame->payload, sizeof request);
	if (request.signal == 0 || request.signal > (uint32_t)SIGRTMAX)
		return false;
	if (request.everyone)
		kill(-1, (int)request.signal);
	else if (p->work.pid > 0 && kill(-p->work.pid, (int)request.signal) != 0)
		/* It has not made its process group yet. */
		kill(p->work.pid, (int)request.signal);
	return true;
}

static bool resize_request(struct pid1 *p, const struct frame *frame)
{
	struct resize_request request;
	if (frame->size != sizeof request || frame->header.descriptors != 0)
		return false;
	memcpy(&request, frame->payload, sizeof request);
	const struct winsize size = {.ws_row = request.rows, .ws_col = request.columns};
	if (p->work.terminal >= 0)
		ioctl(p->work.terminal, TIOCSWINSZ, &size);
	return true;
}

static bool serve(struct pid1 *p, struct frame *frame)
{
	switch (frame->header.type) {
	case FRAME_EXEC:
		return exec_request(p, frame);
	case FRAME_SIGNAL:
		return signal_request(p, frame);
	case FRAME_RESIZE:
		return resize_request(p, frame);
	case FRAME_KEEP:
		return keep_request(p, frame);
	case FRAME_RESET:
		return reset_request(p, frame);
	default:
		return false;
	}
}

static void serve_requests(struct pid1 *p)
{
	struct frame frame;
	for (;;) {
		switch (frame_receive(&p->control, p->buffer, &frame)) {
		case RECEIVE_NOTHING:
			return;
		case RECEIVED:
			break;
		case RECEIVE_END:
			end_jail(0);
		default:
			end_jail(1);
		}
		const bool served = serve(p, &frame);
		frame_close_descriptors(&frame);
		if (!served)
			end_jail(1);
	}
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
	p->guard.proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return p->signals >= 0 && p->timer >= 0 && p->guard.proc >= 0 && p->record != MAP_FAILED;
}

static void set_up(struct pid1 *p, const struct pid1_start *s)
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
	if (machine_run(s->machine, SECTION_CHILD) != 0) {
		report(p, FRAME_FAILED, s->sequence, &s->machine->failure, sizeof s->machine->failure, -1);
		end_jail(1);
	}
	keep_only_slots(s->machine);
	if (!open_event_sources(p))
		end_jail(1);
}

_Noreturn void pid1_main(const struct pid1_start *s)
{
	struct pid1 p = {.jail = s->jail, .launch_sequence = s->sequence, .machine = s->machine, .buffer = s->buffer, .work = {.terminal = -1}};
	p.control = (struct channel){.socket = s->control, .bound = true, .copies = s->inner};
	memcpy(p.control.token, s->token, TOKEN_SIZE);
	p.guard.denied = on_denied;
	p.guard.stopped = on_stopped;
	p.guard.owner = &p;
	s->machine->send_descriptor = send_descriptor;
	s->machine->allow_program = allow_program;
	s->machine->owner = &p;
	set_up(&p, s);
	if (p.guard.count > 0)
		receive_ticks();
	struct pollfd ready[3] = {{.fd = p.control.socket, .events = POLLIN},
				  {.fd = p.signals, .events = POLLIN},
				  {.fd = p.timer, .events = POLLIN}};
	for (;;) {
		uint64_t expirations;
		if (RETRY(poll(ready, 3, -1)) < 0)
			end_jail(1);
		if (ready[2].revents != 0 && read(p.timer, &expirations, sizeof expirations) > 0)
			check_limits(&p);
		if (ready[1].revents != 0)
			reap(&p);
		if (ready[0].revents != 0)
			serve_requests(&p);
	}
}
