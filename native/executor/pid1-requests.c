#include "pid1-state.h"

#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

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

static bool can_wait(struct pid1 *p, const struct frame *frame)
{
	if (p->kept == NULL || frame->header.flags & (FLAG_MEMFD | FLAG_ERRAND))
		return false;
	machine_load(p->machine, p->kept);
	if (p->machine->program->sections[SECTION_ENTRY].count == 0)
		return false;
	for (int i = 0; i < 3; i++)
		if (!descriptor_is_stdio(frame->descriptors[i]))
			return false;
	return program_is_sound(frame->payload, frame->size);
}

static bool own_program(struct pid1 *p, struct frame *frame)
{
	p->work.program = frame_program(&p->control, frame, &p->work.program_size);
	if (p->work.program != NULL)
		machine_load(p->machine, p->work.program);
	return p->work.program != NULL;
}

/* The process that waits takes the frame, descriptors and all; pid 1 makes a copy of the program for itself after that. */
static bool exec_by_waiting(struct pid1 *p, struct frame *frame)
{
	if (!can_wait(p, frame))
		return false;
	const bool started = start_waiting(p, frame);
	const struct failure failure = p->machine->failure;
	if (!own_program(p, frame))
		return false;
	p->machine->failure = failure;
	if (!started)
		report_launch_failure(p);
	return true;
}

static bool exec_by_new(struct pid1 *p, struct frame *frame, unsigned count)
{
	dismiss_waiting(p);
	if (!own_program(p, frame) || !take_descriptors(p, frame, count))
		return false;
	if (start_workload(p))
		machine_close_slots(p->machine, p->machine->program->first_slot);
	else
		report_launch_failure(p);
	return true;
}

static bool exec_request(struct pid1 *p, struct frame *frame)
{
	const int count = frame->header.descriptors - (frame->header.flags & FLAG_MEMFD ? 1 : 0);
	if (p->work.program != NULL || count < 3 || ((frame->header.flags & FLAG_RESET) && p->kept == NULL))
		return false;
	/* What one program left is not for another one; but vmjail fetches files from there. */
	const bool errand = (frame->header.flags & FLAG_ERRAND) != 0;
	if (p->kept != NULL && !p->renewed && !errand)
		return false;
	p->renewed = p->renewed && errand;
	p->work = (struct workload){.sequence = frame->header.sequence,
				    .last = (frame->header.flags & FLAG_LAST) != 0,
				    .reset = (frame->header.flags & FLAG_RESET) != 0,
				    .terminal = -1};
	const bool waiting = (frame->header.flags & FLAG_WAITING) != 0;
	if (!(waiting ? exec_by_waiting(p, frame) : exec_by_new(p, frame, (unsigned)count)))
		return false;
	check_limits(p);
	return true;
}

/* The program that a frame carries, and no descriptor but its own, in the place of any earlier one. */
static bool take_program(struct pid1 *p, struct frame *frame, uint8_t **place, size_t *place_size)
{
	size_t size;
	if (frame->header.descriptors != (frame->header.flags & FLAG_MEMFD ? 1 : 0))
		return false;
	uint8_t *program = frame_program(&p->control, frame, &size);
	if (program == NULL)
		return false;
	if (*place != NULL)
		munmap(*place, *place_size);
	*place = program;
	*place_size = size;
	return true;
}

/* The program for all later resets and workloads. */
static bool keep_request(struct pid1 *p, struct frame *frame)
{
	if (p->work.program != NULL)
		return false;
	dismiss_waiting(p);
	p->renewed = p->kept != NULL && p->renewed;
	return take_program(p, frame, &p->kept, &p->kept_size);
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

/* What will be left of the jail's set-up when it is used. */
static bool setup_request(struct pid1 *p, struct frame *frame)
{
	return take_program(p, frame, &p->rest, &p->rest_size) && !((const struct program *)p->rest)->unfinished;
}

static bool finish_request(struct pid1 *p, const struct frame *frame)
{
	struct machine *m = p->machine;
	uint8_t *launched = m->base;
	if (p->rest == NULL || frame->size != 0 || frame->header.descriptors != 0)
		return false;
	machine_load(m, p->rest);
	set_up(p, frame->header.sequence);
	machine_load(m, launched);
	munmap(p->rest, p->rest_size);
	p->rest = NULL;
	return true;
}

static bool serve_unfinished(struct pid1 *p, struct frame *frame)
{
	switch (frame->header.type) {
	case FRAME_SETUP:
		return setup_request(p, frame);
	case FRAME_FINISH:
		return finish_request(p, frame);
	default:
		return false;
	}
}

/* A frame of these bytes and nothing else. */
static bool read_request(const struct frame *frame, void *request, size_t size)
{
	if (frame->size != size || frame->header.descriptors != 0)
		return false;
	memcpy(request, frame->payload, size);
	return true;
}

static bool signal_request(struct pid1 *p, const struct frame *frame)
{
	struct signal_request request;
	if (!read_request(frame, &request, sizeof request) || request.signal == 0 || request.signal > (uint32_t)SIGRTMAX)
		return false;
	/* Late for its program: the process that waits for the next one is not meant. */
	if (p->work.pid == 0)
		return true;
	if (request.everyone)
		kill(-1, (int)request.signal);
	else if (kill(-p->work.pid, (int)request.signal) != 0)
		/* It has not made its process group yet. */
		kill(p->work.pid, (int)request.signal);
	return true;
}

static bool resize_request(struct pid1 *p, const struct frame *frame)
{
	struct resize_request request;
	if (!read_request(frame, &request, sizeof request))
		return false;
	const struct winsize size = {.ws_row = request.rows, .ws_col = request.columns};
	if (p->work.terminal >= 0)
		ioctl(p->work.terminal, TIOCSWINSZ, &size);
	return true;
}

static bool serve(struct pid1 *p, struct frame *frame)
{
	if (p->unfinished)
		return serve_unfinished(p, frame);
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

void serve_requests(struct pid1 *p)
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
