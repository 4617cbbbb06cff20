#include "pipeline_private.h"

#include "core/civil.h"
#include "core/log.h"
#include "core/stop.h"
#include "core/wait.h"
#include "linetime.h"
#include "pace.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* How often it is looked whether open requests have grown too old. */
#define IDLE_LOOK_MS 60000

/* A line for the joiner; its bytes lie in the block, but for `aside`, which lies in worker.asides from `at` on. */
struct step_ref {
	struct part part;
	struct part_bytes from;
	size_t at;
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
	*(verdict == VERDICT_UNSAMPLED ? &w->tally.unsampled : &w->tally.filtered) += spans;
}

/* Behind rebuild(): who has decided, and what --trace and --grep have found. */
static void decided(struct worker *w, enum verdict verdict, const struct trace *t)
{
	struct found *f = &w->found;

	if (w->rebuilder.decided != RULE_NONE)
		w->rule_hits[w->rebuilder.decided]++;
	if (verdict == VERDICT_NOT_ASKED)
		return;
	if (f->requests++ == 0) {
		f->hi = t->id_hi;
		f->lo = t->id_lo;
	}
	f->several |= f->hi != t->id_hi || f->lo != t->id_lo;
}

static void watched(struct worker *w, enum verdict verdict, const struct record *rec, const struct trace *trace)
{
	if (verdict == VERDICT_NOT_ASKED)
		return;
	for (uint32_t k = 0; k < w->pipeline->nwatchers; k++)
		w->pipeline->watcher[k]->ops->see(w->part[k], rec, trace);
}

/* A request: its spans to every sink. `open`: which sinks have a group open for this origin. */
static void request(struct worker *w, const struct frame *f, size_t mark[], bool *open)
{
	const struct pipeline *p = w->pipeline;
	enum verdict verdict = rebuild(&w->rebuilder, &w->parser.rec, f, &w->trace);

	w->parser.rec.line = f->raw;
	w->tally.requests++;
	w->tally.truncated += record_has(&w->parser.rec, SLOT_x_truncated);
	w->tally.spans += w->trace.n;
	decided(w, verdict, &w->trace);
	if (p->shift.us)
		shift_trace(&p->shift, &w->trace, NULL);
	if (p->nwatchers)
		watched(w, verdict, &w->parser.rec, &w->trace);
	if (verdict != VERDICT_KEPT) {
		left_out(w, verdict, w->trace.n);
		return;
	}
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
	const struct formats *formats = &w->pipeline->formats;

	switch (step_line(r, f, &w->steps[i])) {
	case STEP_LINE_NONE:
		return false;
	case STEP_LINE_OTHER:
		w->tally.other++;
		return true;
	case STEP_LINE_PART:
		break;
	}
	w->steps[i].format = recent->v[0] < formats->n && formats->v[recent->v[0]] == r->format ?
			     recent->v[0] : UINT16_MAX;
	w->steps[i].seq = w->block.seq;
	w->steps[i].flags |= pick_line(&w->rules, f->raw) ? PART_GREPPED : 0;
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
			const struct message *m = w->frames[i].message;
			struct step_ref s = { w->steps[i], { w->messages[i], w->frames[i].host.p, NULL }, w->asides.len };

			if (m && (m->headers || m->key.len))
				s.part.aside_len = steps_aside(m, &w->asides);
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
	/* For the whole block: parts of requests are lent by it until they are joined. */
	unwrapper_reset(&w->unwrapper);
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

/*
 * The lines of the block to the joiner, in the order of the blocks; what is whole by now is this worker's to rebuild.
 */
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
		if (s.part.aside_len)
			s.from.aside = w->asides.p + s.at;
		if (joiner_take(p->joiner, &s.part, &s.from, &w->joined))
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
	w->parts.len = w->asides.len = 0;
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

static bool is_grepped(const struct joined *j)
{
	bool any = false;

	for (uint32_t i = 0; i < j->n; i++)
		any |= j->part[i].flags & PART_GREPPED;
	return any;
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
	w->rebuilder.grepped = is_grepped(&w->request);
	verdict = rebuild(&w->rebuilder, &m->rec, &m->frame, &w->whole);
	w->rebuilder.moments = NULL;
	merge_events(m, &w->whole);
	w->tally.truncated += record_has(&m->rec, SLOT_x_truncated);
	w->tally.spans += w->whole.n;
	decided(w, verdict, &w->whole);
	if (p->shift.us)
		shift_trace(&p->shift, &w->whole, m->event);
	if (p->nwatchers)
		watched(w, verdict, &m->rec, &w->whole);
	if (verdict != VERDICT_KEPT) {
		left_out(w, verdict, w->whole.n);
		return;
	}
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
	wait_ms(&p->released, &p->input, RELEASE_LOOK_MS);
}

/* Have all sinks given up, or all that they want? Who watches wants everything, as long as one of them goes on. */
static bool nobody_takes(const struct pipeline *p)
{
	for (uint32_t k = 0; k < p->nsinks; k++)
		if (!p->sinks[k]->failed && (!p->sinks[k]->done || p->nwatchers))
			return false;
	return p->nsinks > 0;
}

/* What the kernel loses from now on would not have been read. */
static bool end_live(struct pipeline *p)
{
	p->live_ended = true;
	p->lost = live_lost(p->live);
	return false;
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
		return end_live(p);
	}
	switch (live_fill(p->live, b, wait_ms)) {
	case LIVE_BLOCK:
		return true;
	case LIVE_NOTHING:
		return p->open && !files;
	default:
		return end_live(p);
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
		p->cut_short |= stop_requested();
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
 * The first block settles in which order formats are tried, and with --rebase the first line that has a time by how
 * much all are shifted: nobody starts on another block before.
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
	rules_add(p, w);
	if (!p->sample[0])
		memcpy(p->sample, w->sample, sizeof(p->sample));
	if (!p->fresh[0])
		memcpy(p->fresh, w->sample, sizeof(p->fresh));
	w->sample[0] = '\0';
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

void pipeline_leave_open(struct pipeline *p, struct worker *w)
{
	while (joiner_end(p->joiner, &w->joined)) {
		w->block.seq = p->next_seq++;
		p->next_join++;
		if (p->live) {
			ledger_enter(&p->ledger, w->block.seq, 0, 0);
			ledger_joined(&p->ledger, w->block.seq, joiner_left_since(p->joiner),
				      joiner_open_since(p->joiner));
		}
		finish_wires(w);
		hand_over(p, w);
	}
	parser_thread_free();
}

void pipeline_run(struct pipeline *p, struct err *err)
{
	bool keeper = keeper_start(p);
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
	pipeline_leave_open(p, &p->workers[0]);
	pipeline_join_parts(p);
	for (uint32_t k = 0; k < p->nsinks; k++) {
		/* A sink that is finished may have nothing left to sync. */
		if (p->live && p->sinks[k]->ops->sync)
			p->sinks[k]->ops->sync(p->sinks[k]);
		p->sinks[k]->ops->finish(p->sinks[k]);
	}
	if (keeper)
		keeper_end(p);
}
