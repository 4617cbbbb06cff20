/*
 * What a collector's answer does: to the batch, to the account, to the lanes; and the words for it.
 */
#include "export/http_sink.h"

#include "core/crash.h"
#include "core/log.h"
#include "core/units.h"
#include "export/reply.h"

#include <inttypes.h>
#include <stdio.h>

/* What has been said of an outage is said again so often while it lasts. */
#define SAY_AGAIN_MS 60000

static const int64_t say_every_ms[SAY_MAX] = {
	[SAY_DOWN] = 10000, [SAY_AUTH] = 60000, [SAY_REFUSED] = 10000, [SAY_PARTIAL] = 10000,
	[SAY_ODD] = 60000, [SAY_LOST] = 10000,
};

/* ---- words ----------------------------------------------------------------------------------- */

static bool say_due(struct http_sink *s, enum http_say what)
{
	bool goes_on = what == SAY_DOWN && s->down;

	return log_due(&s->said_ms[what], goes_on ? SAY_AGAIN_MS : say_every_ms[what]);
}

void http_account(struct http_sink *s, struct sink_tally *out, size_t *bytes)
{
	pthread_mutex_lock(&s->lock);
	if (out) {
		*out = (struct sink_tally){ .exported = s->exported, .refused = s->refused, .dropped = s->dropped };
		out->restored = s->spool ? spool_restored(s->spool) : 0;
		out->held = s->submitted + out->restored - s->exported - s->refused - s->dropped;
	}
	if (bytes)
		*bytes = s->bytes;
	pthread_mutex_unlock(&s->lock);
}

/* What is to be done about it, where the collector's words, or the library's, do not tell; or NULL. */
static const char *hint_of(const struct post_answer *a)
{
	static const struct { const char *fault, *hint; } known[] = {
		{ "HTTP/0.9", "this looks like gRPC; OTLP over HTTP is usually at port 4318" },
		{ "wrong version number", "TLS is not spoken there: is it http://?" },
	};

	for (size_t i = 0; a->status == 0 && i < sizeof(known) / sizeof(known[0]); i++)
		if (strstr(a->fault, known[i].fault))
			return known[i].hint;
	if (a->status == 404 || a->status == 405)
		return "is the path right? It is /v1/traces unless the URL has another one, or ?exact=true";
	return a->status == 401 || a->status == 403 ? "check the credentials" : NULL;
}

/* Remember, in words, why the collector did not take a batch. */
static void note_reason(struct http_sink *s, const struct post_answer *a, const char *message)
{
	const char *hint = hint_of(a);
	size_t n;

	if (a->status == 0)
		snprintf(s->reason, sizeof(s->reason), "%s", a->fault);
	else
		snprintf(s->reason, sizeof(s->reason), "answered %d%s%s", a->status,
			 *message ? ": " : "", message);
	n = strlen(s->reason);
	if (hint)
		snprintf(s->reason + n, sizeof(s->reason) - n, " (%s)", hint);
	s->mend = hint != NULL;
}

static void note_failure(struct http_sink *s, const struct post_answer *a)
{
	struct reply r;

	reply_failure(reply_form(a->content_type, s->lane[a->slot].batch->json), a->body, &r);
	note_reason(s, a, r.message);
}

/* How long it is tried, from now, or from when somebody will wait (is_over of http_send.c). */
static void give_up_in(struct http_sink *s, char *out, size_t size)
{
	int64_t left_ms;

	pthread_mutex_lock(&s->lock);
	left_ms = s->give_up_ms;
	pthread_mutex_unlock(&s->lock);
	*out = '\0';
	if (left_ms == 0)
		return;
	if (s->progress_ms)
		left_ms += s->progress_ms - clock_ms();
	snprintf(out, size, " for %" PRId64 " s at most (--give-up-after)", left_ms > 0 ? (left_ms + 999) / 1000 : 0);
}

static void say_held(struct http_sink *s, enum http_say what, const char *advice)
{
	struct spool_numbers disk = { 0 };
	struct sink_tally t;
	char size[32], until[64];
	size_t bytes;

	if (!say_due(s, what))
		return;
	s->down = true;
	http_account(s, &t, &bytes);
	if (s->spool)
		spool_numbers(s->spool, &disk);
	give_up_in(s, until, sizeof(until));
	log_warn("%s: %s; %" PRIu64 " spans are held (%s%s)%s%s", s->e.shown, s->reason, t.held,
		 units_bytes(disk.bytes ? disk.bytes : bytes, size), disk.bytes ? " in the spool" : "", advice,
		 what == SAY_DOWN ? until : "");
}

static void say_refused(struct http_sink *s, uint64_t spans)
{
	struct sink_tally t;

	if (!say_due(s, SAY_REFUSED))
		return;
	http_account(s, &t, NULL);
	log_warn("%s: %s; %" PRIu64 " spans are refused for good (%" PRIu64 " so far)", s->e.shown,
		 s->reason, spans, t.refused);
}

static void say_accepted(struct http_sink *s, const struct post_answer *a, const struct reply *r)
{
	if (s->down)
		log_info("%s: takes spans again", s->e.shown);
	s->down = false;
	if (r->rejected == 0 && r->message[0] && say_due(s, SAY_PARTIAL))
		log_warn("%s: took all spans of a batch, and says: %s", s->e.shown, r->message);
	else if (r->rejected && say_due(s, SAY_PARTIAL))
		log_warn("%s: did not take %" PRIu64 " spans of a batch: %s", s->e.shown,
			 r->rejected, r->message[0] ? r->message : "no reason given");
	if (a->cut && say_due(s, SAY_ODD))
		log_warn("%s: answered %d with more than %zu bytes; taken as success", s->e.shown,
			 a->status, RESPONSE_MAX);
	else if (r->unreadable && say_due(s, SAY_ODD))
		log_warn("%s: answered %d with a body that is no OTLP; is this a collector?",
			 s->e.shown, a->status);
}

/* ---- the account ----------------------------------------------------------------------------- */

void http_lost(struct http_sink *s, uint64_t spans)
{
	pthread_mutex_lock(&s->lock);
	s->dropped += spans;
	pthread_mutex_unlock(&s->lock);
	if (spans && say_due(s, SAY_LOST))
		log_error("%s: %" PRIu64 " spans in damaged records of the spool are lost", s->e.shown, spans);
}

/* Below this position everything in the spool is answered for. Under the lock. */
static uint64_t lowest_position(const struct http_sink *s)
{
	uint64_t at = s->arriving, cursor = spool_cursor(s->spool);

	at = cursor < at ? cursor : at;
	for (unsigned i = 0; i < s->e.connections; i++)
		if (s->lane[i].batch && s->lane[i].batch->at < at)
			at = s->lane[i].batch->at;
	/* They stand in order, but for halves, which are put before all others as they come, and those without a position. */
	for (const struct batch *b = s->queue.head; b; b = b->next) {
		at = b->at < at ? b->at : at;
		if (b->at != SPOOL_NOWHERE && !b->half)
			break;
	}
	return at;
}

void http_spool_settle(struct http_sink *s)
{
	uint64_t at;

	pthread_mutex_lock(&s->lock);
	at = lowest_position(s);
	pthread_mutex_unlock(&s->lock);
	spool_settle(s->spool, at);
}

/* The lane's batch is answered for: `refused` of its spans were not taken. */
static void resolve(struct http_sink *s, struct lane *lane, uint64_t refused)
{
	struct batch *b = lane->batch;

	crash_point("http.settle.before");
	pthread_mutex_lock(&s->lock);
	s->exported += b->spans - refused;
	s->refused += refused;
	s->bytes -= batch_size(b);
	*lane = (struct lane){ 0 };
	pthread_mutex_unlock(&s->lock);
	if (b->at != SPOOL_NOWHERE)
		http_spool_settle(s);
	pthread_cond_broadcast(&s->room);
	crash_point("http.settle.after");
	s->progress_ms = clock_ms();
	batch_free(b);
}

/* ---- what an answer does to a batch ---------------------------------------------------------- */

/* A 413 may have been of the moment: what is sent together grows again, step by step, while nobody minds. */
static void join_more(struct http_sink *s)
{
	int64_t now = clock_ms();

	pthread_mutex_lock(&s->lock);
	if (s->join_max < http_join_max && now >= s->join_ms) {
		s->join_max = s->join_max < http_join_max / 2 ? 2 * s->join_max : http_join_max;
		s->join_ms = now + s->join_wait_ms;
		s->join_grown = true;
	}
	pthread_mutex_unlock(&s->lock);
}

/* It was too large: half of that is enough for now. If it had grown to that, it waits for longer. Under the lock. */
static void join_less(struct http_sink *s, size_t len)
{
	int64_t wait = s->join_wait_ms;

	if (s->join_max <= len / 2)
		return;
	s->join_max = len / 2;
	wait = s->join_grown ? 2 * wait : wait > http_timing.join_ms ? wait : http_timing.join_ms;
	s->join_wait_ms = wait < http_timing.join_max_ms ? wait : http_timing.join_max_ms;
	s->join_ms = clock_ms() + s->join_wait_ms;
	s->join_grown = false;
}

static void accept_batch(struct http_sink *s, struct lane *lane, const struct post_answer *a)
{
	const struct batch *b = lane->batch;
	struct reply r = { 0 };

	if (!a->cut)
		reply_success(reply_form(a->content_type, b->json), a->body, b->spans, &r);
	say_accepted(s, a, &r);
	s->retrying = false;
	histogram_add(&s->batch_spans, METRIC_sink_batch_spans, b->spans);
	histogram_add(&s->batch_bytes, METRIC_sink_batch_bytes, b->bytes.len);
	resolve(s, lane, r.rejected);
	join_more(s);
	/* It can be reached again: the others need not wait for the end of their backoff. */
	for (unsigned i = 0; i < s->e.connections; i++)
		if (s->lane[i].unreached)
			s->lane[i].due_ms = 0;
}

static void refuse_batch(struct http_sink *s, struct lane *lane)
{
	uint64_t spans = lane->batch->spans;

	s->retrying = false;
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
	s->failures++;
	s->retrying = true;
	say_held(s, SAY_DOWN, "; trying again");
}

static void hold_batch(struct http_sink *s, struct lane *lane)
{
	lane->due_ms = clock_ms() + http_timing.hold_ms;
	if (lane->due_ms > s->gate_ms)
		s->gate_ms = lane->due_ms;
	s->failures++;
	s->retrying = true;
	say_held(s, SAY_AUTH, "");
}

/* Two batches in place of one, and a word to the wires behind it not to join to that size for now. */
static void split_batch(struct http_sink *s, struct lane *lane)
{
	struct batch *whole = lane->batch, *head, *tail;

	if (!batch_split(whole, &head, &tail)) {
		refuse_batch(s, lane);
		return;
	}
	pthread_mutex_lock(&s->lock);
	join_less(s, whole->bytes.len);
	s->bytes += batch_size(head) + batch_size(tail);
	s->bytes -= batch_size(whole);
	batches_push_front(&s->queue, tail);
	*lane = (struct lane){ .batch = head };
	pthread_mutex_unlock(&s->lock);
	batch_free(whole);
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

static void measure(struct http_sink *s, const struct lane *lane, const struct post_answer *a)
{
	if (a->status == 0)
		return;
	s->requests++;
	histogram_add(&s->latency, METRIC_sink_latency_seconds, (uint64_t)(http_clock_us() - lane->sent_us));
}

void http_settle(struct http_sink *s, const struct post_answer *a)
{
	enum answer_action action = retry_action(a->status);
	struct lane *lane = &s->lane[a->slot];

	crash_point("http.answer");
	lane->flying = false;
	measure(s, lane, a);
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
