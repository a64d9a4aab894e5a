/* What the parts of pid 1 share. */
#ifndef VMJAIL_PID1_STATE_H
#define VMJAIL_PID1_STATE_H

#include "frames.h"
#include "guard.h"
#include "process.h"

#include <sys/resource.h>

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

/* The process that waits for the next workload, confined already (pid1-wait.c). */
struct waiting {
	pid_t pid;   /* 0: none */
	int socket;  /* to it */
	bool failed; /* there is nothing to be gained from another one before the next request */
};

struct pid1 {
	struct channel control;
	bool inner; /* in a jail that a runtime made */
	uint32_t jail;
	uint32_t launch_sequence;
	struct machine *machine;
	uint8_t *buffer;
	int signals;
	int timer;
	unsigned cpus;
	struct launch_record *record;
	struct workload work;
	struct waiting waiting;
	struct guard guard;
	/* Of a jail that is used again: SECTION_BEFORE renews what a workload may have left, SECTION_CHILD confines each one. */
	uint8_t *kept;
	size_t kept_size;
	uint32_t reset_sequence; /* while a reset runs */
	bool renewed;            /* no workload has run since the last reset */
	bool unfinished;         /* made ahead of its use: it still has the host's mounts, and nothing may run in it */
	uint8_t *rest;           /* what will finish it */
	size_t rest_size;
};

/* pid1.c */

/* There is nobody to report to, or the protocol is broken: the kernel ends every process of the jail with pid 1. */
_Noreturn void end_jail(int status);
void report(struct pid1 *pid1, enum frame_type type, uint32_t sequence, const void *payload, size_t size, int descriptor);

/*
 * Runs SECTION_CHILD of the machine's program, lets go of the slots that it does not keep, and looks at whether more is to
 * come. `sequence`: of the request. A jail in which that failed ends.
 */
void set_up(struct pid1 *pid1, uint32_t sequence);

/* pid1-told.c: what is told of a workload while it runs, and the pseudo calls of its plan. */

int send_descriptor(struct machine *machine, int descriptor);
int allow_program(struct machine *machine, int descriptor);
void on_denied(void *owner, const struct guard_denial *denial);
int watch_exec(struct machine *machine, int listener);
void on_stopped(struct pid1 *pid1, pid_t pid, int signal);

/* pid1-limits.c */

/* CPU time of the jail in nanoseconds: the cgroup's where the program names one. */
uint64_t cpu_now(struct pid1 *pid1);

/* Of the program that runs, in nanoseconds. */
uint64_t cpu_used(struct pid1 *pid1);

/* `delay_ns` 0: never. */
void arm_timer(struct pid1 *pid1, uint64_t delay_ns);

/* Ends the workload at its limit, else sleeps until the earliest moment at which it could be there. */
void check_limits(struct pid1 *pid1);

/* pid1-ipc.c */

/* Of System V, in the jail's IPC namespace, where no program is any more. */
void remove_shared_memory(void);

/* pid1-start.c */

/* What a new process of the jail does first, and for good: it waits for `hold`, then becomes what it is to be. */
typedef void become(struct pid1 *pid1, struct hold *hold);

/*
 * Clones a process for the program that is loaded, runs SECTION_PARENT and lets it go. Its id, or -1 where there is none;
 * machine->failure says why. Where a step failed the record says why, and the process is on its end.
 */
pid_t start_process(struct pid1 *pid1, become *become);

/* In a new process, first: false where its parent has gone. */
bool begin_process(struct pid1 *pid1, struct hold *hold);

/* In a new process, last: leaves a record of why it could not become the program. */
_Noreturn void give_up(struct pid1 *pid1);

/* Before the workload's process is let go, or told of its program. */
void start_clocks(struct pid1 *pid1);

/* Clones the workload's process and lets it go. False if that failed; machine->failure says why. */
bool start_workload(struct pid1 *pid1);

/* pid1-wait.c */

/* Whether a process may wait: between two programs, where the jail is as new. */
void prepare_waiting(struct pid1 *pid1);

/* Ends it. Nothing of it is left then. */
void dismiss_waiting(struct pid1 *pid1);

/* It has ended by itself, or was killed. */
void forget_waiting(struct pid1 *pid1);

/*
 * Makes the process that waits the workload, whose sound program came in `frame`; starts one where none waits. False if that
 * failed; machine->failure says why.
 */
bool start_waiting(struct pid1 *pid1, struct frame *frame);

/* pid1-end.c */

/* Renews what the last workload may have left. A jail in which that failed is not to be used again: it ends. */
void reset(struct pid1 *pid1, uint32_t sequence);

/* The workload has ended: ends whatever it left behind, then reports. */
void finish(struct pid1 *pid1, int status);

/* There is no workload: machine->failure says why. */
void report_launch_failure(struct pid1 *pid1);

/* pid1-reap.c */

/* Takes what has ended or stopped. */
void reap(struct pid1 *pid1);

/* Where the guard expects a new program's first stop, waits for it: it comes within 0.2 ms, by a shorter way than poll(2). */
void reap_expected(struct pid1 *pid1);

/* pid1-requests.c */

/* Serves what has arrived; ends the jail where the peer is gone or broke the protocol. */
void serve_requests(struct pid1 *pid1);

#endif
