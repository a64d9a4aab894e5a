#include "frames.h"
#include "machine.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

union control {
	char bytes[CMSG_SPACE(sizeof(int) * MAX_DESCRIPTORS)];
	struct cmsghdr align;
};

/* Takes the descriptors out of a message; returns how many, or -1 if there is anything else. */
static int take_descriptors(struct msghdr *message, int *out)
{
	int count = 0;
	bool strange = (message->msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			strange = true;
			continue;
		}
		const int n = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		for (int i = 0; i < n && count < MAX_DESCRIPTORS; i++)
			memcpy(&out[count++], CMSG_DATA(c) + (size_t)i * sizeof(int), sizeof(int));
	}
	return strange ? -1 : count;
}

static bool same_token(const uint8_t *a, const uint8_t *b)
{
	uint8_t difference = 0;
	for (int i = 0; i < TOKEN_SIZE; i++)
		difference |= a[i] ^ b[i];
	return difference == 0;
}

static bool header_is_sound(struct channel *channel, const struct frame_header *h, ssize_t received, int descriptors)
{
	if (received < (ssize_t)sizeof *h || h->length != (uint32_t)received || descriptors != h->descriptors)
		return false;
	if ((h->flags & ~(FLAG_MEMFD | FLAG_LAST | FLAG_RESET | FLAG_ERRAND | FLAG_WAITING)) != 0 || h->sequence <= channel->last_sequence)
		return false;
	return !channel->bound || same_token(channel->token, h->token);
}

static enum receive_result receive(struct channel *channel, uint8_t *buffer, struct frame *frame, int flags)
{
	union control control;
	struct iovec parts = {.iov_base = buffer, .iov_len = MAX_FRAME};
	struct msghdr message = {
		.msg_iov = &parts, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	for (int i = 0; i < MAX_DESCRIPTORS; i++)
		frame->descriptors[i] = -1;
	const ssize_t n = RETRY(recvmsg(channel->socket, &message, MSG_CMSG_CLOEXEC | flags));
	if (n < 0)
		return errno == EAGAIN ? RECEIVE_NOTHING : RECEIVE_END;
	const int descriptors = take_descriptors(&message, frame->descriptors);
	if (n == 0 && descriptors == 0)
		return RECEIVE_END;
	if (n >= (ssize_t)sizeof frame->header)
		memcpy(&frame->header, buffer, sizeof frame->header);
	if (!header_is_sound(channel, &frame->header, n, descriptors)) {
		frame_close_descriptors(frame);
		return RECEIVE_BROKEN;
	}
	memcpy(channel->token, frame->header.token, TOKEN_SIZE);
	channel->bound = true;
	channel->last_sequence = frame->header.sequence;
	frame->payload = buffer + sizeof frame->header;
	frame->size = (size_t)n - sizeof frame->header;
	return RECEIVED;
}

enum receive_result frame_receive(struct channel *channel, uint8_t *buffer, struct frame *frame)
{
	return receive(channel, buffer, frame, MSG_DONTWAIT);
}

enum receive_result frame_wait(struct channel *channel, uint8_t *buffer, struct frame *frame)
{
	return receive(channel, buffer, frame, 0);
}

int frame_forward(int socket, const struct frame *frame)
{
	const size_t bytes = sizeof(int) * frame->header.descriptors;
	struct iovec part = {.iov_base = frame->payload - sizeof frame->header, .iov_len = frame->header.length};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	union control control = {0};
	message.msg_control = control.bytes;
	message.msg_controllen = CMSG_SPACE(bytes);
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(bytes);
	memcpy(CMSG_DATA(c), frame->descriptors, bytes);
	return RETRY(sendmsg(socket, &message, MSG_NOSIGNAL)) < 0 ? -1 : 0;
}

static int send_frame(struct channel *channel, struct frame_header header, const void *payload, int descriptor, int flags)
{
	const size_t size = header.length - sizeof header;
	memcpy(header.token, channel->token, TOKEN_SIZE);
	struct iovec parts[2] = {{&header, sizeof header}, {(void *)payload, size}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	union control control = {0};
	if (descriptor >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &descriptor, sizeof(int));
	}
	return RETRY(sendmsg(channel->socket, &message, MSG_NOSIGNAL | flags)) < 0 ? -1 : 0;
}

static struct frame_header header_of(enum frame_type type, uint32_t sequence, uint32_t jail, size_t size)
{
	return (struct frame_header){.length = (uint32_t)(sizeof(struct frame_header) + size),
				     .type = (uint16_t)type,
				     .sequence = sequence,
				     .jail = jail};
}

int frame_send(struct channel *channel, enum frame_type type, uint32_t sequence, uint32_t jail, const void *payload,
	       size_t size, int descriptor)
{
	struct frame_header header = header_of(type, sequence, jail, size);
	header.descriptors = descriptor >= 0;
	return send_frame(channel, header, payload, descriptor, 0);
}

bool frame_try_send(struct channel *channel, enum frame_type type, uint32_t sequence, uint32_t jail, const void *payload,
		    size_t size)
{
	return send_frame(channel, header_of(type, sequence, jail, size), payload, -1, MSG_DONTWAIT) == 0;
}

void frame_close_descriptors(struct frame *frame)
{
	for (int i = 0; i < MAX_DESCRIPTORS; i++) {
		if (frame->descriptors[i] >= 0)
			close(frame->descriptors[i]);
		frame->descriptors[i] = -1;
	}
}

static bool read_all(int descriptor, uint8_t *out, size_t size)
{
	for (size_t done = 0; done < size;) {
		const ssize_t n = RETRY(pread(descriptor, out + done, size - done, (off_t)done));
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

static uint8_t *map_private(size_t size, int flags, int descriptor)
{
	if (size == 0 || size > MAX_PROGRAM)
		return NULL;
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | flags, descriptor, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

/*
 * The memfd must be sealed against writing and resizing: the program is checked once and must stay as checked. Or it is
 * copied first: gVisor tells nothing of the seals of what was opened outside of it.
 */
static uint8_t *map_memfd(int descriptor, bool copy, size_t *size)
{
	const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
	struct stat info;
	if (!copy) {
		const int have = fcntl(descriptor, F_GET_SEALS);
		if (have < 0 || (have & seals) != seals)
			return NULL;
	}
	if (fstat(descriptor, &info) != 0)
		return NULL;
	*size = (size_t)info.st_size;
	if (!copy)
		return map_private(*size, 0, descriptor);
	uint8_t *program = map_private(*size, MAP_ANONYMOUS, -1);
	if (program != NULL && !read_all(descriptor, program, *size)) {
		munmap(program, *size);
		return NULL;
	}
	return program;
}

uint8_t *frame_program(const struct channel *channel, struct frame *frame, size_t *size)
{
	uint8_t *program;
	if (frame->header.flags & FLAG_MEMFD) {
		const int last = frame->header.descriptors - 1;
		if (last < 0 || frame->size != 0)
			return NULL;
		program = map_memfd(frame->descriptors[last], channel->copies, size);
		close(frame->descriptors[last]);
		frame->descriptors[last] = -1;
	} else {
		*size = frame->size;
		program = map_private(*size, MAP_ANONYMOUS, -1);
		if (program != NULL)
			memcpy(program, frame->payload, *size);
	}
	if (program != NULL && !program_is_sound(program, *size)) {
		munmap(program, *size);
		return NULL;
	}
	return program;
}

bool descriptor_is_stdio(int descriptor)
{
	struct stat info;
	const int flags = fcntl(descriptor, F_GETFL);
	if (flags < 0 || (flags & O_PATH) != 0 || fstat(descriptor, &info) != 0)
		return false;
	return !S_ISDIR(info.st_mode) && !S_ISBLK(info.st_mode);
}
