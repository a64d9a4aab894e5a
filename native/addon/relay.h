/*
 * The TCP relay of one jail: a thread that accepts, dials and copies. It decides nothing: where a destination leads is asked of
 * JavaScript, once for every two seconds or so, and the bytes of inspected connections go through JavaScript until it lets them be.
 * docs/adr/0015 says why this is not JavaScript. src/network/relay/native.ts is the other side of the records.
 */
#ifndef VMJAIL_RELAY_H
#define VMJAIL_RELAY_H

#include <netinet/in.h>

#include "mailbox.h"

enum {
	MOST_LISTENERS = 4,
	MOST_ADDRESSES = 32, /* of one destination: 16 of each family */
	MOST_ATTEMPTS = 4,   /* connections to one destination's addresses at a time */
	MOST_ASKED = 4096,   /* destinations that are remembered */
	FIRST_BYTES = 12,    /* of a server, that are told of */
	NEXT_ATTEMPT_MS = 250,
	GIVE_UP_MS = 15000,
	TICK_MS = 50,
	CHUNK = 128 * 1024,
	SMALL_CHUNK = 4096,
	TURN = 4, /* chunks that one direction moves before others get their turn */
	MOST_HELD = 64 * 1024 * 1024, /* bytes that wait for slow receivers before chunks become small */
	MOST_PIPES = 256, /* at a time; further flows are copied */
	MOST_SPARE = 8,
	PIPE_TURN = 1024 * 1024,
	MOST_MAIL = 4 * 1024 * 1024,
};

/* Records to JavaScript. */
enum {
	TELL_ASK = 1,  /* struct ask_record */
	TELL_OPENED,   /* struct opened_record */
	TELL_CLOSED,   /* struct closed_record */
	TELL_FAILED,   /* u32 ask, errno */
	TELL_FULL,     /* u32 ask */
	TELL_FORGOTTEN, /* u32 ask */
	TELL_DATA,     /* u32 connection, then the client's bytes; no more come before they are answered */
	TELL_ENDED,    /* u32 connection: the client has finished; to be answered too */
	TELL_ANSWERED, /* u32 connection, then the server's first bytes */
};

/* Records from JavaScript. */
enum {
	POST_VERDICT = 1, /* struct verdict_record, then struct address_records */
	POST_FORWARD,     /* struct forward_record, then bytes for the server */
	POST_RESET,       /* u32 connection */
};

enum { VERDICT_ALLOW = 1, VERDICT_INSPECT = 2 };
enum { FORWARD_ANSWER = 1 /* of TELL_DATA or TELL_ENDED */, FORWARD_DONE = 2 /* nothing more to inspect */, FORWARD_END = 4 };

struct address_record {
	uint16_t family; /* 4 or 6 */
	uint16_t port;
	uint32_t reserved;
	uint8_t address[16];
};

struct ask_record {
	uint32_t ask;
	uint32_t reserved;
	struct address_record to;
};

struct opened_record {
	uint32_t connection;
	uint32_t ask;
	struct address_record server;
};

struct verdict_record {
	uint32_t ask;
	uint32_t flags;
	uint32_t lifetime_ms;
	uint32_t count;
};

struct closed_record {
	uint32_t connection;
	uint32_t duration_ms;
	uint64_t sent; /* by the jail */
	uint64_t received;
};

struct forward_record {
	uint32_t connection;
	uint32_t flags;
};

struct connection;

struct list {
	struct connection *first;
	struct connection *last;
};

enum asked { ASKING, ALLOWED, REFUSED };

/* One destination and what is known of it. */
struct ask {
	struct ask *next; /* of the same hash */
	struct address_record to;
	uint32_t id;
	uint32_t users; /* connections that wait for the answer, or for a server */
	enum asked state;
	bool inspect;
	uint64_t until_ms;
	struct list waiting;
	uint32_t count;
	struct address_record addresses[MOST_ADDRESSES];
};

/* One direction of a connection. */
struct flow {
	bool readable;
	bool ending; /* the sender has finished: read until nothing is left */
	bool ended;  /* read to its end */
	bool shut;   /* and the end passed on */
	uint8_t *held; /* what the receiver has not taken yet */
	size_t held_size;
	size_t held_at;
	bool bulk;    /* fills whole chunks: goes by a pipe, without being copied */
	bool has_pipe;
	int pipe[2];  /* while it has one: `piped` bytes are in it */
	size_t piped;
	uint64_t bytes;
};

enum stage { WAITING, DIALLING, OPEN };

struct connection {
	struct connection *next, *previous; /* in the list of its stage, or of those that are ready */
	struct connection *next_ready;
	bool is_ready;
	bool told; /* JavaScript knows of it */
	bool inspected;
	bool answer_due; /* JavaScript has the client's bytes */
	bool end_told;
	enum stage stage;
	uint32_t id;
	int client;
	int server;
	int attempts[MOST_ATTEMPTS];
	struct address_record attempted[MOST_ATTEMPTS];
	int last_error;
	uint32_t next_address;
	struct ask *ask;
	uint64_t begun_ms; /* of the present stage */
	uint64_t next_attempt_ms;
	struct flow up, down;
	uint8_t first[FIRST_BYTES];
	size_t first_size; /* FIRST_BYTES: told */
};

struct relay {
	struct worker worker; /* first */
	int epoll;
	int listeners[MOST_LISTENERS];
	uint32_t listener_count;
	uint32_t most_connections;
	uint32_t most_pending;
	bool tell_all; /* of connections that are not inspected too */
	bool touched;  /* atomic: something has come to a listener */
	uint64_t now_ms;

	struct ask *buckets[MOST_ASKED];
	struct ask *asks[MOST_ASKED];
	uint32_t ask_count;
	uint32_t ask_hand; /* where to look for one to forget */

	struct connection **connections; /* by the low half of their ids */
	uint32_t *generations;
	uint32_t *free_slots;
	uint32_t free_count;
	uint32_t open_count; /* all stages; read by JavaScript */
	uint32_t pending;
	struct list dialling;
	struct connection *ready;
	struct connection *ready_last;
	bool mail_full;
	size_t held;
	int spare[MOST_SPARE][2]; /* empty pipes */
	uint32_t spare_count;
	uint32_t pipe_count; /* of flows */
	uint8_t *chunk;
	size_t chunk_size;

	/* The rate: a bucket that everything of the jail's shares. */
	pthread_mutex_t rate_lock;
	uint64_t rate; /* bytes per second; 0: none */
	double tokens;
	uint64_t rate_ns;
};

/* What an event of epoll is about: low half a connection's id, high half one of these. */
enum { SIDE_CLIENT, SIDE_ATTEMPT, SIDE_LISTENER = SIDE_ATTEMPT + MOST_ATTEMPTS, SIDE_WAKE = SIDE_LISTENER + MOST_LISTENERS };

static inline uint64_t side_of(uint32_t side, uint32_t id)
{
	return (uint64_t)side << 32 | id;
}

/* relay-table.c: connections and destinations */
bool table_open(struct relay *r);
void table_close(struct relay *r);
struct connection *connection_new(struct relay *r, int client);
void connection_free(struct relay *r, struct connection *c);
struct connection *connection_by_id(struct relay *r, uint32_t id);
struct ask *ask_for(struct relay *r, const struct address_record *to); /* NULL: too many */
struct ask *ask_by_id(struct relay *r, uint32_t id);
void list_add(struct list *list, struct connection *c);
void list_remove(struct list *list, struct connection *c);

/* relay-dial.c */
void relay_accept(struct relay *r, int listener);
void relay_verdict(struct relay *r, const uint8_t *body, size_t size);
void dial_event(struct relay *r, struct connection *c, unsigned attempt, uint32_t events);
void dial_tick(struct relay *r);
void dial_abandon(struct relay *r, struct connection *c);

/* relay-flow.c */
void flow_open(struct relay *r, struct connection *c);
void flow_event(struct relay *r, struct connection *c, bool client, uint32_t events);
void flow_ready(struct relay *r);
void flow_forward(struct relay *r, const uint8_t *body, size_t size);
void connection_reset(struct relay *r, struct connection *c);

/* relay-pipe.c: a flow's bytes by splice(2) */
ssize_t pipe_fill(struct relay *r, struct flow *f, int from, size_t most);
int pipe_drain(struct relay *r, struct flow *f, int to);
void pipe_drop(struct relay *r, struct flow *f);
void pipe_close_spare(struct relay *r);

/* relay-rate.c: takes `bytes`; milliseconds to wait before more may be taken. Any thread. */
void rate_open(struct relay *r, uint64_t bytes_per_second);
uint32_t rate_take(struct relay *r, size_t bytes);

#endif
