/* Checks a program's bounds once, then carries out its sections: system calls by number, with their arguments. */
#ifndef VMJAIL_MACHINE_H
#define VMJAIL_MACHINE_H

#include "sys.h"
#include "wire.h"

struct machine {
	uint8_t *base; /* the program; written to by patches and by reads */
	const struct program *program;
	const struct step *steps;
	const struct arg *args;
	const struct patch *patches;
	int slots[MAX_SLOTS]; /* -1: empty */
	int pid;              /* of the process that the program starts: as its parent sees it; in the child, as it sees itself */
	uint32_t sequence;    /* of the request being served */
	struct failure failure;
	/* The pseudo calls; each answers like a system call. */
	int (*send_descriptor)(struct machine *machine, int descriptor);
	int (*allow_program)(struct machine *machine, int descriptor);
	int (*watch_exec)(struct machine *machine, int listener);
	void *owner;    /* for them */
	uint8_t *reports; /* where reports go, or NULL */
	size_t reports_size;
	size_t reports_used;
};

/* True if every offset, count and index in the program lies inside it. Reads nothing beyond `size`. */
bool program_is_sound(const uint8_t *base, size_t size);

/* Prepares `machine` to run the sound program at `base`; slots are left as they are. */
void machine_load(struct machine *machine, uint8_t *base);

/* Runs a section; on the first failure that is not tolerated fills in machine->failure and returns -1. */
int machine_run(struct machine *machine, enum section_kind section);

/* Does a step of a section send a descriptor? */
bool machine_sends(const struct machine *machine, enum section_kind section);

/* Runs every step of a section whatever happens; returns how many failed, the first in machine->failure. */
uint32_t machine_run_all(struct machine *machine, enum section_kind section);

void machine_close_slots(struct machine *machine, unsigned from);

#endif
