/*
 * The sink's thread: which batch leaves when, by which lane.
 */
#include "export/http_sink.h"

#include "core/crash.h"
#include "core/log.h"
#include "core/stop.h"
#include "export/gzip.h"

#include <time.h>

/* A wait without an end; any sleep is cut short by post_wake(). */
#define FOREVER_MS 3600000

/* With new settings at hand, requests that are on their way are waited for so long; then they are sent again. */
#define FRESH_WAIT_MS 10000

int64_t http_clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* ---- the queue ------------------------------------------------------------------------------- */

void http_queue(struct http_sink *s, struct batch *in)
{
	size_t max = s->join_max < BATCH_TARGET ? s->join_max : BATCH_TARGET;
	struct slice bytes = slice_of(in->bytes.p, in->bytes.len);
	struct batch *b = s->queue.tail;

	s->bytes += bytes.len;
	if (s->queue.head && batch_fits(b, bytes, in->json, max)) {
		size_t before = b->bytes.len;

		batch_append(b, bytes);
		s->queue.bytes += b->bytes.len - before;
		s->bytes -= bytes.len - (b->bytes.len - before);
		batch_count(b, in);
		b->born_ms = earlier(b->born_ms, in->born_ms);
		return;
	}
	if (s->queue.head)
		batch_shrink(b);
	b = batch_new(in->json);
	b->born_ms = in->born_ms;
	batch_count(b, in);
	/* Whoever gave little keeps its buffer, which has grown for more. */
	if (bytes.len < BATCH_TARGET / 4) {
		buf_slice(&b->bytes, bytes);
	} else {
		b->bytes = in->bytes;
		batch_shrink(b);
		in->bytes = (struct buf){ .max = in->bytes.max };
	}
	batches_append(&s->queue, b);
}

/* What is on disk only, as far as there is room: oldest first. Returns when to come again, if the disk did not give it. */
static int64_t refill(struct http_sink *s)
{
	struct batch in = { .bytes = { .max = WIRE_MAX } };
	enum spool_got got = SPOOL_GOT;
	struct spool_got_record r;
	uint64_t lost = 0;
	bool room = true;

	if (clock_ms() < s->read_ms)
		return s->read_ms - clock_ms();
	while (got == SPOOL_GOT && room) {
		pthread_mutex_lock(&s->lock);
		room = s->queue.bytes < s->join_max && s->bytes < s->buffer_max;
		pthread_mutex_unlock(&s->lock);
		if (!room)
			break;
		in.bytes.len = 0;
		got = spool_read(s->spool, &in.bytes, &r, &lost);
		if (lost)
			http_lost(s, lost);
		lost = 0;
		if (got != SPOOL_GOT)
			break;
		in.spans = r.spans;
		in.seq = UINT64_MAX;
		in.at = r.at;
		in.json = r.json;
		pthread_mutex_lock(&s->lock);
		http_queue(s, &in);
		pthread_mutex_unlock(&s->lock);
	}
	buf_free(&in.bytes);
	if (got == SPOOL_NOTHING)
		http_spool_settle(s);
	if (got != SPOOL_LATER)
		return FOREVER_MS;
	s->read_ms = clock_ms() + SPOOL_RETRY_MS;
	return SPOOL_RETRY_MS;
}

/* May the first batch leave? Else `*sleep` is shortened to when it may. Under the lock. */
static bool is_ripe(struct http_sink *s, int64_t now, int64_t *sleep)
{
	const struct batch *b = s->queue.head;

	if (!b)
		return false;
	if (s->closing || s->blocked || b->half || b->born_ms + s->delay_ms <= now || s->queue.bytes >= s->join_max ||
	    s->queue.bytes >= BATCH_TARGET || stop_requested())
		return true;
	*sleep = earlier(*sleep, b->born_ms + s->delay_ms - now);
	return false;
}

/* To the lane: the next batch, with those behind it as far as they may be joined. */
static void take_batch(struct http_sink *s, struct lane *lane, int64_t now, int64_t *sleep)
{
	struct batch *b = NULL, *more = NULL, *next;

	pthread_mutex_lock(&s->lock);
	if (is_ripe(s, now, sleep)) {
		struct batch **end = &more;
		size_t len;

		b = lane->batch = batches_pop(&s->queue);
		len = b->bytes.len;
		while ((next = s->queue.head) && !next->half &&
		       batch_fits(b, slice_of(next->bytes.p, next->bytes.len), next->json, s->join_max) &&
		       (len += next->bytes.len) <= s->join_max) {
			*end = batches_pop(&s->queue);
			end = &next->next;
			batch_count(b, next);
		}
	}
	pthread_mutex_unlock(&s->lock);
	if (b)
		batch_shrink(b);
	for (; more; more = next) {
		size_t before = b->bytes.len;

		next = more->next;
		batch_append(b, slice_of(more->bytes.p, more->bytes.len));
		pthread_mutex_lock(&s->lock);
		s->bytes -= more->bytes.len - (b->bytes.len - before);
		pthread_mutex_unlock(&s->lock);
		batch_free(more);
	}
}

/* ---- the lanes ------------------------------------------------------------------------------- */

static void launch(struct http_sink *s, unsigned i)
{
	struct lane *lane = &s->lane[i];
	struct batch *b = lane->batch;
	const struct buf *body = &b->bytes;

	if (s->e.gzip) {
		body = &b->packed;
		if (b->packed.len == 0) {
			gzip_pack(slice_of(b->bytes.p, b->bytes.len), &b->packed);
			pthread_mutex_lock(&s->lock);
			s->bytes += b->packed.len;
			pthread_mutex_unlock(&s->lock);
		}
	}
	crash_point("http.send.before");
	lane->flying = true;
	lane->sent_us = http_clock_us();
	post_start(s->post, i, slice_of(body->p, body->len), (lane->careful ? POST_CAREFUL : 0) | (b->json ? POST_JSON : 0));
	crash_point("http.send.after");
}

/* Nothing new is sent while the sink is disabled; at the end everything is. */
static bool is_held_back(const struct http_sink *s)
{
	return s->base.disabled && !stop_requested();
}

/* Start what may start. Returns how long to sleep if nothing else happens. */
static int64_t launch_due(struct http_sink *s)
{
	int64_t now = clock_ms(), sleep = FOREVER_MS;

	if (is_held_back(s))
		return TICK_MS;
	for (unsigned i = 0; i < s->e.connections; i++) {
		struct lane *lane = &s->lane[i];
		int64_t due = lane->due_ms > s->gate_ms ? lane->due_ms : s->gate_ms;

		if (lane->flying)
			continue;
		if (due <= now && !lane->batch) {
			if (s->spool)
				sleep = earlier(sleep, refill(s));
			take_batch(s, lane, now, &sleep);
		}
		if (due > now)
			sleep = earlier(sleep, due - now);
		else if (lane->batch)
			launch(s, i);
	}
	return sleep;
}

/* ---- new settings ---------------------------------------------------------------------------- */

static bool is_flying(const struct http_sink *s)
{
	for (unsigned i = 0; i < s->e.connections; i++)
		if (s->lane[i].flying)
			return true;
	return false;
}

/* Nothing is on its way: what comes next is sent by the new settings. Under the lock. */
static void take_fresh(struct http_sink *s)
{
	post_close(s->post);
	endpoint_free(&s->e);
	s->e = s->fresh.e;
	s->post = s->fresh.post;
	s->fresh = (struct http_fresh){ .post = NULL };
	post_attach(s->post, &s->e);
	/* What was refused by the old ones may be welcome now. */
	s->gate_ms = 0;
	s->join_max = http_join_max;
	s->join_wait_ms = 0;
	s->join_grown = false;
	for (unsigned i = 0; i < s->e.connections; i++) {
		s->lane[i].flying = false;
		s->lane[i].due_ms = 0;
	}
}

/* Are there new settings that wait for requests which are on their way? */
static bool is_fresh_due(struct http_sink *s, int64_t *sleep)
{
	bool waits;

	pthread_mutex_lock(&s->lock);
	if (s->fresh.post && (!is_flying(s) || clock_ms() - s->fresh.since_ms > FRESH_WAIT_MS))
		take_fresh(s);
	waits = s->fresh.post != NULL;
	pthread_mutex_unlock(&s->lock);
	if (waits)
		*sleep = TICK_MS;
	return waits;
}

/* ---- the loop -------------------------------------------------------------------------------- */

static bool is_idle(const struct http_sink *s)
{
	for (unsigned i = 0; i < s->e.connections; i++)
		if (s->lane[i].batch)
			return false;
	return !s->queue.head && !(s->spool && spool_behind(s->spool));
}

/*
 * Is there nothing left to do, or no time left to do it? Else `*sleep` is shortened to the next
 * look.
 */
static bool is_over(struct http_sink *s, int64_t *sleep)
{
	int64_t now = clock_ms();
	bool over;

	pthread_mutex_lock(&s->lock);
	over = s->quit || (s->closing && (is_idle(s) || http_drained(s)));
	if ((s->closing || s->blocked) && !over && !is_held_back(s)) {
		/* Giving up counts while the end, or the input, waits for an acknowledgement. */
		if (s->progress_ms == 0)
			s->progress_ms = now;
		over = s->give_up_ms && now - s->progress_ms >= s->give_up_ms;
		*sleep = earlier(*sleep, TICK_MS);
	} else {
		s->progress_ms = 0;
	}
	if (over && !s->closing && !s->quit) {
		s->quit = true;
		s->base.failed = true;
		pthread_cond_broadcast(&s->room);
	}
	pthread_mutex_unlock(&s->lock);
	return over;
}

void *http_run(void *arg)
{
	struct http_sink *s = arg;
	struct post_answer a;
	int64_t sleep;

	for (;;) {
		if (!is_fresh_due(s, &sleep))
			sleep = launch_due(s);
		if (is_over(s, &sleep))
			return NULL;
		post_wait(s->post, sleep);
		while (post_next(s->post, &a))
			http_settle(s, &a);
	}
}
