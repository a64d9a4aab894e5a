#include "machine.h"

#include <string.h>
#include <time.h>

static bool range_fits(uint64_t first, uint64_t count, uint64_t total)
{
	return first <= total && count <= total - first;
}

/* Where the parts of a program lie; false if they do not fit. */
struct layout {
	uint64_t args;
	uint64_t patches;
	uint64_t blocks;
};

static bool layout_of(const struct program *p, struct layout *out)
{
	const uint64_t limit = MAX_PROGRAM;
	if (p->step_count > limit || p->arg_count > limit || p->patch_count > limit)
		return false;
	out->args = align8(sizeof *p + (uint64_t)p->step_count * sizeof(struct step));
	out->patches = out->args + (uint64_t)p->arg_count * sizeof(struct arg);
	out->blocks = out->patches + (uint64_t)p->patch_count * sizeof(struct patch);
	return out->blocks <= p->size;
}

static bool slot_is_sound(uint16_t slot)
{
	return slot == NO_SLOT || slot < MAX_SLOTS;
}

static bool arg_is_sound(const struct arg *a, const struct layout *l, uint32_t size)
{
	switch (a->kind) {
	case ARG_NUMBER:
	case ARG_PID:
		return true;
	case ARG_SLOT:
		return a->value < MAX_SLOTS;
	case ARG_BLOCK:
		return a->value >= l->blocks && range_fits(a->value, a->length, size);
	default:
		return false;
	}
}

static bool patch_is_sound(const struct patch *p, const struct layout *l, uint32_t size)
{
	if (p->at < l->blocks)
		return false;
	switch (p->kind) {
	case PATCH_POINTER:
		return range_fits(p->at, 8, size) && p->value >= l->blocks && p->value <= size;
	case PATCH_SLOT:
		return range_fits(p->at, 4, size) && p->value < MAX_SLOTS;
	case PATCH_PID:
		return range_fits(p->at, 4, size);
	case PATCH_PID_TEXT:
		return range_fits(p->at, PID_TEXT, size) && p->value <= 0xff;
	default:
		return false;
	}
}

/* expect_equal(block, offset, block, offset, length): both ranges must lie in their blocks. */
static bool pseudo_is_sound(const struct step *s, const struct arg *a)
{
	if (s->call == PSEUDO_SEND_DESCRIPTOR || s->call == PSEUDO_ALLOW_PROGRAM || s->call == PSEUDO_WATCH_EXEC)
		return s->arg_count == 1 && a[0].kind == ARG_SLOT;
	if (s->call == PSEUDO_EXPECT_ACK)
		return s->arg_count == 1 && a[0].kind == ARG_BLOCK && a[0].length >= ACKNOWLEDGEMENT;
	return s->call == PSEUDO_EXPECT_EQUAL && s->arg_count == 5 && a[0].kind == ARG_BLOCK && a[1].kind == ARG_NUMBER &&
	       a[2].kind == ARG_BLOCK && a[3].kind == ARG_NUMBER && a[4].kind == ARG_NUMBER &&
	       range_fits(a[1].value, a[4].value, a[0].length) && range_fits(a[3].value, a[4].value, a[2].length);
}

static bool step_is_sound(const struct step *s, const struct arg *args, const struct program *p)
{
	if (s->arg_count > MAX_ARGS || !range_fits(s->first_arg, s->arg_count, p->arg_count))
		return false;
	if (!range_fits(s->first_patch, s->patch_count, p->patch_count) || !slot_is_sound(s->save))
		return false;
	const struct arg *a = args + s->first_arg;
	if (s->call >= PSEUDO_EXPECT_EQUAL && !pseudo_is_sound(s, a))
		return false;
	/* Only a read into a block long enough for it can be reported. */
	if (s->report != NO_REPORT)
		return s->call == SYS_read && s->arg_count == 3 && a[1].kind == ARG_BLOCK && a[2].kind == ARG_NUMBER &&
		       a[2].value <= a[1].length;
	return true;
}

bool program_is_sound(const uint8_t *base, size_t size)
{
	const struct program *p = (const struct program *)base;
	struct layout l;
	if (size < sizeof *p || size > MAX_PROGRAM || ((uintptr_t)base & 7) != 0)
		return false;
	if (p->magic != PROGRAM_MAGIC || p->version != WIRE_VERSION || p->size != size || !layout_of(p, &l))
		return false;
	if (!slot_is_sound(p->cgroup_slot) || !slot_is_sound(p->cpu_usage_slot) || !slot_is_sound(p->parent_slot) || p->first_slot > MAX_SLOTS)
		return false;
	if (p->cpu_usage_format > CPU_USAGE_SHARED || p->unfinished > 1)
		return false;
	const struct step *steps = (const struct step *)(base + sizeof *p);
	const struct arg *args = (const struct arg *)(base + l.args);
	const struct patch *patches = (const struct patch *)(base + l.patches);
	for (int i = 0; i < SECTION_COUNT; i++)
		if (!range_fits(p->sections[i].first, p->sections[i].count, p->step_count))
			return false;
	for (uint32_t i = 0; i < p->arg_count; i++)
		if (!arg_is_sound(&args[i], &l, p->size))
			return false;
	for (uint32_t i = 0; i < p->patch_count; i++)
		if (!patch_is_sound(&patches[i], &l, p->size))
			return false;
	for (uint32_t i = 0; i < p->step_count; i++)
		if (!step_is_sound(&steps[i], args, p))
			return false;
	return true;
}

void machine_load(struct machine *m, uint8_t *base)
{
	struct layout l = {0};
	m->base = base;
	m->program = (const struct program *)base;
	layout_of(m->program, &l);
	m->steps = (const struct step *)(base + sizeof *m->program);
	m->args = (const struct arg *)(base + l.args);
	m->patches = (const struct patch *)(base + l.patches);
	m->failure = (struct failure){0};
}

static void write_pid(uint8_t *at, unsigned pid, uint8_t pad)
{
	char digits[PID_TEXT];
	int n = 0;
	do
		digits[n++] = (char)('0' + pid % 10);
	while ((pid /= 10) != 0 && n < PID_TEXT);
	for (int i = 0; i < PID_TEXT; i++)
		at[i] = i < n ? (uint8_t)digits[n - 1 - i] : pad;
}

static void apply_patch(struct machine *m, const struct patch *p)
{
	uint8_t *at = m->base + p->at;
	uint64_t address;
	switch (p->kind) {
	case PATCH_POINTER:
		address = (uint64_t)(uintptr_t)(m->base + p->value);
		memcpy(at, &address, sizeof address);
		break;
	case PATCH_SLOT:
		memcpy(at, &m->slots[p->value], sizeof(int));
		break;
	case PATCH_PID:
		memcpy(at, &m->pid, sizeof(int));
		break;
	default:
		write_pid(at, (unsigned)m->pid, (uint8_t)p->value);
	}
}

static long value_of(struct machine *m, const struct arg *a)
{
	switch (a->kind) {
	case ARG_BLOCK:
		return (long)(uintptr_t)(m->base + a->value);
	case ARG_SLOT:
		return m->slots[a->value];
	case ARG_PID:
		return m->pid;
	default:
		return (long)a->value;
	}
}

static long expect_equal(struct machine *m, const struct arg *a)
{
	if (memcmp(m->base + a[0].value + a[1].value, m->base + a[2].value + a[3].value, a[4].value) == 0)
		return 0;
	errno = ESTALE;
	return -1;
}

static long make_call(struct machine *m, const struct step *s)
{
	const struct arg *a = m->args + s->first_arg;
	if (s->call == PSEUDO_EXPECT_EQUAL)
		return expect_equal(m, a);
	if (s->call == PSEUDO_EXPECT_ACK)
		return check_acknowledgement(m->base + a[0].value);
	if (s->call == PSEUDO_SEND_DESCRIPTOR)
		return m->send_descriptor(m, m->slots[a[0].value]);
	if (s->call == PSEUDO_ALLOW_PROGRAM)
		return m->allow_program(m, m->slots[a[0].value]);
	if (s->call == PSEUDO_WATCH_EXEC)
		return m->watch_exec(m, m->slots[a[0].value]);
	long v[MAX_ARGS] = {0};
	for (int i = 0; i < s->arg_count; i++)
		v[i] = value_of(m, &a[i]);
	return syscall((long)s->call, v[0], v[1], v[2], v[3], v[4], v[5]);
}

static long make_call_patiently(struct machine *m, const struct step *s)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	long result = make_call(m, s);
	for (int tries = 0; result == -1 && (errno == EBUSY || errno == ETXTBSY) && (s->flags & STEP_RETRY_BUSY) && tries < 2000; tries++) {
		nanosleep(&pause, NULL);
		result = make_call(m, s);
	}
	return result;
}

static bool is_tolerated(const struct step *s, int error)
{
	for (int i = 0; i < MAX_TOLERATED; i++)
		if (s->tolerated[i] != 0 && s->tolerated[i] == error)
			return true;
	return false;
}

static void save_slot(struct machine *m, uint16_t slot, int value)
{
	if (slot == NO_SLOT)
		return;
	if (m->slots[slot] >= 0)
		close(m->slots[slot]);
	m->slots[slot] = value;
}

/* A closed slot is empty: its number may be another descriptor's by the time the slot is used again. */
static void forget_closed(struct machine *m, const struct step *s)
{
	const struct arg *a = m->args + s->first_arg;
	if (s->call == SYS_close && s->arg_count == 1 && a->kind == ARG_SLOT)
		m->slots[a->value] = -1;
}

static void add_report(struct machine *m, const struct step *s, long length)
{
	const struct arg *block = m->args + s->first_arg + 1;
	const struct report header = {.id = s->report, .length = (uint16_t)length};
	const size_t need = sizeof header + align8((uint64_t)length);
	if (m->reports == NULL || length > UINT16_MAX || need > m->reports_size - m->reports_used)
		return;
	uint8_t *at = m->reports + m->reports_used;
	memset(at, 0, need);
	memcpy(at, &header, sizeof header);
	memcpy(at + sizeof header, m->base + block->value, (size_t)length);
	m->reports_used += need;
}

/* 0 if done or tolerated, else -1 and errno. */
static int run_step(struct machine *m, const struct step *s)
{
	for (uint16_t i = 0; i < s->patch_count; i++)
		apply_patch(m, &m->patches[s->first_patch + i]);
	const long result = make_call_patiently(m, s);
	if (result == -1) {
		const int error = errno;
		if (!is_tolerated(s, error))
			return -1;
		if (error == EACCES || error == EPERM)
			m->failure.denied = (uint32_t)error;
		save_slot(m, s->save, -1);
		return 0;
	}
	forget_closed(m, s);
	save_slot(m, s->save, (int)result);
	if (s->report != NO_REPORT)
		add_report(m, s, result);
	return 0;
}

static void record_failure(struct machine *m, enum section_kind section, uint32_t step)
{
	m->failure.section = section;
	m->failure.step = step;
	m->failure.error = (uint32_t)errno;
}

int machine_run(struct machine *m, enum section_kind section)
{
	const struct section *range = &m->program->sections[section];
	m->failure.denied = 0;
	for (uint32_t i = 0; i < range->count; i++)
		if (run_step(m, &m->steps[range->first + i]) != 0) {
			record_failure(m, section, i);
			return -1;
		}
	return 0;
}

bool machine_sends(const struct machine *m, enum section_kind section)
{
	const struct section *all = &m->program->sections[section];
	for (uint32_t i = 0; i < all->count; i++)
		if (m->steps[all->first + i].call == PSEUDO_SEND_DESCRIPTOR)
			return true;
	return false;
}

uint32_t machine_run_all(struct machine *m, enum section_kind section)
{
	const struct section *range = &m->program->sections[section];
	uint32_t failures = 0;
	for (uint32_t i = 0; i < range->count; i++)
		if (run_step(m, &m->steps[range->first + i]) != 0 && failures++ == 0)
			record_failure(m, section, i);
	return failures;
}

void machine_close_slots(struct machine *m, unsigned from)
{
	for (unsigned i = from; i < MAX_SLOTS; i++)
		save_slot(m, (uint16_t)i, -1);
}
