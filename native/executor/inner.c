#include "inner.h"
#include "frames.h"
#include "pid1.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

static uint8_t frame_buffer[MAX_FRAME] __attribute__((aligned(8)));
static struct machine machine;

static int refuse_descriptor(struct machine *m, int descriptor)
{
	(void)m;
	(void)descriptor;
	errno = EOPNOTSUPP;
	return -1;
}

int inner_serve(int socket)
{
	struct channel channel = {.socket = socket, .copies = true};
	struct pollfd ready = {.fd = socket, .events = POLLIN};
	struct frame frame;
	sigset_t all;
	size_t size;
	/* It was executed by a descriptor, and is called after that. */
	prctl(PR_SET_NAME, "vmjail-init", 0, 0, 0);
	sigfillset(&all);
	if (sigprocmask(SIG_SETMASK, &all, NULL) != 0 || RETRY(poll(&ready, 1, -1)) < 0)
		return 1;
	if (frame_receive(&channel, frame_buffer, &frame) != RECEIVED)
		return 1;
	const int wanted = frame.header.flags & FLAG_MEMFD ? 1 : 0;
	uint8_t *program = NULL;
	if (frame.header.type == FRAME_LAUNCH && frame.header.descriptors == wanted)
		program = frame_program(&channel, &frame, &size);
	frame_close_descriptors(&frame);
	if (program == NULL)
		return 1;
	memset(machine.slots, -1, sizeof machine.slots);
	machine.send_descriptor = refuse_descriptor;
	machine.allow_program = refuse_descriptor;
	machine.watch_exec = refuse_descriptor;
	machine_load(&machine, program);
	const struct pid1_start start = {.machine = &machine,
					 .inner = true,
					 .hold = {-1, -1},
					 .control = socket,
					 .jail = frame.header.jail,
					 .sequence = frame.header.sequence,
					 .token = channel.token,
					 .buffer = frame_buffer};
	pid1_main(&start);
}
