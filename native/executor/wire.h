/*
 * What travels between vmjail (TypeScript) and the executor: frames over SOCK_SEQPACKET sockets, and programs (plans as
 * data) inside frames. src/executor/wire.ts is the mirror of this file. Little-endian, natural alignment, no padding.
 */
#ifndef VMJAIL_WIRE_H
#define VMJAIL_WIRE_H

#include <stdint.h>

enum {
	WIRE_VERSION = 3,
	PROGRAM_MAGIC = 0x4c4a4d56, /* "VMJL" */
	MAX_FRAME = 128 * 1024,     /* larger programs travel in a sealed memfd */
	MAX_PROGRAM = 16 * 1024 * 1024,
	MAX_REPORT = 8 * 1024,
	MAX_DESCRIPTORS = 8,
	MAX_SLOTS = 256,
	MAX_ARGS = 6,
	MAX_TOLERATED = 4,
	NO_SLOT = 0xffff,
	NO_REPORT = 0xffff,
	TOKEN_SIZE = 16,
};

#define FRAMES(X) \
	X(FRAME_LAUNCH, 1)     /* vmjail -> zygote: program; descriptors: control socket of the jail [, memfd] */ \
	X(FRAME_EXEC, 2)       /* vmjail -> pid 1: program; descriptors: stdin, stdout, stderr, any others [, memfd] */ \
	X(FRAME_SIGNAL, 3)     /* vmjail -> pid 1: struct signal_request */ \
	X(FRAME_RESIZE, 4)     /* vmjail -> pid 1: struct resize_request */ \
	X(FRAME_KEEP, 5)       /* vmjail -> pid 1: program that serves every later reset and exec [descriptor: memfd] */ \
	X(FRAME_RESET, 6)      /* vmjail -> pid 1: run the kept program's SECTION_BEFORE, unless that is done since the last exec */ \
	X(FRAME_SETUP, 7)      /* vmjail -> pid 1 of an unfinished jail: program that will finish it [descriptor: memfd] */ \
	X(FRAME_FINISH, 8)     /* vmjail -> pid 1 of an unfinished jail: run that program's SECTION_CHILD */ \
	X(FRAME_HELLO, 16)     /* zygote -> vmjail: struct hello */ \
	X(FRAME_ENDED, 17)     /* zygote -> vmjail: struct ended, then reports */ \
	X(FRAME_FAILED, 18)    /* zygote or pid 1 -> vmjail: struct failure */ \
	X(FRAME_EXITED, 19)    /* pid 1 -> vmjail: struct exited, then reports */ \
	X(FRAME_STOPPED, 20)   /* pid 1 -> vmjail: struct stopped */ \
	X(FRAME_DENIED, 22)    /* pid 1 -> vmjail: struct denied */ \
	X(FRAME_READY, 23)     /* pid 1 -> vmjail: a reset is done */ \
	X(FRAME_DESCRIPTOR, 21) /* pid 1 -> vmjail: one descriptor (the master side of a terminal) */

enum frame_type {
#define X(name, value) name = value,
	FRAMES(X)
#undef X
};

enum frame_flag {
	FLAG_MEMFD = 1, /* the last descriptor is a sealed memfd with the payload */
	FLAG_LAST = 2,  /* of FRAME_EXEC: the jail ends with this program */
	FLAG_RESET = 4, /* of FRAME_EXEC: as if FRAME_RESET followed, without an answer; of FRAME_RESET: in any case */
	FLAG_WAITING = 16, /* of FRAME_EXEC: for the process that waits: the program's SECTION_CHILD goes on from the kept SECTION_CHILD */
	FLAG_ERRAND = 8, /* of FRAME_EXEC: vmjail's own steps, that execute no program: the jail stays as renewed as it was */
};

struct frame_header {
	uint32_t length; /* of the whole frame */
	uint16_t type;
	uint8_t flags;
	uint8_t descriptors;
	uint32_t sequence; /* of a request: strictly increasing; of a reply: the request's */
	uint32_t jail;
	uint8_t token[TOKEN_SIZE];
};

enum section_kind {
	SECTION_BEFORE, /* in the parent, before the clone */
	SECTION_PARENT, /* in the parent, after the clone, while the child waits */
	SECTION_CHILD,  /* in the child */
	SECTION_ACCOUNT, /* in the zygote, when the jail has ended; of a kept program: in pid 1, when a workload has */
	SECTION_CLEANUP, /* in the zygote, last: goes on past errors; of a workload: in pid 1, when it has ended */
	SECTION_EXEC,    /* in the workload's process, last: the kept program's, then the workload's */
	SECTION_ENTRY,   /* of a kept program: first in the process that waits for the next workload; empty: none waits */
	SECTION_COUNT,
	SECTION_OF_KEPT = 0x10, /* of a failure: added to the number of a section of the kept program */
};

struct section {
	uint32_t first;
	uint32_t count;
};

enum cpu_usage_format {
	CPU_USAGE_NONE,
	CPU_USAGE_NANOSECONDS, /* cgroup v1 cpuacct.usage */
	CPU_USAGE_STAT,        /* cgroup v2 cpu.stat: "usage_usec N" */
	CPU_USAGE_SHARED,      /* as CPU_USAGE_NANOSECONDS, of a group that pid 1 is in: its own time is taken off */
};

/* A program: this header, steps, args, patches, then the blocks of memory. */
struct program {
	uint32_t magic;
	uint32_t version;
	uint64_t clone_flags;
	uint32_t size; /* of the whole program */
	uint32_t step_count;
	uint32_t arg_count;
	uint32_t patch_count;
	struct section sections[SECTION_COUNT];
	uint16_t cgroup_slot; /* NO_SLOT, or a cgroup v2 folder for CLONE_INTO_CGROUP */
	uint16_t cpu_usage_slot;
	uint16_t cpu_usage_format;
	uint16_t first_slot; /* slots from here on are closed when the program has ended */
	uint64_t wall_limit_ns; /* 0: none */
	uint64_t cpu_limit_ns;
	uint8_t keep[MAX_SLOTS / 8]; /* slots that pid 1 keeps after its set-up */
	/*
	 * Of FRAME_LAUNCH: 0, or the number of an earlier jail below whose user namespace the new one is made; SECTION_PARENT
	 * then runs inside that user namespace.
	 */
	uint32_t parent_jail;
	uint16_t parent_slot; /* where that jail's own program saved the open user namespace, on the host's side */
	/* Of FRAME_LAUNCH: 1: the jail is not finished; until FRAME_FINISH has done that, pid 1 obeys nothing else. */
	uint16_t unfinished;
};

enum step_flag {
	STEP_RETRY_BUSY = 1, /* again after EBUSY or ETXTBSY, for at most two seconds */
};

enum pseudo_call {
	PSEUDO_EXPECT_EQUAL = 0x10000,
	PSEUDO_SEND_DESCRIPTOR,
	PSEUDO_ALLOW_PROGRAM,
	PSEUDO_EXPECT_ACK,
	PSEUDO_WATCH_EXEC,
};

struct step {
	uint32_t call;
	uint32_t first_arg;
	uint32_t first_patch;
	uint16_t patch_count;
	uint8_t arg_count;
	uint8_t flags;
	uint16_t save;
	uint16_t report;
	uint16_t tolerated[MAX_TOLERATED]; /* 0: none */
};

enum arg_kind {
	ARG_NUMBER,
	ARG_BLOCK, /* value: offset from the start of the program */
	ARG_SLOT,
	ARG_PID,
};

struct arg {
	uint64_t value;
	uint32_t kind;
	uint32_t length; /* of a block */
};

enum patch_kind {
	PATCH_POINTER, /* value: offset of the block pointed to */
	PATCH_SLOT,    /* value: slot */
	PATCH_PID,     /* as a 32-bit number */
	PATCH_PID_TEXT, /* in decimal; value: the byte to pad with */
};

struct patch {
	uint32_t at; /* offset from the start of the program */
	uint32_t kind;
	uint32_t value;
	uint32_t reserved;
};

enum { PID_TEXT = 10 };

struct hello {
	uint32_t version;
	uint32_t pid;
	uint32_t landlock_abi; /* 0: none */
	uint32_t reserved;
};

/* Step `step` of `section` failed. `denied`: an earlier, tolerated EACCES or EPERM, or 0. */
struct failure {
	uint32_t section;
	uint32_t step;
	uint32_t error;
	uint32_t denied;
};

enum end_cause { CAUSE_NONE, CAUSE_CPU, CAUSE_WALL, CAUSE_DENIED };

struct exited {
	uint32_t status; /* as wait(2) gives it */
	uint32_t cause;
	uint64_t user_us;
	uint64_t system_us;
	uint64_t max_rss_bytes;
	uint64_t wall_ns;
	uint64_t cgroup_cpu_ns; /* 0: unknown */
};

/* The exec guard refused a program. Each path is told once for a workload, and at most 64 of them. */
struct denied {
	uint32_t pid; /* as the jail sees it */
	uint16_t killed; /* 1: at the program's first instruction; 0: the call answered EACCES */
	uint16_t launching; /* 1: it is the workload, which has not become any program yet */
	char path[256];
};

struct stopped {
	uint32_t signal;
	uint32_t reserved;
};

struct signal_request {
	uint32_t signal;
	uint32_t everyone; /* 0: the workload's process group; 1: every process of the jail but pid 1 */
};

struct resize_request {
	uint16_t rows;
	uint16_t columns;
	uint32_t reserved;
};

struct ended {
	uint32_t status; /* of pid 1 */
	uint32_t cleanup_failures;
	struct failure cleanup; /* the first */
};

/* Follows struct ended or struct exited, once for each step with a report; data padded to 8 bytes. */
struct report {
	uint16_t id;
	uint16_t length;
	uint32_t reserved;
};

_Static_assert(sizeof(struct frame_header) == 32, "frame_header");
_Static_assert(sizeof(struct program) == 152, "program");
_Static_assert(sizeof(struct step) == 28, "step");
_Static_assert(sizeof(struct arg) == 16, "arg");
_Static_assert(sizeof(struct patch) == 16, "patch");
_Static_assert(sizeof(struct hello) == 16, "hello");
_Static_assert(sizeof(struct failure) == 16, "failure");
_Static_assert(sizeof(struct exited) == 48, "exited");
_Static_assert(sizeof(struct denied) == 264, "denied");
_Static_assert(sizeof(struct ended) == 24, "ended");
_Static_assert(sizeof(struct report) == 8, "report");

#endif
