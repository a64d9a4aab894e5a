/* The relay's connections by number, and the destinations that it has asked about. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "relay.h"

enum { SLOT_BITS = 16, SLOT_MASK = (1 << SLOT_BITS) - 1 };

bool table_open(struct relay *r)
{
	r->connections = calloc(r->most_connections, sizeof *r->connections);
	r->generations = calloc(r->most_connections, sizeof *r->generations);
	r->free_slots = calloc(r->most_connections, sizeof *r->free_slots);
	if (r->connections == NULL || r->generations == NULL || r->free_slots == NULL)
		return false;
	for (uint32_t i = 0; i < r->most_connections; i++)
		r->free_slots[r->free_count++] = r->most_connections - 1 - i;
	return true;
}

void table_close(struct relay *r)
{
	for (uint32_t i = 0; i < MOST_ASKED; i++)
		free(r->asks[i]);
	free(r->connections);
	free(r->generations);
	free(r->free_slots);
}

/* NULL where there are as many as there may be. */
struct connection *connection_new(struct relay *r, int client)
{
	struct connection *c = r->free_count == 0 ? NULL : calloc(1, sizeof *c);
	if (c == NULL)
		return NULL;
	const uint32_t slot = r->free_slots[--r->free_count];
	r->connections[slot] = c;
	c->id = r->generations[slot] << SLOT_BITS | slot;
	c->client = client;
	c->server = -1;
	for (unsigned i = 0; i < MOST_ATTEMPTS; i++)
		c->attempts[i] = -1;
	__atomic_fetch_add(&r->open_count, 1, __ATOMIC_RELAXED);
	return c;
}

/* The descriptors are the caller's. A number is used again only after 65,536 others in its place: late events find nobody. */
void connection_free(struct relay *r, struct connection *c)
{
	const uint32_t slot = c->id & SLOT_MASK;
	r->connections[slot] = NULL;
	r->generations[slot]++;
	r->free_slots[r->free_count++] = slot;
	r->held -= c->up.held_size + c->down.held_size;
	pipe_drop(r, &c->up);
	pipe_drop(r, &c->down);
	free(c->up.held);
	free(c->down.held);
	free(c);
	__atomic_fetch_sub(&r->open_count, 1, __ATOMIC_RELAXED);
}

struct connection *connection_by_id(struct relay *r, uint32_t id)
{
	const uint32_t slot = id & SLOT_MASK;
	struct connection *c = slot < r->most_connections ? r->connections[slot] : NULL;
	return c != NULL && c->id == id ? c : NULL;
}

void list_add(struct list *list, struct connection *c)
{
	c->next = NULL;
	c->previous = list->last;
	if (list->last == NULL)
		list->first = c;
	else
		list->last->next = c;
	list->last = c;
}

void list_remove(struct list *list, struct connection *c)
{
	if (c->previous == NULL)
		list->first = c->next;
	else
		c->previous->next = c->next;
	if (c->next == NULL)
		list->last = c->previous;
	else
		c->next->previous = c->previous;
	c->next = c->previous = NULL;
}

/* FNV-1a. Who floods one bucket slows down the look-ups of one jail: its own. */
static uint32_t hash_of(const struct address_record *to)
{
	uint32_t hash = 2166136261u ^ to->port;
	for (size_t i = 0; i < sizeof to->address; i++)
		hash = (hash ^ to->address[i]) * 16777619u;
	return (hash ^ hash >> 16) % MOST_ASKED;
}

static bool is_same(const struct address_record *a, const struct address_record *b)
{
	return a->family == b->family && a->port == b->port && memcmp(a->address, b->address, sizeof a->address) == 0;
}

static void forget(struct relay *r, struct ask *ask)
{
	struct ask **at = &r->buckets[hash_of(&ask->to)];
	while (*at != ask)
		at = &(*at)->next;
	*at = ask->next;
	r->asks[ask->id] = NULL;
	r->ask_count--;
	worker_tell(&r->worker, TELL_FORGOTTEN, &ask->id, sizeof ask->id, NULL, 0);
	free(ask);
}

/* A free number; when there is none, that of a destination which is out of date and which nobody waits for. */
static bool find_number(struct relay *r, uint32_t *number)
{
	for (uint32_t i = 0; i < MOST_ASKED; i++) {
		const uint32_t at = (r->ask_hand + i) % MOST_ASKED;
		struct ask *ask = r->asks[at];
		if (ask != NULL && (ask->users > 0 || ask->state == ASKING || ask->until_ms > r->now_ms))
			continue;
		if (ask != NULL)
			forget(r, ask);
		r->ask_hand = at + 1;
		*number = at;
		return true;
	}
	return false;
}

struct ask *ask_for(struct relay *r, const struct address_record *to)
{
	struct ask **bucket = &r->buckets[hash_of(to)];
	uint32_t number;
	for (struct ask *ask = *bucket; ask != NULL; ask = ask->next)
		if (is_same(&ask->to, to))
			return ask;
	struct ask *ask = find_number(r, &number) ? calloc(1, sizeof *ask) : NULL;
	if (ask == NULL)
		return NULL;
	ask->to = *to;
	ask->id = number;
	ask->state = REFUSED; /* and out of date: it will be asked */
	ask->next = *bucket;
	*bucket = ask;
	r->asks[number] = ask;
	r->ask_count++;
	return ask;
}

struct ask *ask_by_id(struct relay *r, uint32_t id)
{
	return id < MOST_ASKED ? r->asks[id] : NULL;
}
