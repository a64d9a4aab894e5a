#include "zygote.h"
#include "frames.h"
#include "pid1.h"
#include "probe.h"
#include "process.h"

#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct jail {
	struct jail *next;
	uint32_t id;
	uint32_t sequence;
	pid_t pid;
	uint8_t *program;
	size_t program_size;
	struct machine machine;
};

struct zygote {
	struct channel channel;
	int signals;
	struct jail *jails;
};

static uint8_t frame_buffer[MAX_FRAME] __attribute__((aligned(8)));
static uint8_t report_buffer[sizeof(struct ended) + MAX_REPORT] __attribute__((aligned(8)));

static int refuse_descriptor(struct machine *m, int descriptor)
{
	(void)m;
	(void)descriptor;
	errno = EOPNOTSUPP;
	return -1;
}

static struct jail *jail_new(struct zygote *z, struct frame *frame)
{
	struct jail *j = mmap(NULL, sizeof *j, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (j == MAP_FAILED)
		return NULL;
	j->program = frame_program(&z->channel, frame, &j->program_size);
	if (j->program == NULL) {
		munmap(j, sizeof *j);
		return NULL;
	}
	j->id = frame->header.jail;
	j->sequence = frame->header.sequence;
	j->machine.send_descriptor = refuse_descriptor;
	j->machine.allow_program = refuse_descriptor;
	j->machine.watch_exec = refuse_descriptor;
	memset(j->machine.slots, -1, sizeof j->machine.slots);
	machine_load(&j->machine, j->program);
	j->next = z->jails;
	z->jails = j;
	return j;
}

static void jail_free(struct zygote *z, struct jail *j)
{
	for (struct jail **at = &z->jails; *at != NULL; at = &(*at)->next)
		if (*at == j) {
			*at = j->next;
			break;
		}
	machine_close_slots(&j->machine, 0);
	munmap(j->program, j->program_size);
	munmap(j, sizeof *j);
}

static void report_failure(struct zygote *z, const struct jail *j)
{
	frame_send(&z->channel, FRAME_FAILED, j->sequence, j->id, &j->machine.failure, sizeof j->machine.failure, -1);
}

/* The jail has no process any more: measure, clean up, report, forget. */
static void jail_end(struct zygote *z, struct jail *j, int status)
{
	struct ended ended = {.status = (uint32_t)status};
	j->machine.reports = report_buffer + sizeof ended;
	j->machine.reports_size = MAX_REPORT;
	j->machine.reports_used = 0;
	machine_run_all(&j->machine, SECTION_ACCOUNT);
	ended.cleanup_failures = machine_run_all(&j->machine, SECTION_CLEANUP);
	if (ended.cleanup_failures > 0)
		ended.cleanup = j->machine.failure;
	memcpy(report_buffer, &ended, sizeof ended);
	frame_send(&z->channel, FRAME_ENDED, j->sequence, j->id, report_buffer, sizeof ended + j->machine.reports_used, -1);
	jail_free(z, j);
}

/* The open user namespace of the jail that a program names as its parent; -1 if there is none. */
static int namespace_of(const struct zygote *z, const struct program *program)
{
	for (const struct jail *j = z->jails; j != NULL; j = j->next)
		if (j->id == program->parent_jail && j->pid > 0 && program->parent_slot != NO_SLOT)
			return j->machine.slots[program->parent_slot];
	return -1;
}

static bool is_control_socket(int descriptor)
{
	int type = 0;
	socklen_t size = sizeof type;
	return getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

static struct failure clone_failure(void)
{
	return (struct failure){.section = SECTION_PARENT, .step = UINT32_MAX, .error = (uint32_t)errno};
}

/* What the go-between of a launch below another jail's user namespace found; in a page that it shares with the zygote. */
struct go_between {
	pid_t pid;
	struct failure failure; /* error 0: none */
};

/*
 * In the go-between: enters the other jail's user namespace, which its maker may, and clones pid 1 from there as its own
 * sibling, so that pid 1 is the zygote's child. Id maps can be written only from there as well.
 */
static _Noreturn void go_between_main(struct jail *j, int namespace, struct go_between *found,
				      const struct pid1_start *start)
{
	struct machine *m = &j->machine;
	/* Not straight into the shared page: pid 1, which has it too, would write its own zero there. */
	pid_t pid;
	if (setns(namespace, CLONE_NEWUSER) != 0 || (pid = machine_clone(m, CLONE_PARENT)) < 0) {
		found->failure = clone_failure();
		_exit(0);
	}
	if (pid == 0) {
		munmap(found, sizeof *found);
		pid1_main(start);
	}
	found->pid = pid;
	m->pid = pid;
	if (machine_run(m, SECTION_PARENT) != 0)
		found->failure = m->failure;
	_exit(0);
}

/* Clones pid 1 and runs SECTION_PARENT, both by way of a go-between. */
static bool start_below(struct jail *j, int namespace, const struct pid1_start *start)
{
	struct go_between *found = mmap(NULL, sizeof *found, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct clone_args args = {.exit_signal = SIGCHLD};
	if (found == MAP_FAILED)
		return false;
	const pid_t helper = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	if (helper == 0)
		go_between_main(j, namespace, found, start);
	if (helper > 0)
		RETRY(waitpid(helper, NULL, __WALL));
	else
		found->failure = clone_failure();
	j->pid = found->pid;
	j->machine.failure = found->failure;
	munmap(found, sizeof *found);
	return j->machine.failure.error == 0 && j->pid > 0;
}

static bool start_here(struct jail *j, const struct pid1_start *start)
{
	struct machine *m = &j->machine;
	j->pid = machine_clone(m, 0);
	if (j->pid == 0)
		pid1_main(start);
	if (j->pid < 0) {
		m->failure = clone_failure();
		j->pid = 0;
		return false;
	}
	m->pid = j->pid;
	return machine_run(m, SECTION_PARENT) == 0;
}

/* The parent's half of a launch. False if the jail could not be started; then machine.failure says why. */
static bool jail_start(struct zygote *z, struct jail *j, int control)
{
	struct machine *m = &j->machine;
	struct hold hold;
	int namespace = -1;
	if (m->program->parent_jail != 0) {
		namespace = namespace_of(z, m->program);
		errno = ESRCH;
		m->failure = clone_failure();
		if (namespace < 0)
			return false;
	}
	if (machine_run(m, SECTION_BEFORE) != 0)
		return false;
	if (!hold_open(&hold)) {
		m->failure = clone_failure();
		return false;
	}
	const struct pid1_start start = {m, false, hold, control, j->id, j->sequence, z->channel.token, frame_buffer};
	if (namespace < 0 ? start_here(j, &start) : start_below(j, namespace, &start)) {
		hold_release(&hold);
		return true;
	}
	hold_close(&hold);
	if (j->pid == 0)
		return false;
	kill(j->pid, SIGKILL); /* and its end is reported when it is reaped */
	report_failure(z, j);
	return true;
}

static bool launch(struct zygote *z, struct frame *frame)
{
	const int wanted = frame->header.flags & FLAG_MEMFD ? 2 : 1;
	if (frame->header.descriptors != wanted || !is_control_socket(frame->descriptors[0]))
		return false;
	struct jail *j = jail_new(z, frame);
	if (j == NULL)
		return false;
	if (!jail_start(z, j, frame->descriptors[0])) {
		report_failure(z, j);
		jail_end(z, j, 0);
	}
	return true;
}

/* Serves what has arrived; false when the peer is gone or broke the protocol. */
static bool serve_requests(struct zygote *z)
{
	struct frame frame;
	for (;;) {
		switch (frame_receive(&z->channel, frame_buffer, &frame)) {
		case RECEIVE_NOTHING:
			return true;
		case RECEIVED:
			break;
		default:
			return false;
		}
		const bool served = frame.header.type == FRAME_LAUNCH && launch(z, &frame);
		frame_close_descriptors(&frame);
		if (!served)
			return false;
	}
}

static struct jail *jail_of(struct zygote *z, pid_t pid)
{
	for (struct jail *j = z->jails; j != NULL; j = j->next)
		if (j->pid == pid)
			return j;
	return NULL;
}

static void reap(struct zygote *z)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;
	while (read(z->signals, &info, sizeof info) > 0)
		;
	while ((pid = RETRY(waitpid(-1, &status, WNOHANG | __WALL))) > 0) {
		struct jail *j = jail_of(z, pid);
		if (j != NULL)
			jail_end(z, j, status);
	}
}

static void end_all(struct zygote *z)
{
	for (struct jail *j = z->jails; j != NULL; j = j->next)
		kill(j->pid, SIGKILL);
	while (z->jails != NULL) {
		struct jail *j = z->jails;
		int status = 0;
		if (RETRY(waitpid(j->pid, &status, __WALL)) < 0)
			status = 0;
		jail_end(z, j, status);
	}
}

int zygote_serve(int socket)
{
	struct zygote z = {.channel = {.socket = socket}};
	const struct hello hello = {.version = WIRE_VERSION, .pid = (uint32_t)getpid(), .landlock_abi = probe_landlock_abi()};
	sigset_t all, children;
	sigfillset(&all);
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	/* Signals of the terminal are vmjail's business: it decides what its jails get. */
	if (sigprocmask(SIG_SETMASK, &all, NULL) != 0 || (z.signals = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
		return 1;
	if (frame_send(&z.channel, FRAME_HELLO, 0, 0, &hello, sizeof hello, -1) != 0)
		return 1;
	struct pollfd ready[2] = {{.fd = socket, .events = POLLIN}, {.fd = z.signals, .events = POLLIN}};
	for (;;) {
		if (RETRY(poll(ready, 2, -1)) < 0)
			break;
		if (ready[1].revents != 0)
			reap(&z);
		if (ready[0].revents != 0 && !serve_requests(&z))
			break;
	}
	end_all(&z);
	return 0;
}
