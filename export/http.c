/*
 * The OTLP/HTTP sink: a queue, one thread that empties it through export/post.c, and the account of
 * what became of each span.
 *
 * A wire becomes a batch; a batch stays in memory, and its spans are `held`, until the collector
 * has answered for it. There are as many lanes as requests may be in flight; a batch that must be
 * sent again keeps its lane while it waits, so that a collector in trouble is not met with ever new
 * requests.
 */
#include "export/http.h"

#include "core/log.h"
#include "core/stop.h"
#include "export/gzip.h"
#include "export/post.h"
#include "export/reply.h"
#include "export/split.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * Wires that wait are sent together up to this: beyond it a request gains nothing, and proxies'
 * limits lie near.
 */
#define JOIN_MAX ((size_t)1024 * 1024)

/* How late a wish to stop may be noticed by those who wait for something else. */
#define TICK_MS 100

/* A wait without an end; any sleep is cut short by post_wake(). */
#define FOREVER_MS 3600000

/* Messages that may repeat, and how often they may. */
enum say { SAY_DOWN, SAY_AUTH, SAY_REFUSED, SAY_PARTIAL, SAY_ODD, SAY_MAX };
static const int64_t say_every_ms[SAY_MAX] = {
	[SAY_DOWN] = 10000, [SAY_AUTH] = 60000, [SAY_REFUSED] = 10000, [SAY_PARTIAL] = 10000,
	[SAY_ODD] = 60000,
};

struct batch {
	struct batch *next;
	struct buf bytes;	/* as encoded; owned */
	struct buf packed;	/* the same, compressed; empty without gzip */
	uint64_t spans;
	uint64_t seq;		/* of its first wire */
	bool half;		/* came of a split: not to be joined again */
};

struct lane {
	struct batch *batch;	/* owned; NULL: idle */
	int64_t due_ms;		/* not before */
	unsigned tries;		/* failures of this batch */
	bool flying;		/* the request is on its way */
	bool careful;		/* the last try broke the connection */
	bool unreached;		/* the last try had no answer */
};

struct http_sink {
	struct sink base;
	struct endpoint e;
	struct post *post;
	pthread_t thread;
	bool running;			/* the thread is to be joined */
	size_t buffer_max;
	int64_t drain_ms, give_up_ms;

	pthread_mutex_t lock;		/* for these: */
	pthread_cond_t room;
	struct batch *head, **tail;	/* to be sent, in order */
	size_t bytes;			/* of all batches, also of those in lanes */
	uint64_t submitted, exported, refused;
	uint64_t since;			/* seq of the first wire since all was answered for */
	bool closing;			/* nothing more will come */
	bool blocked;			/* the input waits for room */
	bool quit;			/* nobody waits for answers any more */
	int64_t stop_ms;		/* when a stop was first seen; 0: not yet */

	/* The thread's own: */
	struct lane *lane;
	int64_t gate_ms;		/* no request before: Retry-After, 401 */
	int64_t progress_ms;		/* last acknowledgement while somebody waits for one; 0: nobody does */
	size_t join_max;
	uint64_t random;
	bool down;			/* a warning was said, and nothing was acknowledged since */
	int64_t said_ms[SAY_MAX];
	char reason[320];		/* of the last failure */
};

struct retry_timing http_timing = RETRY_TIMING_DEFAULT;

/* ---- batches --------------------------------------------------------------------------------- */

static struct batch *batch_new(void)
{
	struct batch *b = calloc(1, sizeof(*b));

	if (!b) {
		fprintf(stderr, "haspan: out of memory: asked for %zu bytes\n", sizeof(*b));
		abort();
	}
	b->bytes.max = WIRE_MAX;
	b->packed.max = GZIP_BOUND(WIRE_MAX);
	return b;
}

static void batch_free(struct batch *b)
{
	buf_free(&b->bytes);
	buf_free(&b->packed);
	free(b);
}

static size_t batch_size(const struct batch *b)
{
	return b->bytes.len + b->packed.len;
}

/* The bound is on memory: what a buffer has grown beyond its content is given back. */
static void buf_shrink(struct buf *b)
{
	size_t cap = b->len + BUF_PAD;
	char *p = cap < b->cap ? realloc(b->p, cap) : NULL;

	if (!p)
		return;
	b->p = p;
	b->cap = cap;
}

/* A batch with the bytes of `w`, which keeps nothing but its bound. */
static struct batch *batch_take(const struct http_sink *s, struct wire *w)
{
	struct batch *b = batch_new();

	b->bytes = w->bytes;
	b->spans = w->spans;
	b->seq = w->seq;
	buf_shrink(&b->bytes);
	w->bytes = (struct buf){ .max = w->bytes.max };
	w->spans = 0;
	/* The newline ends a line of a file; here a request ends it. */
	if (s->e.json && b->bytes.len && b->bytes.p[b->bytes.len - 1] == '\n')
		b->bytes.len--;
	return b;
}

/* ---- the queue; under the lock --------------------------------------------------------------- */

static void queue_append(struct http_sink *s, struct batch *b)
{
	*s->tail = b;
	s->tail = &b->next;
	s->bytes += batch_size(b);
}

static void queue_push_front(struct http_sink *s, struct batch *b)
{
	b->next = s->head;
	s->head = b;
	if (!b->next)
		s->tail = &b->next;
}

static struct batch *queue_pop(struct http_sink *s)
{
	struct batch *b = s->head;

	s->head = b->next;
	b->next = NULL;
	if (!s->head)
		s->tail = &s->head;
	return b;
}

/* Has a stop been asked for, and the time to drain passed? */
static bool is_drained(struct http_sink *s)
{
	if (s->stop_ms == 0 && stop_requested())
		s->stop_ms = clock_ms();
	return s->stop_ms && clock_ms() - s->stop_ms >= s->drain_ms;
}

static void wait_for_room(struct http_sink *s)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += TICK_MS * 1000000L;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_cond_timedwait(&s->room, &s->lock, &until);
}

/* ---- words ----------------------------------------------------------------------------------- */

static bool say_due(struct http_sink *s, enum say what)
{
	return log_due(&s->said_ms[what], say_every_ms[what]);
}

static void read_account(struct http_sink *s, struct sink_tally *out, size_t *bytes)
{
	pthread_mutex_lock(&s->lock);
	*out = (struct sink_tally){ .exported = s->exported, .refused = s->refused };
	out->held = s->submitted - s->exported - s->refused;
	*bytes = s->bytes;
	pthread_mutex_unlock(&s->lock);
}

/* Remember, in words, why the collector did not take a batch. */
static void note_reason(struct http_sink *s, const struct post_answer *a, const char *message)
{
	if (a->status == 0)
		snprintf(s->reason, sizeof(s->reason), "%s", a->fault);
	else
		snprintf(s->reason, sizeof(s->reason), "answered %d%s%s", a->status,
			 *message ? ": " : "", message);
}

static void note_failure(struct http_sink *s, const struct post_answer *a)
{
	struct reply r;

	reply_failure(reply_form(a->content_type, s->e.json), a->body, &r);
	note_reason(s, a, r.message);
}

static void say_held(struct http_sink *s, enum say what, const char *advice)
{
	struct sink_tally t;
	size_t bytes;

	if (!say_due(s, what))
		return;
	s->down = true;
	read_account(s, &t, &bytes);
	log_warn("%s: %s; %" PRIu64 " spans are held (%.1f MB)%s", s->e.shown, s->reason, t.held,
		 (double)bytes / 1e6, advice);
}

static void say_refused(struct http_sink *s, uint64_t spans)
{
	struct sink_tally t;
	size_t bytes;

	if (!say_due(s, SAY_REFUSED))
		return;
	read_account(s, &t, &bytes);
	log_warn("%s: %s; %" PRIu64 " spans are refused for good (%" PRIu64 " so far)", s->e.shown,
		 s->reason, spans, t.refused);
}

static void say_accepted(struct http_sink *s, const struct post_answer *a, const struct reply *r)
{
	if (s->down)
		log_info("%s: takes spans again", s->e.shown);
	s->down = false;
	if ((r->rejected || r->message[0]) && say_due(s, SAY_PARTIAL))
		log_warn("%s: did not take %" PRIu64 " spans of a batch: %s", s->e.shown,
			 r->rejected, r->message[0] ? r->message : "no reason given");
	if (a->cut && say_due(s, SAY_ODD))
		log_warn("%s: answered %d with more than %zu bytes; taken as success", s->e.shown,
			 a->status, RESPONSE_MAX);
	else if (r->unreadable && say_due(s, SAY_ODD))
		log_warn("%s: answered %d with a body that is no OTLP; is this a collector?",
			 s->e.shown, a->status);
}

/* ---- what an answer does to a batch ---------------------------------------------------------- */

/* The lane's batch is answered for: `refused` of its spans were not taken. */
static void resolve(struct http_sink *s, struct lane *lane, uint64_t refused)
{
	struct batch *b = lane->batch;

	pthread_mutex_lock(&s->lock);
	s->exported += b->spans - refused;
	s->refused += refused;
	s->bytes -= batch_size(b);
	pthread_cond_broadcast(&s->room);
	pthread_mutex_unlock(&s->lock);
	s->progress_ms = clock_ms();
	batch_free(b);
	*lane = (struct lane){ 0 };
}

static void accept_batch(struct http_sink *s, struct lane *lane, const struct post_answer *a)
{
	struct reply r = { 0 };

	if (!a->cut)
		reply_success(reply_form(a->content_type, s->e.json), a->body, lane->batch->spans,
			      &r);
	say_accepted(s, a, &r);
	resolve(s, lane, r.rejected);
	/* It can be reached again: the others need not wait for the end of their backoff. */
	for (unsigned i = 0; i < s->e.connections; i++)
		if (s->lane[i].unreached)
			s->lane[i].due_ms = 0;
}

static void refuse_batch(struct http_sink *s, struct lane *lane)
{
	uint64_t spans = lane->batch->spans;

	resolve(s, lane, spans);
	say_refused(s, spans);
}

/* A number that is only as good as jitter needs it (splitmix64). */
static uint64_t next_random(struct http_sink *s)
{
	uint64_t z = s->random += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static void retry_batch(struct http_sink *s, struct lane *lane, const struct post_answer *a)
{
	int64_t now = clock_ms(), after = -1;

	if (a->retry_after.p)
		after = retry_after_ms(&http_timing, a->retry_after, a->retry_date_s, time(NULL));
	if (after >= 0 && now + after > s->gate_ms)
		s->gate_ms = now + after;
	if (after < 0)
		after = retry_backoff_ms(&http_timing, lane->tries, next_random(s));
	lane->due_ms = now + after;
	lane->tries++;
	lane->careful = a->broken;
	lane->unreached = a->status == 0;
	say_held(s, SAY_DOWN, "; trying again");
}

static void hold_batch(struct http_sink *s, struct lane *lane)
{
	lane->due_ms = clock_ms() + http_timing.hold_ms;
	if (lane->due_ms > s->gate_ms)
		s->gate_ms = lane->due_ms;
	say_held(s, SAY_AUTH, "; check the credentials");
}

/* Two batches in place of one, and a word to the wires behind it not to join to that size again. */
static void split_batch(struct http_sink *s, struct lane *lane)
{
	struct batch *whole = lane->batch, *head = batch_new(), *tail = batch_new();
	struct slice in = slice_of(whole->bytes.p, whole->bytes.len);
	bool (*split)(struct slice, struct buf *, struct buf *, uint64_t *, uint64_t *) =
		s->e.json ? split_json : split_protobuf;

	if (!split(in, &head->bytes, &tail->bytes, &head->spans, &tail->spans)) {
		batch_free(head);
		batch_free(tail);
		refuse_batch(s, lane);
		return;
	}
	if (s->join_max > in.len / 2)
		s->join_max = in.len / 2;
	/* The account is kept by what was submitted, whatever the parts say. */
	head->spans = head->spans < whole->spans ? head->spans : whole->spans;
	tail->spans = whole->spans - head->spans;
	head->seq = tail->seq = whole->seq;
	head->half = tail->half = true;
	pthread_mutex_lock(&s->lock);
	s->bytes += batch_size(head) + batch_size(tail);
	s->bytes -= batch_size(whole);
	queue_push_front(s, tail);
	pthread_mutex_unlock(&s->lock);
	batch_free(whole);
	*lane = (struct lane){ .batch = head };
}

static void follow(struct http_sink *s, struct lane *lane, const struct post_answer *a)
{
	const char *fault = post_follow(s->post, a->slot);

	if (!fault) {
		lane->flying = true;
		return;
	}
	note_reason(s, a, fault);
	refuse_batch(s, lane);
}

static void settle(struct http_sink *s, const struct post_answer *a)
{
	enum answer_action action = retry_action(a->status);
	struct lane *lane = &s->lane[a->slot];

	lane->flying = false;
	if (action != ANSWER_ACCEPT)
		note_failure(s, a);
	switch (action) {
	case ANSWER_ACCEPT:
		accept_batch(s, lane, a);
		break;
	case ANSWER_RETRY:
		retry_batch(s, lane, a);
		break;
	case ANSWER_HOLD:
		hold_batch(s, lane);
		break;
	case ANSWER_SPLIT:
		split_batch(s, lane);
		break;
	case ANSWER_FOLLOW:
		follow(s, lane, a);
		break;
	case ANSWER_REFUSE:
		refuse_batch(s, lane);
		break;
	}
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* The next batch, with those behind it as far as they may be joined; NULL: none waits. */
static struct batch *take_batch(struct http_sink *s)
{
	struct batch *b = NULL, *more = NULL, **end = &more;
	size_t len;

	pthread_mutex_lock(&s->lock);
	if (s->head) {
		b = queue_pop(s);
		len = b->bytes.len;
		/*
		 * Messages of protobuf that stand behind one another are one message; lines of JSON
		 * are not.
		 */
		while (!s->e.json && !b->half && s->head && !s->head->half &&
		       (len += s->head->bytes.len) <= s->join_max) {
			*end = queue_pop(s);
			end = &(*end)->next;
		}
	}
	pthread_mutex_unlock(&s->lock);
	while (more) {
		struct batch *next = more->next;

		buf_add(&b->bytes, more->bytes.p, more->bytes.len);
		b->spans += more->spans;
		batch_free(more);
		more = next;
	}
	return b;
}

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
	lane->flying = true;
	post_start(s->post, i, slice_of(body->p, body->len), lane->careful);
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
		if (due <= now && !lane->batch)
			lane->batch = take_batch(s);
		if (due > now)
			sleep = due - now < sleep ? due - now : sleep;
		else if (lane->batch)
			launch(s, i);
	}
	return sleep;
}

static bool is_idle(const struct http_sink *s)
{
	for (unsigned i = 0; i < s->e.connections; i++)
		if (s->lane[i].batch)
			return false;
	return !s->head;
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
	over = s->quit || (s->closing && (is_idle(s) || is_drained(s)));
	if ((s->closing || s->blocked) && !over && !is_held_back(s)) {
		/* Giving up counts while the end, or the input, waits for an acknowledgement. */
		if (s->progress_ms == 0)
			s->progress_ms = now;
		over = s->give_up_ms && now - s->progress_ms >= s->give_up_ms;
		*sleep = *sleep < TICK_MS ? *sleep : TICK_MS;
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

static void *run(void *arg)
{
	struct http_sink *s = arg;
	struct post_answer a;
	int64_t sleep;

	for (;;) {
		sleep = launch_due(s);
		if (is_over(s, &sleep))
			return NULL;
		post_wait(s->post, sleep);
		while (post_next(s->post, &a))
			settle(s, &a);
	}
}

/* Signals are the main thread's, SIGPIPE is nobody's. */
static bool start_thread(struct http_sink *s)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	s->running = pthread_create(&s->thread, NULL, run, s) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return s->running;
}

static void join_thread(struct http_sink *s)
{
	if (!s->running)
		return;
	post_wake(s->post);
	pthread_join(s->thread, NULL);
	s->running = false;
}

/* ---- the sink -------------------------------------------------------------------------------- */

static void http_submit(struct sink *sink, struct wire *w)
{
	struct http_sink *s = (struct http_sink *)sink;
	struct batch *b;
	bool kept;

	/* OTLP, "Empty": envelopes without spans should not be sent. */
	if (w->spans == 0) {
		w->bytes.len = 0;
		return;
	}
	b = batch_take(s, w);
	pthread_mutex_lock(&s->lock);
	if (s->submitted == s->exported + s->refused)
		s->since = b->seq;
	s->submitted += b->spans;
	s->blocked = s->bytes && s->bytes + b->bytes.len > s->buffer_max;
	if (s->blocked)
		post_wake(s->post);
	while (s->bytes && s->bytes + b->bytes.len > s->buffer_max && !s->quit && !is_drained(s))
		wait_for_room(s);
	s->blocked = false;
	/*
	 * At the end of a drain there is no room and no time: held, not acknowledged, and not in
	 * memory.
	 */
	kept = !s->quit && (!s->bytes || s->bytes + b->bytes.len <= s->buffer_max);
	if (kept)
		queue_append(s, b);
	pthread_mutex_unlock(&s->lock);
	if (kept)
		post_wake(s->post);
	else
		batch_free(b);
}

static void http_tally(struct sink *sink, struct sink_tally *out)
{
	size_t bytes;

	read_account((struct http_sink *)sink, out, &bytes);
}

static uint64_t http_unsettled(struct sink *sink)
{
	struct http_sink *s = (struct http_sink *)sink;
	uint64_t seq;

	pthread_mutex_lock(&s->lock);
	seq = s->submitted == s->exported + s->refused ? UINT64_MAX : s->since;
	pthread_mutex_unlock(&s->lock);
	return seq;
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
	if (t.held == 0)
		return;
	sink->failed = true;
	log_error("%s: %s; gave up with %" PRIu64 " spans held", s->e.shown,
		  s->reason[0] ? s->reason : "no answer in time", t.held);
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
	for (unsigned i = 0; s->lane && i < s->e.connections; i++)
		if (s->lane[i].batch)
			batch_free(s->lane[i].batch);
	while (s->head)
		batch_free(queue_pop(s));
	pthread_cond_destroy(&s->room);
	pthread_mutex_destroy(&s->lock);
	endpoint_free(&s->e);
	free(s->lane);
	free(s);
}

static const struct sink_ops http_ops = {
	.submit = http_submit,
	.finish = http_finish,
	.tally = http_tally,
	.unsettled = http_unsettled,
	.free = http_free,
};

static struct http_sink *http_new(const struct export_config *cfg)
{
	struct http_sink *s = calloc(1, sizeof(*s));
	pthread_condattr_t monotonic;

	if (!s)
		return NULL;
	s->base.ops = &http_ops;
	s->base.holds = true;
	s->buffer_max = cfg->buffer_max;
	s->drain_ms = cfg->drain_ms;
	s->give_up_ms = cfg->give_up_ms;
	s->join_max = JOIN_MAX;
	s->tail = &s->head;
	s->random = (uint64_t)time(NULL) << 32 ^ (uint64_t)clock() ^ (uintptr_t)s;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->room, &monotonic);
	pthread_condattr_destroy(&monotonic);
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
		s->base.uri = s->e.shown;
		s->base.encoder = s->e.json ? &encoder_json : &encoder_protobuf;
		s->lane = calloc(s->e.connections, sizeof(*s->lane));
		s->post = s->lane ? post_open(&s->e, cfg, err) : NULL;
		if (s->post && start_thread(s))
			return &s->base;
		err_set(err, EXIT_CONFIG, "%s: no memory or no thread for it", s->e.shown);
	}
	http_free(&s->base);
	return NULL;
}
