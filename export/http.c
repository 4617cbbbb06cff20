/*
 * The OTLP/HTTP sink: a queue, one thread that empties it (http_send.c) through export/post.c, and the account of what
 * became of each span (http_answer.c).
 *
 * A wire joins a batch; a batch stays in memory, or its wires in the spool, and its spans are `held`, until the
 * collector has answered for it. There are as many lanes as requests may be in flight; a batch that must be
 * sent again keeps its lane while it waits, so that a collector in trouble is not met with ever new
 * requests.
 *
 * With a spool every wire is written there first, and is settled by that. The copy in memory is what is sent, while there
 * is room for it; after that wires are on disk only, and the thread reads them back in their order until it has caught up.
 */
#include "export/http_sink.h"

#include "core/log.h"
#include "core/stop.h"
#include "core/wait.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

struct retry_timing http_timing = RETRY_TIMING_DEFAULT;
size_t http_join_max = JOIN_MAX;

/* ---- waiting; under the lock ------------------------------------------------------------------- */

bool http_drained(struct http_sink *s)
{
	if (s->stop_ms == 0 && stop_requested())
		s->stop_ms = clock_ms();
	return s->stop_ms && clock_ms() - s->stop_ms >= s->drain_ms;
}

void http_wake(struct http_sink *s)
{
	post_wake(s->post);
}

static void wait_for_room(struct http_sink *s)
{
	s->blocked = true;
	http_wake(s);
	wait_ms(&s->room, &s->lock, TICK_MS);
}

static bool has_room(const struct http_sink *s, size_t n)
{
	return !s->bytes || s->bytes + n <= s->buffer_max;
}

/* ---- taking a wire ----------------------------------------------------------------------------- */

/* Into memory. `seq` and `at` as in struct batch. Under the lock. */
static void keep(struct http_sink *s, struct wire *w, uint64_t seq, uint64_t at)
{
	struct batch in = {
		.bytes = w->bytes, .spans = w->spans, .loose = seq == UINT64_MAX ? 0 : w->spans, .seq = seq, .at = at,
		.born_ms = clock_ms(), .json = s->json,
	};
	bool first = !s->queue.head;

	http_queue(s, &in);
	w->bytes = in.bytes;
	/* It looks at the clock for the first one, and need not know of others until there are enough. */
	if (first || s->queue.bytes >= BATCH_TARGET || s->queue.bytes >= s->join_max)
		http_wake(s);
}

/* Into the spool, and into memory if it is next. Under the lock, which is let go for the disk. */
static enum spool_put spool_wire(struct http_sink *s, struct wire *w)
{
	struct spool_wire sw = {
		.bytes = slice_of(w->bytes.p, w->bytes.len),
		.spans = (uint32_t)w->spans,
		.json = s->json,
		.seq = w->seq,
		.keep = has_room(s, w->bytes.len),
	};
	enum spool_put put;

	/* Until it has a place nobody may take it for answered. */
	s->arriving = spool_end(s->spool);
	pthread_mutex_unlock(&s->lock);
	put = spool_append(s->spool, &sw);
	pthread_mutex_lock(&s->lock);
	if (put == SPOOL_PUT && sw.kept)
		keep(s, w, UINT64_MAX, sw.at);
	else if (put == SPOOL_PUT && !s->queue.head)
		http_wake(s);
	s->arriving = SPOOL_NOWHERE;
	return put;
}

/*
 * Find a place for the wire; waits for one. false: there is none, and no time: held, not settled, and
 * nowhere. Under the lock.
 */
static bool take_in(struct http_sink *s, struct wire *w)
{
	bool taken = false;

	while (!taken) {
		enum spool_put put = s->spool ? spool_wire(s, w) : SPOOL_FAILED;

		taken = put == SPOOL_PUT;
		/* A full spool is what slows the source; memory is for when it does not work. */
		if (put == SPOOL_FAILED && !s->quit && has_room(s, w->bytes.len)) {
			keep(s, w, w->seq, SPOOL_NOWHERE);
			taken = true;
		}
		if (!taken && (s->quit || http_drained(s)))
			break;
		if (!taken)
			wait_for_room(s);
	}
	s->blocked = false;
	return taken;
}

static void http_submit(struct sink *sink, struct wire *w)
{
	struct http_sink *s = (struct http_sink *)sink;
	size_t len = w->bytes.len;

	/* The newline ends a line of a file; here a request ends it. */
	if (s->json && w->bytes.len && w->bytes.p[w->bytes.len - 1] == '\n')
		w->bytes.len--;
	/* OTLP, "Empty": envelopes without spans should not be sent. */
	if (w->spans) {
		pthread_mutex_lock(&s->lock);
		s->submitted += w->spans;
		s->coming = w->seq;
		if (!take_in(s, w)) {
			s->left_out = w->seq < s->left_out ? w->seq : s->left_out;
			s->left_spans += w->spans;
			/* Nobody needs to read on for this sink. */
			sink->failed = true;
		}
		s->coming = UINT64_MAX;
		pthread_mutex_unlock(&s->lock);
	}
	w->bytes.len = 0;
	w->spans = 0;
	/* A batch has taken the buffer: the next block needs as much, and would copy it again and again while it grows. */
	if (!w->bytes.p)
		buf_room(&w->bytes, len);
}

/* ---- what is known of it ------------------------------------------------------------------------- */

static void http_tally(struct sink *sink, struct sink_tally *out)
{
	http_account((struct http_sink *)sink, out, NULL);
}

static uint64_t http_unsettled(struct sink *sink)
{
	struct http_sink *s = (struct http_sink *)sink;
	uint64_t seq, suspect;

	pthread_mutex_lock(&s->lock);
	seq = s->coming < s->left_out ? s->coming : s->left_out;
	for (unsigned i = 0; i < s->e.connections; i++)
		if (s->lane[i].batch && s->lane[i].batch->seq < seq)
			seq = s->lane[i].batch->seq;
	for (const struct batch *b = s->queue.head; b; b = b->next)
		seq = b->seq < seq ? b->seq : seq;
	pthread_mutex_unlock(&s->lock);
	suspect = s->spool ? spool_suspect(s->spool) : UINT64_MAX;
	return suspect < seq ? suspect : seq;
}

static void http_sync(struct sink *sink)
{
	struct http_sink *s = (struct http_sink *)sink;

	if (s->spool)
		spool_sync(s->spool);
}

static void http_metrics(struct sink *sink, struct metrics *m)
{
	struct http_sink *s = (struct http_sink *)sink;
	struct spool_numbers disk;
	size_t bytes;

	http_account(s, NULL, &bytes);
	metrics_add(m, METRIC_sink_queue_bytes, (double)bytes);
	metrics_add(m, METRIC_sink_queue_max_bytes, (double)s->buffer_max);
	metrics_add(m, METRIC_sink_requests_total, (double)s->requests);
	metrics_add(m, METRIC_sink_retrying, s->retrying);
	metrics_add(m, METRIC_sink_failures_total, (double)s->failures);
	metrics_add_histogram(m, METRIC_sink_batch_spans, &s->batch_spans);
	metrics_add_histogram(m, METRIC_sink_batch_bytes, &s->batch_bytes);
	metrics_add_histogram(m, METRIC_sink_latency_seconds, &s->latency);
	if (!s->spool)
		return;
	spool_numbers(s->spool, &disk);
	metrics_add(m, METRIC_spool_bytes, (double)disk.bytes);
	metrics_add(m, METRIC_spool_max_bytes, (double)s->spool_max);
	metrics_add(m, METRIC_spool_errors_total, (double)disk.errors);
	metrics_add(m, METRIC_spool_corrupt_total, (double)disk.corrupt);
}

/* ---- new settings ---------------------------------------------------------------------------------- */

/* Protocol, number of connections, buffers and spool stay what they were. */
static bool http_reload(struct sink *sink, const struct export_config *cfg, struct err *err)
{
	struct http_sink *s = (struct http_sink *)sink;
	struct http_fresh *fresh = &s->fresh;
	struct endpoint e;
	struct post *post;

	if (!endpoint_parse(slice_str(s->given), cfg, &e, err)) {
		endpoint_free(&e);
		return false;
	}
	pthread_mutex_lock(&s->lock);		/* the thread may be taking the last ones */
	e.connections = s->e.connections;
	pthread_mutex_unlock(&s->lock);
	post = post_open(&e, cfg, err);
	if (!post) {
		endpoint_free(&e);
		return false;
	}
	pthread_mutex_lock(&s->lock);
	if (fresh->post) {	/* nobody has taken the last ones yet */
		post_close(fresh->post);
		endpoint_free(&fresh->e);
	}
	*fresh = (struct http_fresh){ e, post, clock_ms() };
	post_attach(post, &fresh->e);
	s->delay_ms = cfg->batch_delay_ms;
	s->drain_ms = cfg->drain_ms;
	s->give_up_ms = cfg->give_up_ms;
	http_wake(s);
	pthread_mutex_unlock(&s->lock);
	return true;
}

/* ---- begin and end ----------------------------------------------------------------------------------- */

/* Signals are the main thread's, SIGPIPE is nobody's. */
static bool start_thread(struct http_sink *s)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	s->running = pthread_create(&s->thread, NULL, http_run, s) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return s->running;
}

static void join_thread(struct http_sink *s)
{
	if (!s->running)
		return;
	pthread_mutex_lock(&s->lock);
	http_wake(s);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	s->running = false;
}

/* Of those that are held, how many are in the spool. The thread has ended. */
static uint64_t spans_on_disk(struct http_sink *s, uint64_t held)
{
	uint64_t nowhere = s->left_spans + spool_missing(s->spool);

	for (unsigned i = 0; i < s->e.connections; i++)
		nowhere += s->lane[i].batch ? s->lane[i].batch->loose : 0;
	for (const struct batch *b = s->queue.head; b; b = b->next)
		nowhere += b->loose;
	return nowhere < held ? held - nowhere : 0;
}

/* Spans are held, and this is the end. */
static void say_gave_up(struct http_sink *s, uint64_t held)
{
	const char *why = s->reason[0] ? s->reason : "no answer in time";
	uint64_t kept = s->spool ? spans_on_disk(s, held) : 0;

	if (kept == held)
		log_error("%s: %s; gave up with %" PRIu64 " spans held, and kept in the spool", s->e.shown, why, held);
	else if (s->spool)
		log_error("%s: %s; gave up with %" PRIu64 " spans held: %" PRIu64 " are kept in the spool, %" PRIu64
			  " are not, and come again only if their lines do", s->e.shown, why, held, kept, held - kept);
	else
		log_error("%s: %s; gave up with %" PRIu64 " spans held: run haspan again when %s, or let --spool DIR keep them",
			  s->e.shown, why, held, s->mend ? "that is mended" : "a collector listens there");
}

static void http_finish(struct sink *sink)
{
	struct http_sink *s = (struct http_sink *)sink;
	struct sink_tally t;

	pthread_mutex_lock(&s->lock);
	s->closing = true;
	pthread_mutex_unlock(&s->lock);
	join_thread(s);
	http_tally(sink, &t);
	if (s->spool)
		spool_sync(s->spool);
	if (t.held == 0)
		return;
	sink->failed = true;
	say_gave_up(s, t.held);
}

static void http_free(struct sink *sink)
{
	struct http_sink *s = (struct http_sink *)sink;

	pthread_mutex_lock(&s->lock);
	s->quit = true;
	pthread_mutex_unlock(&s->lock);
	join_thread(s);
	if (s->post)
		post_close(s->post);
	if (s->fresh.post) {
		post_close(s->fresh.post);
		endpoint_free(&s->fresh.e);
	}
	for (unsigned i = 0; s->lane && i < s->e.connections; i++)
		if (s->lane[i].batch)
			batch_free(s->lane[i].batch);
	while (s->queue.head)
		batch_free(batches_pop(&s->queue));
	if (s->spool)
		spool_close(s->spool);
	pthread_cond_destroy(&s->room);
	pthread_mutex_destroy(&s->lock);
	endpoint_free(&s->e);
	free(s->base.uri);
	free(s->given);
	free(s->lane);
	free(s);
}

static const struct sink_ops http_ops = {
	.submit = http_submit,
	.finish = http_finish,
	.tally = http_tally,
	.unsettled = http_unsettled,
	.sync = http_sync,
	.reload = http_reload,
	.metrics = http_metrics,
	.free = http_free,
};

static struct http_sink *http_new(const struct export_config *cfg)
{
	struct http_sink *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->base.ops = &http_ops;
	s->base.holds = true;
	s->buffer_max = cfg->buffer_max;
	s->spool_max = cfg->spool_max;
	s->delay_ms = cfg->batch_delay_ms;
	s->drain_ms = cfg->drain_ms;
	s->give_up_ms = cfg->give_up_ms;
	s->join_max = http_join_max;
	s->coming = s->left_out = UINT64_MAX;
	s->arriving = SPOOL_NOWHERE;
	s->random = (uint64_t)time(NULL) << 32 ^ (uint64_t)clock() ^ (uintptr_t)s;
	pthread_mutex_init(&s->lock, NULL);
	wait_init(&s->room);
	return s;
}

struct sink *http_sink_open(struct slice uri, const struct export_config *cfg, struct err *err)
{
	struct http_sink *s = http_new(cfg);

	if (!s) {
		err_set(err, EXIT_CONFIG, "out of memory for a sink");
		return NULL;
	}
	if (endpoint_parse(uri, cfg, &s->e, err)) {
		s->json = s->e.json;
		s->base.uri = strdup(s->e.shown);
		s->given = strndup(uri.p, uri.len);
		s->base.encoder = s->json ? &encoder_json : &encoder_protobuf;
		s->lane = calloc(s->e.connections, sizeof(*s->lane));
		s->post = s->lane && s->base.uri && s->given ? post_open(&s->e, cfg, err) : NULL;
		if (s->post && cfg->spool)
			s->spool = spool_open(cfg->spool, s->e.shown, s->e.url, cfg->spool_max, err);
		if (s->post && (s->spool || !cfg->spool) && start_thread(s))
			return &s->base;
		err_set(err, EXIT_CONFIG, "%s: no memory or no thread for it", s->e.shown);
	}
	http_free(&s->base);
	return NULL;
}
