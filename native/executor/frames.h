/* Frames over a SOCK_SEQPACKET socket: strict about length, type, sequence, token and descriptors. */
#ifndef VMJAIL_FRAMES_H
#define VMJAIL_FRAMES_H

#include "sys.h"
#include "wire.h"

struct channel {
	int socket;
	bool bound; /* has the first frame fixed the token? */
	bool copies; /* programs in memory files are copied, not mapped: their seals cannot be seen here */
	uint32_t last_sequence;
	uint8_t token[TOKEN_SIZE];
};

struct frame {
	struct frame_header header;
	uint8_t *payload; /* inside the caller's buffer */
	size_t size;
	int descriptors[MAX_DESCRIPTORS];
};

enum receive_result {
	RECEIVED,
	RECEIVE_NOTHING, /* would block */
	RECEIVE_END,     /* the peer is gone */
	RECEIVE_BROKEN,  /* the frame breaks the protocol; its descriptors are closed */
};

/* `buffer`: MAX_FRAME bytes, 8-byte aligned. Descriptors arrive close-on-exec and belong to the caller. */
enum receive_result frame_receive(struct channel *channel, uint8_t *buffer, struct frame *frame);

/* The same, waiting until there is one or the peer is gone. */
enum receive_result frame_wait(struct channel *channel, uint8_t *buffer, struct frame *frame);

/* Sends on what was just received, with its descriptors (one at least), which stay the caller's too. 0, or -1 and errno. */
int frame_forward(int socket, const struct frame *frame);

/* Sends one frame in one call; `descriptor` -1 for none. Returns 0, or -1 and errno. */
int frame_send(struct channel *channel, enum frame_type type, uint32_t sequence, uint32_t jail, const void *payload,
	       size_t size, int descriptor);

/* The same without waiting: false where the socket is full or gone. */
bool frame_try_send(struct channel *channel, enum frame_type type, uint32_t sequence, uint32_t jail, const void *payload,
		    size_t size);

void frame_close_descriptors(struct frame *frame);

/*
 * The program of a frame, in memory of its own, writable: copied from the payload, or mapped privately from the sealed
 * memfd that is the frame's last descriptor (which is closed). NULL if it is not sound.
 */
uint8_t *frame_program(const struct channel *channel, struct frame *frame, size_t *size);

/* What may become stdin, stdout or stderr of an untrusted program: no folder, no O_PATH, no block device. */
bool descriptor_is_stdio(int descriptor);

#endif
