/*
 * In a jail that is used again, the next workload's process is made while vmjail looks at the last one's result: born in the
 * new groups and confined as far as that is the same for all, it waits on a socket for its program. There is no other
 * process in the jail but pid 1 as long as it waits.
 */
#include "pid1-state.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

static bool confine(struct pid1 *p)
{
	struct machine *m = p->machine;
	if (machine_run(m, SECTION_ENTRY) == 0 && machine_run(m, SECTION_CHILD) == 0)
		return true;
	m->failure.section |= SECTION_OF_KEPT;
	return false;
}

/* The program is used where it arrived: nothing else arrives here. */
static uint8_t *take_program(struct pid1 *p, int socket)
{
	struct channel channel = {.socket = socket, .bound = true};
	struct frame frame;
	memcpy(channel.token, p->control.token, TOKEN_SIZE);
	const enum receive_result result = frame_wait(&channel, p->buffer, &frame);
	if (result == RECEIVE_END) /* nobody needs it any more */
		_exit(127);
	if (result != RECEIVED || frame.header.type != FRAME_EXEC || !program_is_sound(frame.payload, frame.size)) {
		p->machine->failure =
			(struct failure){.section = SECTION_OF_KEPT | SECTION_ENTRY, .step = UINT32_MAX, .error = EPROTO};
		give_up(p);
	}
	p->work.program = frame.payload;
	p->work.sequence = frame.header.sequence;
	machine_load(p->machine, frame.payload);
	const unsigned first = p->machine->program->first_slot;
	for (unsigned i = 0; i < MAX_SLOTS; i++)
		p->machine->slots[i] = i >= first && i < first + frame.header.descriptors ? frame.descriptors[i - first] : -1;
	return frame.payload;
}

/* In the process that waits. */
static void become_waiting(struct pid1 *p, struct hold *hold)
{
	struct machine *m = p->machine;
	const int socket = p->waiting.socket;
	if (!begin_process(p, hold))
		_exit(127);
	prctl(PR_SET_NAME, "vmjail-waiting", 0, 0, 0);
	if (!confine(p))
		give_up(p);
	/*
	 * Whatever it may not have is gone before it waits, and nobody may trace it. The way to vmjail stays only where something
	 * is to be sent before the program is executed: the listener by which refusals are explained.
	 */
	const int keep[] = {socket, p->guard.door[1], p->control.socket};
	close_all_but(keep, machine_sends(m, SECTION_EXEC) ? 3 : 2);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	own_pages(p->buffer, sizeof(struct frame_header));
	uint8_t *program = take_program(p, socket);
	if (machine_run(m, SECTION_CHILD) != 0)
		give_up(p);
	machine_load(m, p->kept);
	if (machine_run(m, SECTION_EXEC) != 0) {
		m->failure.section |= SECTION_OF_KEPT;
		give_up(p);
	}
	machine_load(m, program);
	if (machine_run(m, SECTION_EXEC) == 0)
		m->failure = (struct failure){.section = SECTION_EXEC, .step = UINT32_MAX, .error = EINVAL};
	give_up(p);
}

/* All that is written to between a request and its program, and between that one's end and the answer. */
static void own_what_is_written(struct pid1 *p)
{
	volatile uint8_t below[2 * 4096]; /* of the stack, where other frames will be */
	below[0] = below[sizeof below / 2] = 0;
	own_pages(p, sizeof *p);
	own_pages(p->machine, sizeof *p->machine);
	own_pages(p->buffer, sizeof(struct frame_header));
	own_pages(p->kept, p->kept_size);
	errno = 0; /* with what the C library keeps for the thread */
}

/* With the kept program loaded. False if there is none; machine->failure says why. */
static bool make_waiting(struct pid1 *p)
{
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
		p->machine->failure = (struct failure){.section = SECTION_PARENT, .step = UINT32_MAX, .error = (uint32_t)errno};
		return false;
	}
	p->waiting.socket = ends[1];
	const pid_t pid = start_process(p, become_waiting);
	close(ends[1]);
	p->waiting = (struct waiting){.pid = pid < 0 ? 0 : pid, .socket = ends[0]};
	if (p->record->failed)
		p->record->failure.section |= SECTION_OF_KEPT;
	if (pid < 0)
		forget_waiting(p);
	else
		own_what_is_written(p);
	return pid >= 0;
}

void prepare_waiting(struct pid1 *p)
{
	if (p->kept == NULL || !p->renewed || p->work.program != NULL || p->waiting.pid != 0 || p->waiting.failed)
		return;
	machine_load(p->machine, p->kept);
	/* Should it fail, the request that needs it tries again and tells why. */
	if (p->machine->program->sections[SECTION_ENTRY].count > 0 && !make_waiting(p))
		p->waiting.failed = true;
}

void forget_waiting(struct pid1 *p)
{
	close(p->waiting.socket);
	guard_forget(&p->guard);
	p->waiting = (struct waiting){.failed = true};
}

void dismiss_waiting(struct pid1 *p)
{
	if (p->waiting.pid != 0) {
		kill(p->waiting.pid, SIGKILL);
		RETRY(waitid(P_PID, (id_t)p->waiting.pid, NULL, WEXITED | __WALL));
		forget_waiting(p);
	}
	p->waiting.failed = false;
}

/* Makes one for a request that is here already. */
static bool make_at_once(struct pid1 *p, struct frame *frame)
{
	machine_load(p->machine, p->kept);
	if (!make_waiting(p))
		return false;
	machine_load(p->machine, frame->payload);
	return true;
}

/* False where it is dead: then it is forgotten. */
static bool tell_waiting(struct pid1 *p, const struct frame *frame)
{
	if (frame_forward(p->waiting.socket, frame) == 0)
		return true;
	dismiss_waiting(p);
	return false;
}

bool start_waiting(struct pid1 *p, struct frame *frame)
{
	machine_load(p->machine, frame->payload);
	if (machine_run(p->machine, SECTION_BEFORE) != 0)
		return false;
	start_clocks(p);
	if (p->waiting.pid == 0 || !tell_waiting(p, frame)) {
		if (!make_at_once(p, frame))
			return false;
		/* Should it have failed meanwhile, its end tells why. */
		if (frame_forward(p->waiting.socket, frame) != 0)
			kill(p->waiting.pid, SIGKILL);
	}
	p->work.pid = p->waiting.pid;
	close(p->waiting.socket);
	p->waiting = (struct waiting){0};
	return true;
}
