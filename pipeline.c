#include "pipeline.h"

#include "core/civil.h"
#include "core/log.h"
#include "core/stop.h"
#include "core/term.h"
#include "ingest/live.h"
#include "ledger.h"
#include "linetime.h"
#include "pace.h"
#include "reconstruct/shift.h"
#include "reconstruct/steps.h"
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Characters that are shown of a line that nobody understood, and the bytes that they take at most. */
#define SAMPLE_SHOWN 100
#define SAMPLE_SIZE (4 * SAMPLE_SHOWN + 8)

/* Who wrote the lines of a pass: one group of spans, one memory of formats. */
struct origin {
	struct slice host;
	uint16_t first, last;		/* frames, chained by frame.next */
};

/* How often it is looked whether open requests have grown too old, and what the sinks have settled. */
#define IDLE_LOOK_MS 60000
#define SETTLE_MS 200

/* Hash of hosts to origins; twice as large as the number of origins. */
#define ORIGIN_BUCKETS (2 * ORIGINS_MAX)

/* A line for the joiner; its bytes lie in the block. */
struct step_ref {
	struct part part;
	const char *msg, *host;
};

struct worker {
	struct pipeline *pipeline;
	pthread_t thread;
	_Atomic int64_t busy_ms;	/* since when it has worked at its block; 0: it waits */
	struct rules rules;		/* the configuration's, with the sampler of the block */
	struct block block;
	struct parser parser;
	struct unwrapper unwrapper;
	struct rebuilder rebuilder;
	struct trace trace;
	struct wire wire[SINKS_MAX];
	struct buf rejects;
	struct tally tally;		/* of the block */
	char sample[SAMPLE_SIZE];	/* the first line that was not understood */
	struct buf parts;		/* lines of requests that have several: struct step_ref each */
	struct buf joined;		/* of requests that are whole by now */
	struct merge merge;
	struct joined request;
	struct trace whole;		/* of a request with several lines */
	struct frame frames[FRAMES_MAX];
	struct part steps[FRAMES_MAX];	/* of frames with FRAME_STEP */
	const char *messages[FRAMES_MAX];
	struct origin origins[ORIGINS_MAX];
	uint16_t buckets[ORIGIN_BUCKETS];
	uint32_t norigins;
};

struct pipeline {
	const struct config *c;		/* replaced by pipeline_reload, while there is no block in flight */
	struct formats formats;		/* the configuration's, in an order of their own */
	uint64_t learn_seq;		/* the block that teaches it */
	unsigned threads;
	struct sink *sinks[SINKS_MAX];
	uint32_t nsinks;
	struct worker *workers;
	bool relays;			/* one of them wants lines (encoder.lines) */
	int rejects;			/* descriptor, or -1 */
	const char *rejects_failed;

	pthread_mutex_t input;		/* who holds it reads the next block */
	pthread_cond_t released;	/* `hold` ended, or a source was enabled */
	_Atomic bool hold;		/* a new configuration waits for `input` */
	char *uri[SOURCES_MAX];		/* of the sources; owned */
	uint32_t nsources;
	uint32_t nlive, live_number[SOURCES_MAX];	/* of those without an end: the number in `live` */
	_Atomic bool disabled[SOURCES_MAX];
	struct live *live;		/* sources without an end, or NULL */
	bool live_ended;
	struct source *source;		/* the file that is being read */
	_Atomic uint32_t next_source;
	uint64_t next_seq;
	bool ended;
	struct err *err;

	pthread_mutex_t output;		/* for what follows */
	pthread_cond_t turn;
	uint64_t next_out;		/* whose turn it is to hand over; 1: the formats' order has been taught */
	uint64_t next_join;		/* whose turn it is to join */
	struct joiner *joiner;		/* for the worker whose turn that is */
	int64_t joined_ms;		/* when it last took a line; also its */
	_Atomic uint32_t open, final;	/* its requests that wait, for whoever waits for input */
	struct ledger ledger;
	struct tally total;
	char sample[SAMPLE_SIZE];
	struct sampler sampler;		/* of the next block; `output`'s too */
	bool sampler_set;		/* by pipeline_sample */

	pthread_t keeper;		/* tells sources what is settled */
	uint64_t settled;		/* blocks below it; the keeper's own */
	pthread_mutex_t keeping;	/* of `kept` */
	pthread_cond_t keep;
	bool kept;

	uint64_t files_size;		/* bytes of all files, as they are stored; for progress */
	bool files_open;		/* but nobody knows: one of them is a pipe */
	uint64_t files_before;		/* of those that were read to their end */
	_Atomic uint64_t files_read;
	struct pace *pace;		/* of the input; NULL: as fast as possible */
	struct linetime *linetime;	/* of --rebase, until the shift is known; then NULL */
	struct shift shift;
	int64_t rebase_us;		/* where the line goes that decides it */

	bool host_given;		/* the user's host.name counts, not the envelope's */
};

/* ---- --rebase --------------------------------------------------------------------------------------------- */

/* The line of the time `us` decides it. Said aloud, so that it can be repeated. */
static void rebase_to(struct pipeline *p, int64_t us)
{
	char to[32];

	linetime_free(p->linetime);
	pthread_mutex_lock(&p->output);
	p->shift = shift_by(p->rebase_us - us);
	p->linetime = NULL;
	pthread_mutex_unlock(&p->output);
	civil_format((uint64_t)p->rebase_us * 1000, to);
	to[10] = 'T';
	log_info("everything is shifted by %+.6f s; --rebase %sZ does it again", (double)p->shift.us / 1e6, to);
}

/* Before the first block: files have an end, which decides. Of anything else the first line does, when it comes. */
static void rebase_files(struct pipeline *p)
{
	struct timespec now;
	int64_t us;

	if (!p->linetime)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	p->rebase_us = p->c->rebase_us ? p->c->rebase_us : now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
	if (linetime_end(p->linetime, p->c, &us) && us)
		rebase_to(p, us);
}

/* In the order of the blocks, as long as the shift is not known. */
static void rebase_stream(struct pipeline *p, const struct block *b)
{
	int64_t us = linetime_first(p->linetime, b);

	if (us)
		rebase_to(p, us);
}

/* ---- one pass over up to FRAMES_MAX lines ---------------------------------------------------------------- */

static uint32_t host_hash(struct slice host)
{
	uint32_t h = 2166136261u;	/* FNV-1a: hosts are short and few */

	for (size_t i = 0; i < host.len; i++)
		h = (h ^ (unsigned char)host.p[i]) * 16777619u;
	return h;
}

static uint16_t origin_of(struct worker *w, struct slice host)
{
	uint32_t at = host_hash(host) % ORIGIN_BUCKETS;

	for (; w->buckets[at] != FRAME_NONE; at = (at + 1) % ORIGIN_BUCKETS)
		if (slice_eq(w->origins[w->buckets[at]].host, host))
			return w->buckets[at];
	w->buckets[at] = (uint16_t)w->norigins;
	w->origins[w->norigins] = (struct origin){ host, FRAME_NONE, FRAME_NONE };
	return (uint16_t)w->norigins++;
}

/* What stands beside the line in its message, where its envelope has no better. */
static void peel_message(struct frame *f)
{
	if (!f->time_us)
		f->time_us = f->message->time_us;
	if (!f->host.len && f->message->key_is_host)
		f->host = f->message->key;
}

/* Peel all frames and chain them by origin, so that each origin's spans stand together. */
static void sort_frames(struct worker *w, uint32_t n)
{
	w->norigins = 0;
	memset(w->buckets, 0xff, sizeof(w->buckets));
	for (uint32_t i = 0; i < n; i++) {
		struct frame *f = &w->frames[i];
		struct origin *o;

		if (f->flags & FRAME_TORN) {
			f->host = f->msg = slice_of(f->raw.p, 0);
			f->header = 0;
		} else {
			record_peel_next(&w->unwrapper, f, i ? f - 1 : NULL);
		}
		if (f->message)
			peel_message(f);
		f->origin = i && slice_eq(f->host, f[-1].host) ? f[-1].origin : origin_of(w, f->host);
		f->next = FRAME_NONE;
		o = &w->origins[f->origin];
		if (o->first == FRAME_NONE)
			o->first = (uint16_t)i;
		else
			w->frames[o->last].next = (uint16_t)i;
		o->last = (uint16_t)i;
	}
}

static void left_out(struct worker *w, enum verdict verdict, uint32_t spans)
{
	*(verdict == VERDICT_FILTERED ? &w->tally.filtered : &w->tally.unsampled) += spans;
}

/* A request: its spans to every sink. `open`: which sinks have a group open for this origin. */
static void request(struct worker *w, const struct frame *f, size_t mark[], bool *open)
{
	const struct pipeline *p = w->pipeline;
	enum verdict verdict = rebuild(&w->rebuilder, &w->parser.rec, f, &w->trace);

	w->tally.requests++;
	w->tally.truncated += record_has(&w->parser.rec, SLOT_x_truncated);
	w->tally.spans += w->trace.n;
	if (verdict != VERDICT_KEPT) {
		left_out(w, verdict, w->trace.n);
		return;
	}
	if (p->shift.us)
		shift_trace(&p->shift, &w->trace, NULL);
	w->parser.rec.line = f->raw;
	for (uint32_t k = 0; k < p->nsinks; k++) {
		const struct encoder *e = p->sinks[k]->encoder;

		if (!*open)
			e->open(&w->wire[k].bytes, &p->c->resource, p->host_given ? slice_of("", 0) : f->host,
				&mark[k]);
		e->trace(&w->wire[k].bytes, &w->parser.rec, &w->trace);
		w->wire[k].spans += w->trace.n;
	}
	*open = true;
}

/* The step goes on as it came; which request it is of says its key. Its context is counted when it is joined. */
static void relay_step(struct worker *w, const struct frame *f)
{
	const struct pipeline *p = w->pipeline;
	uint64_t invalid = w->rebuilder.invalid_contexts;

	rebuild(&w->rebuilder, &w->parser.rec, f, &w->trace);
	w->rebuilder.invalid_contexts = invalid;
	w->parser.rec.line = f->raw;
	for (uint32_t k = 0; k < p->nsinks; k++)
		if (p->sinks[k]->encoder->lines)
			p->sinks[k]->encoder->trace(&w->wire[k].bytes, &w->parser.rec, &w->trace);
}

/* A line that is a step of a request waits for the others; false: it is a request of its own. */
static bool step_taken(struct worker *w, uint32_t i, const struct recent *recent)
{
	struct frame *f = &w->frames[i];
	const struct record *r = &w->parser.rec;

	switch (step_line(r, f, &w->steps[i])) {
	case STEP_LINE_NONE:
		return false;
	case STEP_LINE_OTHER:
		w->tally.other++;
		return true;
	case STEP_LINE_PART:
		break;
	}
	w->steps[i].format = recent->v[0] < w->pipeline->formats.n && w->pipeline->formats.v[recent->v[0]] == r->format ?
			     recent->v[0] : UINT16_MAX;
	w->steps[i].seq = w->block.seq;
	w->messages[i] = r->msg.p;
	f->flags |= FRAME_STEP;
	if (w->pipeline->relays)
		relay_step(w, f);
	return true;
}

static void origin_frames(struct worker *w, const struct origin *o)
{
	const struct pipeline *p = w->pipeline;
	size_t mark[SINKS_MAX] = { 0 };
	struct recent recent;
	bool open = false;

	memset(&recent, 0xff, sizeof(recent));
	for (uint16_t i = o->first; i != FRAME_NONE; i = w->frames[i].next) {
		struct frame *f = &w->frames[i];

		w->tally.lines += !(f->flags & FRAME_CONTINUES);
		switch (parse_frame(&w->parser, f, &recent)) {
		case PARSED_REQUEST:
			if (!steps_possible(w->parser.rec.format) || !step_taken(w, i, &recent))
				request(w, f, mark, &open);
			break;
		case PARSED_OTHER:
			w->tally.other++;
			break;
		case PARSED_REJECTED:
			w->tally.rejected += !(f->flags & FRAME_CONTINUES);
			f->flags |= FRAME_REJECTED;
			if (!w->sample[0])
				snprintf(w->sample, sizeof(w->sample), "%.*s", (int)f->raw.len, f->raw.p);
			break;
		}
	}
	for (uint32_t k = 0; open && k < p->nsinks; k++)
		p->sinks[k]->encoder->close(&w->wire[k].bytes, mark[k]);
}

static void keep_rejects(struct worker *w, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (w->frames[i].flags & FRAME_REJECTED) {
			buf_slice(&w->rejects, w->frames[i].raw);
			if (!(w->frames[i].flags & FRAME_OPEN))
				buf_char(&w->rejects, '\n');
		}
}

/* In the order of the lines: sort_frames took them apart by host. */
static void keep_steps(struct worker *w, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (w->frames[i].flags & FRAME_STEP) {
			struct step_ref s = { w->steps[i], w->messages[i], w->frames[i].host.p };

			buf_add(&w->parts, (const char *)&s, sizeof(s));
		}
}

static void process(struct worker *w)
{
	const struct pipeline *p = w->pipeline;
	size_t at = 0;
	uint32_t n;

	if (p->linetime)
		rebase_stream(w->pipeline, &w->block);
	unwrapper_reset(&w->unwrapper);		/* for the whole block: parts of requests are lent by it until they are joined */
	while ((n = frame_cut(&w->block, &at, w->frames, FRAMES_MAX)) != 0) {
		sort_frames(w, n);
		for (uint32_t o = 0; o < w->norigins; o++)
			origin_frames(w, &w->origins[o]);
		if (p->rejects >= 0)
			keep_rejects(w, n);
		keep_steps(w, n);
	}
	if (w->block.seq == w->pipeline->learn_seq)
		formats_learn(&w->pipeline->formats, w->parser.matches);
}

/* A sink that does not hold what it is given while it is disabled is given nothing. */
static void wait_enabled(const struct sink *s)
{
	const struct timespec moment = { .tv_nsec = RELEASE_LOOK_MS * 1000000L };

	while (s->disabled && !s->holds && !stop_requested())
		nanosleep(&moment, NULL);
}

static void tally_add(struct tally *to, struct tally *from)
{
#define COUNTER(name, identity, meaning) to->name += from->name;
#include "formats/counters.def"
#undef COUNTER
	*from = (struct tally){ 0 };
}

/* The same of spans alone, before the lines of the block are all counted: both sums hold at every moment. */
static void tally_add_spans(struct tally *to, struct tally *from)
{
#define ADD_L(name)
#define ADD_X(name)
#define ADD_S(name)			\
	do {				\
		to->name += from->name;	\
		from->name = 0;		\
	} while (0);
#define COUNTER(name, identity, meaning) ADD_##identity(name)
#include "formats/counters.def"
#undef COUNTER
#undef ADD_S
#undef ADD_X
#undef ADD_L
}

/* It is the block's turn. */
static void submit_wires(struct pipeline *p, struct worker *w)
{
	for (uint32_t k = 0; k < p->nsinks; k++) {
		w->wire[k].seq = w->block.seq;
		wait_enabled(p->sinks[k]);
		if (w->wire[k].bytes.len || w->wire[k].spans)
			p->sinks[k]->ops->submit(p->sinks[k], &w->wire[k]);
		w->wire[k].spans = 0;
	}
}

/* ---- requests with several lines -------------------------------------------------------------------------- */

static void finish_wires(struct worker *w);

/*
 * Sources without an end: when no line has come for a while, requests do not wait for more of theirs, lest the last
 * ones of a busy hour come in the next morning.
 */
static void join_idle(struct pipeline *p, struct worker *w)
{
	int64_t idle_us = (clock_ms() - p->joined_ms) * 1000;

	if (idle_us >= LINGER_US)
		joiner_idle(p->joiner, idle_us >= p->c->max_age_us, &w->joined);
}

/*
 * Short new requests have made many long ones leave: they go before the others of the block are joined, since a wire is
 * bounded. Nobody else's turn to join comes meanwhile, and those before us do not wait for that.
 */
static void hand_over_joined(struct pipeline *p, struct worker *w)
{
	finish_wires(w);
	pthread_mutex_lock(&p->output);
	while (p->next_out != w->block.seq)
		pthread_cond_wait(&p->turn, &p->output);
	tally_add_spans(&p->total, &w->tally);
	pthread_mutex_unlock(&p->output);
	submit_wires(p, w);
}

/* The lines of the block to the joiner, in the order of the blocks; what is whole by now is this worker's to rebuild. */
static void join(struct pipeline *p, struct worker *w)
{
	uint32_t open, final;

	pthread_mutex_lock(&p->output);
	while (p->next_join != w->block.seq)
		pthread_cond_wait(&p->turn, &p->output);
	pthread_mutex_unlock(&p->output);

	for (size_t at = 0; at < w->parts.len; at += sizeof(struct step_ref)) {
		struct step_ref s;

		memcpy(&s, w->parts.p + at, sizeof(s));
		if (joiner_take(p->joiner, &s.part, s.msg, s.host, &w->joined))
			w->tally.requests++;
		else
			w->tally.merged++;
		if (w->joined.len > JOINED_MAX)
			hand_over_joined(p, w);
	}
	if (w->parts.len)
		p->joined_ms = clock_ms();
	else if (p->live && p->open)
		join_idle(p, w);
	w->parts.len = 0;
	if (p->live)
		ledger_joined(&p->ledger, w->block.seq, joiner_left_since(p->joiner), joiner_open_since(p->joiner));
	open = joiner_open(p->joiner, &final);
	/* Whoever waits for input waits for too long: it did not know of them. */
	if (p->live && ((open && !p->open) || (final && !p->final)))
		live_wake(p->live);
	p->open = open;
	p->final = final;

	pthread_mutex_lock(&p->output);
	p->next_join++;
	pthread_cond_broadcast(&p->turn);
	pthread_mutex_unlock(&p->output);
}

/* Parse the lines of w->request again, this time for good, and make one record of them. */
static void merge_lines(struct worker *w)
{
	merge_begin(&w->merge, &w->request);
	for (uint32_t k = 0; k < w->merge.n; k++) {
		uint32_t i = w->merge.order[k];
		const struct part *part = &w->request.part[i];
		struct frame f = { .zone_min = ZONE_UNKNOWN };
		struct recent recent;

		memset(&recent, 0xff, sizeof(recent));
		recent.v[0] = part->format;
		f.msg = slice_of(w->request.bytes[i], part->len);
		f.raw = f.line = slice_of(w->request.bytes[i], part->raw_len);	/* its length alone is looked at */
		if (parse_frame(&w->parser, &f, &recent) == PARSED_REQUEST)
			merge_add(&w->merge, i, &w->parser.rec);
	}
}

/* The spans of w->request to every sink; `host` is that of the group that is open, if one is. */
static void joined_request(struct worker *w, size_t mark[], bool *open, struct slice *host)
{
	const struct pipeline *p = w->pipeline;
	struct merge *m = &w->merge;
	enum verdict verdict;

	merge_lines(w);
	if (!m->rec.format)
		return;
	merge_finish(m);
	w->rebuilder.moments = &m->moments;
	verdict = rebuild(&w->rebuilder, &m->rec, &m->frame, &w->whole);
	w->rebuilder.moments = NULL;
	merge_events(m, &w->whole);
	w->tally.truncated += record_has(&m->rec, SLOT_x_truncated);
	w->tally.spans += w->whole.n;
	if (verdict != VERDICT_KEPT) {
		left_out(w, verdict, w->whole.n);
		return;
	}
	if (p->shift.us)
		shift_trace(&p->shift, &w->whole, m->event);
	for (uint32_t k = 0; k < p->nsinks; k++) {
		const struct encoder *e = p->sinks[k]->encoder;
		bool same = *open && (p->host_given || slice_eq(*host, m->frame.host));

		w->wire[k].spans += w->whole.n;
		if (e->lines)
			continue;
		if (*open && !same)
			e->close(&w->wire[k].bytes, mark[k]);
		if (!same)
			e->open(&w->wire[k].bytes, &p->c->resource, p->host_given ? slice_of("", 0) : m->frame.host,
				&mark[k]);
		e->trace(&w->wire[k].bytes, &m->rec, &w->whole);
	}
	*open = true;
	*host = m->frame.host;
}

/* Behind the block's own spans: the spans of all requests that are whole by now. Then the wires are ready to go. */
static void finish_wires(struct worker *w)
{
	const struct pipeline *p = w->pipeline;
	size_t mark[SINKS_MAX] = { 0 }, at = 0;
	struct slice host = { NULL, 0 };
	bool open = false;

	while (joined_next(&w->joined, &at, &w->request))
		joined_request(w, mark, &open, &host);
	for (uint32_t k = 0; k < p->nsinks; k++) {
		const struct encoder *e = p->sinks[k]->encoder;

		if (open)
			e->close(&w->wire[k].bytes, mark[k]);
		if (e->seal)
			e->seal(&w->wire[k].bytes);
	}
	w->joined.len = 0;
	w->tally.invalid_contexts += w->rebuilder.invalid_contexts;
	w->rebuilder.invalid_contexts = 0;
}

/* ---- input and output ------------------------------------------------------------------------------------ */

/* Give up the input for a moment: until pipeline_reload or somebody at the admin socket is done, or to look again. */
static void wait_released(struct pipeline *p)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += RELEASE_LOOK_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&p->released, &p->input, &until);
}

/* Have all sinks given up? */
static bool nobody_takes(const struct pipeline *p)
{
	for (uint32_t k = 0; k < p->nsinks; k++)
		if (!p->sinks[k]->failed)
			return false;
	return true;
}

/*
 * From the sources without an end: true when there is a block. An empty one, when the time has come for requests that
 * wait for more lines.
 */
static bool fill_live(struct pipeline *p, struct block *b)
{
	bool files = p->source || p->next_source < p->nsources;
	int wait_ms = files && !stop_requested() ? 0 : p->final ? (int)(LINGER_US / 1000) : p->open ? IDLE_LOOK_MS : -1;

	/* What has arrived may come again, to whom it is sent next; what is read now would be lost. */
	if (nobody_takes(p)) {
		p->live_ended = true;
		return false;
	}
	switch (live_fill(p->live, b, wait_ms)) {
	case LIVE_BLOCK:
		return true;
	case LIVE_NOTHING:
		return p->open && !files;
	default:
		p->live_ended = true;
		return false;
	}
}

/* A file that is disabled is not read, and none behind it. A wish to stop is looked for now and then. */
static bool wait_disabled(struct pipeline *p, uint32_t i)
{
	if (!p->disabled[i] || stop_requested())
		return false;
	if (!p->live || p->live_ended)
		wait_released(p);
	return true;
}

/* From files, one after the other: true when there is a block. */
static bool fill_files(struct pipeline *p, struct block *b)
{
	if (!p->source) {
		while (p->next_source < p->nsources && live_names(slice_str(p->uri[p->next_source])))
			p->next_source++;
		if (p->next_source == p->nsources || wait_disabled(p, p->next_source))
			return false;
		p->source = source_open(slice_str(p->uri[p->next_source++]), p->err);
		return false;
	}
	if (wait_disabled(p, p->next_source - 1))
		return false;
	switch (source_fill(p->source, b, p->err)) {
	case FILL_BLOCK:
		p->files_read = p->files_before + source_bytes(p->source);
		return true;
	case FILL_LATER:
		return false;
	case FILL_END:
		break;
	}
	p->files_before += source_bytes(p->source);
	source_close(p->source);
	p->source = NULL;
	return false;
}

static bool is_over(const struct pipeline *p)
{
	bool files = p->source || p->next_source < p->nsources;

	return (!p->live || p->live_ended) && (!files || stop_requested());
}

static void take_sampler(struct pipeline *p, struct worker *w)
{
	pthread_mutex_lock(&p->output);
	w->rules.sampler = p->sampler;
	pthread_mutex_unlock(&p->output);
}

/* What comes live goes before files, which can wait. */
static bool read_block(struct pipeline *p, struct block *b)
{
	b->mark = 0;
	if (p->live && !p->live_ended && fill_live(p, b))
		return true;
	return !stop_requested() && fill_files(p, b);
}

/* Lines whose time has come; when there are none, wait a little, without the lock. */
static bool paced_block(struct pipeline *p, struct block *b)
{
	struct pollfd stop = { .fd = stop_fd(), .events = POLLIN };
	struct timespec now;
	int wait_ms;

	if (!pace_holds(p->pace) && !read_block(p, pace_block(p->pace)))
		return false;
	clock_gettime(CLOCK_MONOTONIC, &now);
	wait_ms = pace_take(p->pace, b, now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000, stop_requested());
	if (wait_ms == 0)
		return true;
	pthread_mutex_unlock(&p->input);
	poll(&stop, 1, wait_ms);
	pthread_mutex_lock(&p->input);
	return false;
}

/* The next block of a source that has one. */
static bool next_block(struct pipeline *p, struct worker *w)
{
	bool got = false;

	pthread_mutex_lock(&p->input);
	while (!got && (!is_over(p) || (p->pace && pace_holds(p->pace)))) {
		if (p->hold)
			wait_released(p);
		else
			got = p->pace ? paced_block(p, &w->block) : read_block(p, &w->block);
	}
	if (got) {
		take_sampler(p, w);
		w->block.seq = p->next_seq++;
		if (p->live)
			ledger_enter(&p->ledger, w->block.seq, w->block.source, w->block.mark);
	}
	pthread_mutex_unlock(&p->input);
	return got;
}

static void write_rejects(struct pipeline *p, struct buf *b)
{
	size_t at = 0;

	while (at < b->len && !p->rejects_failed) {
		ssize_t n = write(p->rejects, b->p + at, b->len - at);

		if (n < 0 && errno != EINTR) {
			p->rejects_failed = p->c->rejects;
			log_error("cannot write to %s: %m; rejected lines are counted, but not kept", p->c->rejects);
		}
		at += n > 0 ? (size_t)n : 0;
	}
	b->len = 0;
}

/*
 * The first block settles in which order formats are tried, and with --rebase the first line that has a time by how much
 * all are shifted: nobody starts on another block before.
 */
static void wait_for_first(struct pipeline *p, uint64_t seq)
{
	pthread_mutex_lock(&p->output);
	while ((seq > p->learn_seq && p->next_out <= p->learn_seq) || (p->linetime && seq != p->next_out))
		pthread_cond_wait(&p->turn, &p->output);
	pthread_mutex_unlock(&p->output);
}

/*
 * Effects become visible in the order of the blocks: outputs are the same whatever the number of threads. The
 * block is counted before it is handed over, and the lock is not held while a sink makes its worker wait: whoever
 * asks for the account finds what no sink has answered for among the `held`.
 */
static void hand_over(struct pipeline *p, struct worker *w)
{
	pthread_mutex_lock(&p->output);
	while (p->next_out != w->block.seq)
		pthread_cond_wait(&p->turn, &p->output);
	tally_add(&p->total, &w->tally);
	if (!p->sample[0])
		memcpy(p->sample, w->sample, sizeof(p->sample));
	pthread_mutex_unlock(&p->output);

	submit_wires(p, w);
	/* To read on would only make spans that nobody takes. */
	if (nobody_takes(p))
		stop_request();
	write_rejects(p, &w->rejects);

	pthread_mutex_lock(&p->output);
	p->next_out++;
	pthread_cond_broadcast(&p->turn);
	pthread_mutex_unlock(&p->output);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	while (next_block(w->pipeline, w)) {
		wait_for_first(w->pipeline, w->block.seq);
		w->busy_ms = clock_ms();
		process(w);
		w->busy_ms = 0;
		join(w->pipeline, w);
		w->busy_ms = clock_ms();
		finish_wires(w);
		w->busy_ms = 0;
		hand_over(w->pipeline, w);
		block_release(&w->block);
	}
	parser_thread_free();
	return NULL;
}

/* ---- the whole ------------------------------------------------------------------------------------------- */

static bool worker_init(struct worker *w, struct pipeline *p, struct err *err)
{
	w->pipeline = p;
	block_alloc(&w->block);
	unwrapper_init(&w->unwrapper);
	parser_init(&w->parser, &p->formats);
	for (uint32_t k = 0; k < p->nsinks; k++)
		w->wire[k].bytes.max = WIRE_MAX;
	w->rejects.max = WIRE_MAX;
	w->parts.max = w->joined.max = WIRE_MAX;
	merge_init(&w->merge);
	w->rules = p->c->rules;
	return rebuilder_init(&w->rebuilder, &w->rules, p->c->timezone, err);
}

/*
 * `truncate`: what an earlier run left there goes. Not at a new configuration, when it may be the same file, nor with sources
 * without an end, which go on where the earlier run has ended: its lines do not come again.
 */
static int open_rejects(const char *path, bool truncate, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND | (truncate ? O_TRUNC : 0), 0600);

	if (fd < 0) {
		err_set(err, EXIT_CONFIG, "cannot write to it: %m");
		err_where(err, "%s", path);
	}
	return fd;
}

static bool open_sinks(struct pipeline *p, struct err *err)
{
	for (uint32_t k = 0; k < p->c->nsinks; k++) {
		bool ok;

		if (p->c->check_only) {
			ok = sink_check(p->c->sinks[k], &p->c->export, err);
		} else {
			p->sinks[k] = sink_open(p->c->sinks[k], &p->c->export, err);
			ok = p->sinks[k] != NULL;
			p->nsinks += ok;
			p->relays |= ok && p->sinks[k]->encoder->lines;
		}
		if (!ok)
			return p->c->sink_from[k] ? options_blame(p->c->sink_from[k], err) : false;
	}
	if (p->c->check_only && p->c->rejects && access(p->c->rejects, F_OK) == 0 && access(p->c->rejects, W_OK) != 0) {
		err_set(err, EXIT_CONFIG, "cannot write to it: %m");
		return err_where(err, "%s", p->c->rejects);
	}
	if (p->c->check_only)
		return true;
	sinks_opened(&p->c->export);
	if (p->c->rejects)
		p->rejects = open_rejects(p->c->rejects, !p->live, err);
	return !p->c->rejects || p->rejects >= 0;
}

/* Paths that this run will write, NULL-terminated. */
static void outputs(const struct config *c, struct slice out[SINKS_MAX + 2])
{
	uint32_t n = 0;

	for (uint32_t k = 0; k < c->nsinks; k++)
		if (slice_starts(c->sinks[k], SLICE("file:")))
			out[n++] = slice_skip(c->sinks[k], 5);
	if (c->rejects)
		out[n++] = slice_str(c->rejects);
	out[n] = (struct slice){ NULL, 0 };
}

/* To write into what is being read, or twice into one file, would destroy it without a word. */
static bool check_outputs(const struct config *c, const struct source *s, struct err *err)
{
	struct slice paths[SINKS_MAX + 2];
	struct stat st[SINKS_MAX + 1];
	char path[4096];

	outputs(c, paths);
	for (uint32_t i = 0; paths[i].p; i++) {
		snprintf(path, sizeof(path), "%.*s", (int)paths[i].len, paths[i].p);
		if (stat(path, &st[i]) != 0 || !S_ISREG(st[i].st_mode))
			st[i] = (struct stat){ 0 };
		else if (source_reads(s, &st[i]))
			err_set(err, EXIT_USAGE, "this file is being read: it can't be written too");
		for (uint32_t k = 0; k < i; k++)
			if (slice_eq(paths[i], paths[k]) ? !slice_eq(paths[i], SLICE("/dev/null")) && !S_ISCHR(st[i].st_mode) :
			    st[i].st_ino && st[i].st_ino == st[k].st_ino && st[i].st_dev == st[k].st_dev)
				err_set(err, EXIT_USAGE, "this file would be written twice");
		if (err->code != EXIT_DONE)
			return err_where(err, "%s", path);
	}
	return true;
}

/* The configuration that names them may be replaced. */
static bool copy_uris(struct pipeline *p, struct err *err)
{
	for (uint32_t i = 0; i < p->c->nsources; i++) {
		p->uri[i] = strndup(p->c->sources[i].p, p->c->sources[i].len);
		if (!p->uri[i])
			return err_set(err, EXIT_CONFIG, "out of memory");
		p->nsources = i + 1;
	}
	return true;
}

/* To bind may take root's rights; all that comes after does not. */
static bool is_socket(struct slice uri)
{
	return live_names(uri) && !slice_starts(uri, SLICE("follow:"));
}

/* A file that is not there, or an address that is taken, must show before the first byte is sent anywhere. */
static bool check_sources(struct pipeline *p, bool sockets, struct err *err)
{
	const struct config *c = p->c;

	for (uint32_t i = 0; i < c->nsources; i++) {
		struct source *s;
		bool ok;

		if (is_socket(c->sources[i]) != sockets)
			continue;
		s = p->live && live_names(c->sources[i]) ? NULL : source_open(c->sources[i], err);
		p->live_number[i] = s ? 0 : p->nlive++;
		ok = s ? check_outputs(c, s, err) : err->code == EXIT_DONE && live_add(p->live, c->sources[i], err);
		p->files_size += s ? source_size(s) : 0;
		p->files_open |= s && source_size(s) == 0;
		source_close(s);
		if (!ok)
			return c->source_from[i] ? options_blame(c->source_from[i], err) : false;
	}
	return !p->live || live_add_passed(p->live, err);
}

/* From here on nothing takes root's rights, and nothing is opened that the configuration doesn't name. */
static bool confine(const struct config *c, struct err *err)
{
	if (c->check_only)
		return true;
	if (!user_drop(&c->user, err))
		return err_where(err, "--user");
	sandbox_enter(c);
	return true;
}

static bool open_live(struct pipeline *p, const struct config *c, struct err *err)
{
	bool any = live_passed() > 0;

	for (uint32_t i = 0; i < c->nsources; i++)
		any |= live_names(c->sources[i]);
	if (!any)
		return true;
	if (!ledger_init(&p->ledger))
		return err_set(err, EXIT_CONFIG, "out of memory");
	p->live = live_new(&c->live, err);
	return p->live != NULL;
}

/* Does the user name the host? Then the envelopes' do not count. */
static bool gives_host(const struct config *c)
{
	for (uint32_t i = 0; i < c->resource.n; i++)
		if (slice_eq(c->resource.keys[i], SLICE("host.name")))
			return true;
	return false;
}

struct pipeline *pipeline_open(const struct config *c, struct err *err)
{
	struct pipeline *p = calloc(1, sizeof(*p));

	if (!p || !(p->workers = calloc(c->threads, sizeof(*p->workers)))) {
		free(p);
		err_set(err, EXIT_CONFIG, "out of memory");
		return NULL;
	}
	p->c = c;
	p->formats = c->formats;
	p->threads = c->threads;
	p->rejects = -1;
	p->host_given = gives_host(c);
	p->sampler = c->rules.sampler;
	pthread_cond_init(&p->released, NULL);
	pthread_mutex_init(&p->input, NULL);
	pthread_mutex_init(&p->output, NULL);
	pthread_cond_init(&p->turn, NULL);
	pthread_mutex_init(&p->keeping, NULL);
	pthread_cond_init(&p->keep, NULL);
	p->joiner = joiner_new(c->max_open, c->max_age_us, err);
	p->pace = pace_new(c, err);
	if (c->rebase)
		p->linetime = linetime_new(c, err);
	if (p->joiner && err->code == EXIT_DONE && copy_uris(p, err) && open_live(p, c, err) &&
	    check_sources(p, true, err) && confine(c, err) &&
	    check_sources(p, false, err) && open_sinks(p, err)) {
		unsigned i = 0;

		while (i < c->threads && worker_init(&p->workers[i], p, err))
			i++;
		if (i == c->threads)
			return p;
	}
	pipeline_close(p);
	return NULL;
}

/* The input has ended: requests that are still open leave, a block's worth at a time. */
static void leave_open(struct pipeline *p, struct worker *w)
{
	while (joiner_end(p->joiner, &w->joined)) {
		w->block.seq = p->next_seq++;
		p->next_join++;
		if (p->live) {
			ledger_enter(&p->ledger, w->block.seq, 0, 0);
			ledger_joined(&p->ledger, w->block.seq, joiner_left_since(p->joiner), joiner_open_since(p->joiner));
		}
		finish_wires(w);
		hand_over(p, w);
	}
	parser_thread_free();
}

/* Blocks below this one are settled by all sinks. */
static uint64_t settled_below(struct pipeline *p)
{
	uint64_t below;

	pthread_mutex_lock(&p->output);
	below = p->next_out;
	pthread_mutex_unlock(&p->output);
	for (uint32_t k = 0; k < p->nsinks; k++) {
		uint64_t unsettled = p->sinks[k]->ops->unsettled(p->sinks[k]);

		below = unsettled < below ? unsettled : below;
	}
	return below;
}

/* `below` is settled; what a sync cannot vouch for is not, after all. Returns what remains. */
static uint64_t sync_sinks(struct pipeline *p, uint64_t below)
{
	uint64_t synced;

	for (uint32_t k = 0; k < p->nsinks; k++)
		if (p->sinks[k]->ops->sync)
			p->sinks[k]->ops->sync(p->sinks[k]);
	synced = settled_below(p);
	return synced < below ? synced : below;
}

/* What all sinks have settled need not be read again: tell the sources. */
static void settle(struct pipeline *p, bool last)
{
	uint64_t below = settled_below(p), mark;
	uint32_t source = 0;

	if (below > p->settled) {
		p->settled = sync_sinks(p, below);
		ledger_settle(&p->ledger, p->settled);
	}
	while (ledger_news(&p->ledger, &source, &mark))
		live_acknowledge(p->live, source, mark);
	live_keep(p->live, last);
}

static void *keeper_main(void *arg)
{
	struct pipeline *p = arg;
	struct timespec until;

	pthread_mutex_lock(&p->keeping);
	while (!p->kept) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += SETTLE_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&p->keep, &p->keeping, &until);
		pthread_mutex_unlock(&p->keeping);
		settle(p, false);
		pthread_mutex_lock(&p->keeping);
	}
	pthread_mutex_unlock(&p->keeping);
	return NULL;
}

/* The last positions move when the sinks have said their last word. */
static void keeper_end(struct pipeline *p)
{
	pthread_mutex_lock(&p->keeping);
	p->kept = true;
	pthread_cond_signal(&p->keep);
	pthread_mutex_unlock(&p->keeping);
	pthread_join(p->keeper, NULL);
	settle(p, true);
}

void pipeline_run(struct pipeline *p, struct err *err)
{
	bool keeper = p->live && pthread_create(&p->keeper, NULL, keeper_main, p) == 0;
	unsigned started = 0;

	p->err = err;
	rebase_files(p);
	while (started < p->threads &&
	       pthread_create(&p->workers[started].thread, NULL, worker_main, &p->workers[started]) == 0)
		started++;
	if (started == 0)
		err_set(err, EXIT_CONFIG, "cannot start a thread");
	for (unsigned i = 0; i < started; i++)
		pthread_join(p->workers[i].thread, NULL);
	pthread_mutex_lock(&p->input);
	p->ended = true;
	pthread_mutex_unlock(&p->input);
	leave_open(p, &p->workers[0]);
	for (uint32_t k = 0; k < p->nsinks; k++) {
		/* A sink that is finished may have nothing left to sync. */
		if (p->live && p->sinks[k]->ops->sync)
			p->sinks[k]->ops->sync(p->sinks[k]);
		p->sinks[k]->ops->finish(p->sinks[k]);
	}
	if (keeper)
		keeper_end(p);
}

/* ---- seen and steered -------------------------------------------------------------------------------------- */

/* `held` is what is left: handed to the sink, or on its way to it, or in its spool, and not answered for. */
static void sink_account(struct sink_account *a, const struct tally *t, const struct sink_tally *s)
{
	a->spans = t->spans;
	a->restored = s->restored;
	a->exported = s->exported;
	a->unsampled = t->unsampled;
	a->filtered = t->filtered;
	a->refused = s->refused;
	a->dropped = s->dropped;
	a->held = a->spans + a->restored - a->exported - a->unsampled - a->filtered - a->refused - a->dropped;
}

void pipeline_account(struct pipeline *p, struct account *out)
{
	struct sink_tally s[SINKS_MAX];

	/* The sinks first: what they have answered for is in the total by then. */
	for (uint32_t k = 0; k < p->nsinks; k++)
		p->sinks[k]->ops->tally(p->sinks[k], &s[k]);
	pthread_mutex_lock(&p->output);
	out->total = p->total;
	pthread_mutex_unlock(&p->output);
	out->nsinks = p->nsinks;
	for (uint32_t k = 0; k < p->nsinks; k++) {
		out->sink[k].uri = p->sinks[k]->uri;
		out->sink[k].disabled = p->sinks[k]->disabled;
		out->sink[k].failed = p->sinks[k]->failed;
		sink_account(&out->sink[k], &out->total, &s[k]);
	}
}

void pipeline_metrics(struct pipeline *p, struct metrics *m)
{
	if (p->live)
		live_metrics(p->live, m);
	for (uint32_t k = 0; k < p->nsinks; k++) {
		m->label = p->sinks[k]->uri;
		if (p->sinks[k]->ops->metrics)
			p->sinks[k]->ops->metrics(p->sinks[k], m);
	}
	m->label = NULL;
}

uint32_t pipeline_sources(const struct pipeline *p)
{
	return p->nsources;
}

const char *pipeline_source_uri(const struct pipeline *p, uint32_t i)
{
	return p->uri[i];
}

enum source_state pipeline_source_state(const struct pipeline *p, uint32_t i)
{
	uint32_t next = p->next_source;

	if (p->disabled[i])
		return SOURCE_DISABLED;
	if (live_names(slice_str(p->uri[i])))
		return SOURCE_READING;
	return i + 1 < next ? SOURCE_ENDED : i + 1 == next ? SOURCE_READING : SOURCE_WAITING;
}

void pipeline_enable_source(struct pipeline *p, uint32_t i, bool enable)
{
	p->disabled[i] = !enable;
	if (live_names(slice_str(p->uri[i])))
		live_pause(p->live, p->live_number[i], !enable);
	else
		wake_input();
}

void pipeline_enable_sink(struct pipeline *p, uint32_t k, bool enable)
{
	p->sinks[k]->disabled = !enable;
}

void pipeline_sample(struct pipeline *p, const struct sampler *s)
{
	pthread_mutex_lock(&p->output);
	p->sampler_set = s != NULL;
	p->sampler = s ? *s : p->c->rules.sampler;
	pthread_mutex_unlock(&p->output);
}

int64_t pipeline_busy_ms(struct pipeline *p)
{
	int64_t longest = 0, now = clock_ms();

	for (unsigned i = 0; i < p->threads; i++) {
		int64_t since = p->workers[i].busy_ms;

		if (since && now - since > longest)
			longest = now - since;
	}
	return longest;
}

/* ---- a new configuration ----------------------------------------------------------------------------------- */

static bool same_list(const struct slice *a, uint32_t na, const struct slice *b, uint32_t nb)
{
	bool same = na == nb;

	for (uint32_t i = 0; same && i < na; i++)
		same = slice_eq(a[i], b[i]);
	return same;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* What is bound, opened or started once. */
static void warn_of_restart(const struct config *old, const struct config *new)
{
	const struct {
		const char *what;
		bool same;
	} fixed[] = {
		{ "--from", same_list(old->sources, old->nsources, new->sources, new->nsources) },
		{ "--to", same_list(old->sinks, old->nsinks, new->sinks, new->nsinks) },
		{ "--threads", old->threads == new->threads },
		{ "--admin", same_text(old->admin, new->admin) },
		{ "--listen-metrics", same_text(old->listen_metrics, new->listen_metrics) },
	};

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (!fixed[i].same)
			log_warn("%s changed: that needs a restart; it stays as it was", fixed[i].what);
}

/* No block is filled from here on until input_release; false: the input has ended. */
static bool input_hold(struct pipeline *p)
{
	p->hold = true;
	if (p->live)
		live_wake(p->live);
	wake_input();
	pthread_mutex_lock(&p->input);
	return !p->ended;
}

static void input_release(struct pipeline *p)
{
	p->hold = false;
	pthread_cond_broadcast(&p->released);
	pthread_mutex_unlock(&p->input);
}

/*
 * Settings of sources and of sinks. All or none, as far as they go: what was changed before another one failed is
 * changed back.
 */
static bool reload_ends(struct pipeline *p, const struct config *c, struct err *err)
{
	struct err again = { 0 };
	uint32_t k = 0;
	bool ok = !p->live || live_reload(p->live, &c->live, err);

	for (; ok && k < p->nsinks; k++)
		ok = !p->sinks[k]->ops->reload || p->sinks[k]->ops->reload(p->sinks[k], &c->export, err);
	if (ok)
		return true;
	while (k-- > 0)
		if (p->sinks[k]->ops->reload)
			p->sinks[k]->ops->reload(p->sinks[k], &p->c->export, &again);
	if (p->live)
		live_reload(p->live, &p->c->live, &again);
	return false;
}

static void wait_handed_over(struct pipeline *p)
{
	pthread_mutex_lock(&p->output);
	while (p->next_out != p->next_seq)
		pthread_cond_wait(&p->turn, &p->output);
	pthread_mutex_unlock(&p->output);
}

/* What takes over, made before anything changes. */
struct succession {
	const struct config *c;
	struct rebuilder *rebuilder;	/* one for each worker; owned */
	struct joiner *joiner;		/* owned; NULL: the old one goes on */
	int rejects;			/* descriptor, or -1 */
};

static void succession_free(struct pipeline *p, struct succession *s)
{
	for (unsigned i = 0; s->rebuilder && i < p->threads; i++)
		rebuilder_free(&s->rebuilder[i]);
	free(s->rebuilder);
	joiner_free(s->joiner);
	if (s->rejects >= 0)
		close(s->rejects);
}

static bool succession_make(struct pipeline *p, struct succession *s, struct err *err)
{
	const struct config *c = s->c;
	bool resize = p->c->max_open != c->max_open || p->c->max_age_us != c->max_age_us;

	s->rebuilder = calloc(p->threads, sizeof(*s->rebuilder));
	if (!s->rebuilder)
		return err_set(err, EXIT_CONFIG, "out of memory");
	for (unsigned i = 0; i < p->threads; i++)
		if (!rebuilder_init(&s->rebuilder[i], &c->rules, c->timezone, err))
			return false;
	if (resize && !(s->joiner = joiner_new(c->max_open, c->max_age_us, err)))
		return false;
	return !c->rejects || (s->rejects = open_rejects(c->rejects, false, err)) >= 0;
}

/* What a worker has of its own. The old rebuilder is left in `new`. */
static void worker_renew(struct worker *w, struct pipeline *p, const struct rules *rules, struct rebuilder *new)
{
	struct rebuilder old = w->rebuilder;

	parser_free(&w->parser);
	parser_init(&w->parser, &p->formats);
	w->rules = *rules;
	w->rebuilder = *new;
	w->rebuilder.rules = &w->rules;
	*new = old;
}

/* No block is in flight: no worker looks at anything of this. What was replaced is left in `s`. */
static void swap(struct pipeline *p, struct succession *s)
{
	const struct config *c = s->c;
	int rejects = p->rejects;
	struct err ignored = { 0 };
	bool same = formats_same(&p->c->formats, &c->formats);
	uint16_t order[FORMATS_MAX];

	memcpy(order, p->formats.order, sizeof(order));
	p->formats = c->formats;
	if (same)
		memcpy(p->formats.order, order, sizeof(order));
	else
		p->learn_seq = p->next_seq;
	zone_prepare(c->timezone, &ignored);	/* it was looked at before */
	for (unsigned i = 0; i < p->threads; i++)
		worker_renew(&p->workers[i], p, &c->rules, &s->rebuilder[i]);
	p->rejects = s->rejects;
	s->rejects = rejects;
	p->rejects_failed = NULL;
	p->host_given = gives_host(c);
	pthread_mutex_lock(&p->output);
	p->c = c;
	if (!p->sampler_set)
		p->sampler = c->rules.sampler;
	pthread_mutex_unlock(&p->output);
}

/* Open requests leave the old way, if they can't be read the new way or are to be kept in another place. */
static void flush_joiner(struct pipeline *p, struct succession *s)
{
	struct joiner *old = p->joiner;

	if (formats_same(&p->c->formats, &s->c->formats) && !s->joiner)
		return;
	leave_open(p, &p->workers[0]);
	if (s->joiner) {
		p->joiner = s->joiner;
		s->joiner = old;
	}
	p->open = p->final = 0;
}

bool pipeline_reload(struct pipeline *p, const struct config *c, struct err *err)
{
	struct succession s = { .c = c, .rejects = -1 };
	bool ok = succession_make(p, &s, err);

	if (ok) {
		ok = input_hold(p) ? reload_ends(p, c, err) : err_set(err, EXIT_CONFIG, "haspan is about to end");
		if (ok) {
			warn_of_restart(p->c, c);
			wait_handed_over(p);
			flush_joiner(p, &s);
			swap(p, &s);
		}
		input_release(p);
	}
	succession_free(p, &s);
	return ok;
}

static unsigned long long u(uint64_t n)
{
	return n;
}

static size_t print_spans(char *out, size_t size, const struct sink_account *s)
{
	size_t n = 0;

#define ACCOUNT(name, kind, meaning) n += (size_t)snprintf(out + n, size - n, "%s" #name "=%llu", n ? " " : "", u(s->name));
#include "formats/account.def"
#undef ACCOUNT
	return n;
}

bool pipeline_progress(struct pipeline *p, struct progress *out)
{
	struct account a;

	*out = (struct progress){ .done = p->files_read, .total = p->files_open ? 0 : p->files_size, .bytes = true };
	if (p->live) {
		out->bytes = false;
		if (!live_progress(p->live, &out->done, &out->total))
			return false;
	}
	pipeline_account(p, &a);
	out->lines = a.total.lines;
	out->spans = a.total.spans;
	return true;
}

void pipeline_summary(struct pipeline *p)
{
	char text[2048 + SINKS_MAX * 1024];
	struct account a;
	size_t n;

	pipeline_account(p, &a);
	n = (size_t)snprintf(text, sizeof(text), "lines=%llu requests=%llu merged=%llu other=%llu rejected=%llu",
			     u(a.total.lines), u(a.total.requests), u(a.total.merged), u(a.total.other),
			     u(a.total.rejected));
	if (a.nsinks == 1) {
		text[n++] = ' ';
		n += print_spans(text + n, sizeof(text) - n, &a.sink[0]);
	}
	n += (size_t)snprintf(text + n, sizeof(text) - n, " truncated=%llu invalid_contexts=%llu\n",
			      u(a.total.truncated), u(a.total.invalid_contexts));
	for (uint32_t k = 0; a.nsinks > 1 && k < a.nsinks; k++) {
		n += (size_t)snprintf(text + n, sizeof(text) - n, "sink=%.200s ", a.sink[k].uri);
		n += print_spans(text + n, sizeof(text) - n, &a.sink[k]);
		text[n++] = '\n';
	}
	log_lines(LOG_LEVEL_INFO, text, n);
}

/* Nothing at all was understood: that is a wrong format, not a bad line. */
static void hint(const struct pipeline *p)
{
	struct buf shown = { .max = 4096 };

	if (p->total.requests == 0 && p->total.rejected) {
		term_text(&shown, slice_str(p->sample), SAMPLE_SHOWN);
		log_warn("no line was understood; the first was: %.*s", (int)shown.len, shown.p ? shown.p : "");
		log_warn("give its log-format by --format (`haspan formats` lists what is known); --rejects FILE keeps "
			 "such lines");
	}
	buf_free(&shown);
}

int pipeline_exit_code(struct pipeline *p)
{
	int code = p->c->strict && p->total.rejected ? EXIT_CHECK : EXIT_DONE;

	hint(p);
	if (p->rejects_failed)
		code = EXIT_CONFIG;
	if (p->err && (int)p->err->code > code)
		code = (int)p->err->code;
	if (p->live && (int)live_failed(p->live) > code)
		code = (int)live_failed(p->live);
	for (uint32_t k = 0; k < p->nsinks; k++) {
		struct sink_tally s;

		p->sinks[k]->ops->tally(p->sinks[k], &s);
		if (p->sinks[k]->failed || s.refused || s.dropped || s.held)
			code = EXIT_EXPORT;
	}
	return code;
}

void pipeline_close(struct pipeline *p)
{
	source_close(p->source);
	for (uint32_t i = 0; i < p->nsources; i++)
		free(p->uri[i]);
	for (uint32_t k = 0; k < p->nsinks; k++)
		p->sinks[k]->ops->free(p->sinks[k]);
	for (unsigned i = 0; i < p->threads; i++) {
		struct worker *w = &p->workers[i];

		block_free(&w->block);
		unwrapper_free(&w->unwrapper);
		parser_free(&w->parser);
		rebuilder_free(&w->rebuilder);
		buf_free(&w->rejects);
		buf_free(&w->parts);
		buf_free(&w->joined);
		merge_free(&w->merge);
		for (uint32_t k = 0; k < SINKS_MAX; k++)
			buf_free(&w->wire[k].bytes);
	}
	if (p->rejects >= 0)
		close(p->rejects);
	live_free(p->live);
	ledger_free(&p->ledger);
	joiner_free(p->joiner);
	pace_free(p->pace);
	linetime_free(p->linetime);
	free(p->workers);
	free(p);
}
