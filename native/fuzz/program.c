/*
 * Fuzzes what reads bytes from outside: program_is_sound, and frame_receive with frame_program behind it.
 *
 *   program SECONDS [SEED [FILE...]]   mutates the files (or a small built-in program) from the seed; prints a summary
 *
 * Every input is deterministic: the same seed and number of rounds give the same inputs. Built with -fsanitize=fuzzer
 * (clang) and -DLIBFUZZER, the same functions are libFuzzer's target.
 *
 * A sound program is also walked: whatever it names must lie inside it, and any execution reads exactly that.
 */
#include "frames.h"
#include "machine.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "fuzz/program.c:%d: %s\n", __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

static volatile uint8_t sink;

static void touch(const uint8_t *base, uint64_t at, uint64_t length, size_t size)
{
	CHECK(at <= size && length <= size - at);
	for (uint64_t i = 0; i < length; i++)
		sink ^= base[at + i];
}

/* Follows every index and offset of a sound program, as machine_run would. */
static void walk(uint8_t *base, size_t size)
{
	static struct machine m;
	memset(m.slots, -1, sizeof m.slots);
	machine_load(&m, base);
	for (int s = 0; s < SECTION_COUNT; s++)
		for (uint32_t i = 0; i < m.program->sections[s].count; i++) {
			const struct step *step = &m.steps[m.program->sections[s].first + i];
			touch(base, (uint64_t)((const uint8_t *)step - base), sizeof *step, size);
			CHECK(step->save == NO_SLOT || step->save < MAX_SLOTS);
			for (uint8_t a = 0; a < step->arg_count; a++) {
				const struct arg *arg = &m.args[step->first_arg + a];
				touch(base, (uint64_t)((const uint8_t *)arg - base), sizeof *arg, size);
				if (arg->kind == ARG_BLOCK)
					touch(base, arg->value, arg->length, size);
				CHECK(arg->kind != ARG_SLOT || arg->value < MAX_SLOTS);
			}
			for (uint16_t p = 0; p < step->patch_count; p++) {
				const struct patch *patch = &m.patches[step->first_patch + p];
				touch(base, (uint64_t)((const uint8_t *)patch - base), sizeof *patch, size);
				touch(base, patch->at, patch->kind == PATCH_POINTER ? 8 : patch->kind == PATCH_PID_TEXT ? PID_TEXT : 4, size);
			}
		}
}

/* In memory of exactly its size, so that the sanitiser sees one byte too many. */
static int try_program(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size == 0 ? 1 : size);
	CHECK(copy != NULL);
	memcpy(copy, data, size);
	const int sound = program_is_sound(copy, size);
	if (sound)
		walk(copy, size);
	free(copy);
	return sound;
}

/* The same bytes as a frame with `descriptors` descriptors. */
static void try_frame(const uint8_t *data, size_t size, int descriptors)
{
	static uint8_t buffer[MAX_FRAME] __attribute__((aligned(8)));
	int ends[2], many[MAX_DESCRIPTORS];
	char control[CMSG_SPACE(sizeof many)] __attribute__((aligned(8))) = {0};
	struct frame frame;
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
	struct channel channel = {.socket = ends[0]};
	struct iovec part = {(void *)data, size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	if (descriptors > 0) {
		for (int i = 0; i < descriptors; i++)
			many[i] = ends[1];
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)descriptors);
		struct cmsghdr *c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)descriptors);
		memcpy(CMSG_DATA(c), many, sizeof(int) * (size_t)descriptors);
	}
	if (sendmsg(ends[1], &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
		const enum receive_result got = frame_receive(&channel, buffer, &frame);
		CHECK(got != RECEIVE_NOTHING);
		if (got == RECEIVED) {
			size_t program_size;
			uint8_t *program = frame_program(&channel, &frame, &program_size);
			if (program != NULL) {
				walk(program, program_size);
				munmap(program, program_size);
			}
			frame_close_descriptors(&frame);
		}
	}
	close(ends[0]);
	close(ends[1]);
}

#ifdef LIBFUZZER

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_program(data, size);
	if (size > 0 && size <= MAX_FRAME)
		try_frame(data, size, data[size - 1] % (MAX_DESCRIPTORS + 1));
	return 0;
}

#else

enum { MAX_INPUT = 64 * 1024, MAX_SEEDS = 16 };

static struct seed {
	uint8_t bytes[MAX_INPUT];
	size_t size;
} seeds[MAX_SEEDS];
static int seed_count;

static uint64_t state;

/* xorshift64 */
static uint32_t next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 16);
}

static uint32_t below(uint32_t n)
{
	return n == 0 ? 0 : next() % n;
}

static void put32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof value);
}

/* One step read(slot 0, block, 8) with a patch and a report; sound. */
static void built_in(void)
{
	static const struct {
		struct program program;
		struct step step;
		uint32_t align;
		struct arg args[3];
		struct patch patch;
		uint8_t block[16];
	} sample = {
		.program = {.magic = PROGRAM_MAGIC, .version = WIRE_VERSION, .size = sizeof sample, .step_count = 1, .arg_count = 3,
			    .patch_count = 1, .sections = {[SECTION_CHILD] = {0, 1}}, .cgroup_slot = NO_SLOT,
			    .cpu_usage_slot = NO_SLOT, .parent_slot = NO_SLOT},
		.step = {.call = SYS_read, .patch_count = 1, .arg_count = 3, .save = 1, .report = 0},
		.args = {{.kind = ARG_SLOT}, {.value = offsetof(__typeof__(sample), block), .kind = ARG_BLOCK, .length = 16}, {.value = 8}},
		.patch = {.at = offsetof(__typeof__(sample), block), .kind = PATCH_SLOT},
	};
	_Static_assert(offsetof(__typeof__(sample), args) % 8 == 0, "args");
	memcpy(seeds[0].bytes, &sample, sizeof sample);
	seeds[0].size = sizeof sample;
	seed_count = 1;
}

static void read_seed(const char *path)
{
	FILE *file = fopen(path, "rb");
	CHECK(file != NULL && seed_count < MAX_SEEDS);
	struct seed *seed = &seeds[seed_count++];
	seed->size = fread(seed->bytes, 1, MAX_INPUT, file);
	fclose(file);
}

/* Numbers at which bounds are wrong by one. */
static uint32_t odd_number(size_t size)
{
	static const uint32_t numbers[] = {0, 1, 7, 8, 255, 256, 65534, 65535, 65536, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff};
	switch (below(3)) {
	case 0:
		return numbers[below(sizeof numbers / sizeof numbers[0])];
	case 1:
		return (uint32_t)size + below(32) - 16;
	default:
		return below((uint32_t)size + 1);
	}
}

static size_t mutate(uint8_t *data, size_t size)
{
	for (uint32_t changes = 1 + below(4); changes > 0 && size >= 8; changes--) {
		const size_t at = below((uint32_t)size - 3);
		switch (below(5)) {
		case 0:
			data[at] ^= (uint8_t)(1u << below(8));
			break;
		case 1:
			put32(data + (at & ~(size_t)3), odd_number(size));
			break;
		case 2:
			memcpy(data + at, data + below((uint32_t)size - 3), 4);
			break;
		case 3:
			size -= below(16);
			break;
		default:
			if (size + 16 <= MAX_INPUT) {
				memset(data + size, (int)below(256), 16);
				size += 16;
			}
		}
	}
	return size;
}

/* Most changes break the size that the program states; then nothing behind it is looked at. */
static void state_size(uint8_t *data, size_t size)
{
	if (size >= sizeof(struct program) && below(8) != 0)
		put32(data + offsetof(struct program, size), (uint32_t)size);
}

static size_t in_frame(uint8_t *out, const uint8_t *data, size_t size, int descriptors)
{
	struct frame_header header = {.length = (uint32_t)(sizeof header + size), .type = FRAME_LAUNCH, .sequence = 1};
	header.descriptors = (uint8_t)(descriptors + (below(8) == 0));
	header.flags = (uint8_t)(below(4) == 0 ? below(8) : 0);
	if (below(8) == 0)
		put32((uint8_t *)&header + 4 * below(sizeof header / 4), odd_number(size));
	memcpy(out, &header, sizeof header);
	memcpy(out + sizeof header, data, size);
	return sizeof header + size;
}

int main(int argc, char **argv)
{
	static uint8_t data[MAX_INPUT + 16], framed[MAX_INPUT + sizeof(struct frame_header) + 16];
	const double seconds = argc > 1 ? atof(argv[1]) : 1;
	state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	CHECK(state != 0);
	built_in();
	CHECK(try_program(seeds[0].bytes, seeds[0].size));
	for (int i = 3; i < argc; i++) {
		read_seed(argv[i]);
		CHECK(try_program(seeds[seed_count - 1].bytes, seeds[seed_count - 1].size));
	}
	const uint64_t end = monotonic_ns() + (uint64_t)(seconds * 1e9);
	uint64_t rounds = 0, sound = 0;
	while (monotonic_ns() < end) {
		const struct seed *seed = &seeds[below((uint32_t)seed_count)];
		memcpy(data, seed->bytes, seed->size);
		const size_t size = mutate(data, seed->size);
		const int descriptors = (int)below(MAX_DESCRIPTORS);
		state_size(data, size);
		sound += (uint64_t)try_program(data, size);
		if (rounds++ % 4 == 0)
			try_frame(framed, in_frame(framed, data, size, descriptors), descriptors);
	}
	printf("%llu rounds, %llu sound programs\n", (unsigned long long)rounds, (unsigned long long)sound);
	return 0;
}

#endif
