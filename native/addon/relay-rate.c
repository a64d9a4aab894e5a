/* A token bucket with a burst of a tenth of a second. */
#include <time.h>

#include "relay.h"

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static double burst_of(const struct relay *r)
{
	return r->rate < 10 ? 1 : (double)r->rate / 10;
}

void rate_open(struct relay *r, uint64_t bytes_per_second)
{
	pthread_mutex_init(&r->rate_lock, NULL);
	r->rate = bytes_per_second;
	r->tokens = burst_of(r);
	r->rate_ns = now_ns();
}

uint32_t rate_take(struct relay *r, size_t bytes)
{
	if (r->rate == 0)
		return 0;
	pthread_mutex_lock(&r->rate_lock);
	const uint64_t now = now_ns();
	r->tokens += (double)(now - r->rate_ns) / 1e9 * (double)r->rate;
	r->rate_ns = now;
	if (r->tokens > burst_of(r))
		r->tokens = burst_of(r);
	r->tokens -= (double)bytes;
	const double wait_ms = r->tokens >= 0 ? 0 : -r->tokens / (double)r->rate * 1000 + 1;
	pthread_mutex_unlock(&r->rate_lock);
	return wait_ms > 3600000 ? 3600000 : (uint32_t)wait_ms;
}
