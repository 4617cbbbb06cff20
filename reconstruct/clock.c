#include "reconstruct/clock.h"

/* FNV-1a. Who finds two names with one hash gets two hosts that share a clock. */
static uint64_t hash_of(struct slice name)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < name.len; i++)
		h = (h ^ (unsigned char)name.p[i]) * UINT64_C(0x100000001b3);
	return h;
}

static struct host_clock *clock_of(struct clock *c, struct slice name)
{
	uint64_t hash = hash_of(name);
	struct host_clock *h = c->host;

	for (; h < c->host + c->n; h++)
		if (h->host == hash)
			return h;
	if (c->n == CLOCK_HOSTS)
		return h - 1;
	c->n++;
	*h = (struct host_clock){ .host = hash, .passed = c->passed };
	return h;
}

/* One more that is far away; true: they prove it. */
static bool is_proven(struct host_clock *h, int64_t time_us, uint64_t line)
{
	int side = time_us > h->at ? 1 : -1;

	if (h->far * side <= 0) {
		h->far = 0;
		h->nearest = time_us;
		h->since = line;
	}
	h->far += side;
	if ((time_us - h->nearest) * side < 0)
		h->nearest = time_us;
	return h->far * side >= CLOCK_PROOF;
}

static void pass(struct host_clock *h, int64_t to, int64_t most)
{
	int64_t by = to - h->at;

	if (by > 0)
		h->passed += by < most ? by : most;
	h->at = to;
	h->far = 0;
}

uint64_t clock_line(struct clock *c, struct slice host, int64_t time_us, uint64_t line)
{
	struct host_clock *h;
	uint64_t since = 0;

	if (time_us <= 0)
		return 0;
	h = clock_of(c, host);
	if (h->at == 0)
		h->at = time_us;
	if (time_us - h->at > CLOCK_STEP_US || h->at - time_us > CLOCK_STEP_US) {
		if (is_proven(h, time_us, line)) {
			pass(h, h->nearest, c->most);
			since = h->since;
		}
	} else {
		pass(h, time_us > h->at ? time_us : h->at, INT64_MAX);
	}
	c->passed = h->passed > c->passed ? h->passed : c->passed;
	return since;
}
