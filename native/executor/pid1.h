/* Pid 1 of a jail: sets the jail up, then runs workloads on request, enforces their time limits, reaps and reports. */
#ifndef VMJAIL_PID1_H
#define VMJAIL_PID1_H

#include "frames.h"
#include "process.h"

struct pid1_start {
	struct machine *machine; /* with the jail's program and the slots of its SECTION_BEFORE */
	bool inner; /* a runtime started it as the first process of its own jail: nobody holds it */
	struct hold hold;
	int control;
	uint32_t jail;
	uint32_t sequence; /* of the request that asked for the jail */
	const uint8_t *token;
	uint8_t *buffer; /* MAX_FRAME bytes */
};

/* Never returns. */
_Noreturn void pid1_main(const struct pid1_start *start);

#endif
