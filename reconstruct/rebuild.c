/*
 * reconstruct/rebuild.c - record to trace, in the order in which one thing needs another.
 */
#include "reconstruct/context.h"
#include "reconstruct/http.h"
#include "reconstruct/ids.h"
#include "reconstruct/reconstruct.h"
#include "reconstruct/sample.h"
#include "reconstruct/timers.h"

#include <stdlib.h>

bool rebuilder_init(struct rebuilder *rb, const struct rules *rules, struct slice zone_name, struct err *err)
{
	*rb = (struct rebuilder){ .rules = rules, .scratch = malloc(3 * LINE_MAX_BYTES + SAMPLE_STATE_GROWS),
				  .memo = calloc(rules->nmemos + 1, sizeof(*rb->memo)) };
	if (!rb->scratch || !rb->memo)
		return err_set(err, EXIT_CONFIG, "out of memory");
	zone_init(&rb->zone, zone_name);
	return true;
}

void rebuilder_free(struct rebuilder *rb)
{
	free(rb->scratch);
	free(rb->memo);
	rb->scratch = NULL;
	rb->memo = NULL;
}

/* ---- trace context ------------------------------------------------------------------------------------- */

bool propagators_parse(struct slice list, struct rules *rules, struct err *err)
{
	static const struct { struct slice name; int propagator; } known[] = {
		{ { "tracecontext", 12 }, PROPAGATOR_W3C },   { { "b3", 2 }, PROPAGATOR_B3 },
		{ { "b3multi", 7 }, PROPAGATOR_B3_MULTI },    { { "jaeger", 6 }, PROPAGATOR_JAEGER },
		{ { "xray", 4 }, PROPAGATOR_XRAY },	      { { "baggage", 7 }, -1 },
		{ { "none", 4 }, -1 },
	};
	struct slice rest = list;

	rules->npropagators = 0;
	while (rest.p) {
		struct slice name = slice_trim(slice_cut(&rest, ','));
		size_t i = 0;
		bool seen = false;

		while (i < sizeof(known) / sizeof(known[0]) && !slice_eq(known[i].name, name))
			i++;
		if (i == sizeof(known) / sizeof(known[0]))
			return err_at(err, EXIT_USAGE, list.p, list.len, (size_t)(name.p - list.p),
				      "no such propagator: expected tracecontext, b3, b3multi, jaeger, xray, baggage or "
				      "none");
		for (uint32_t k = 0; k < rules->npropagators; k++)
			seen |= rules->propagators[k] == known[i].propagator;
		if (known[i].propagator >= 0 && !seen)
			rules->propagators[rules->npropagators++] = (uint8_t)known[i].propagator;
	}
	return true;
}

/* One carrier: was there anything (`*present`), and was it valid? */
static bool extract(const struct record *r, enum propagator p, struct context *out, bool *present)
{
	static const enum slot carrier[PROPAGATOR_MAX] = {
		[PROPAGATOR_W3C] = SLOT_traceparent,	      [PROPAGATOR_B3] = SLOT_b3,
		[PROPAGATOR_B3_MULTI] = SLOT_b3_traceid,      [PROPAGATOR_JAEGER] = SLOT_uber_trace_id,
		[PROPAGATOR_XRAY] = SLOT_xray,
	};
	struct slice v = record_text(r, carrier[p]);

	*present = v.len > 0;
	if (!*present)
		return false;
	switch (p) {
	case PROPAGATOR_W3C:
		return context_traceparent(v, out);
	case PROPAGATOR_B3:
		/* `0`, `1`, `d` alone are a decision without a trace: valid, but no parent. */
		v = slice_trim(v);
		*present = v.len != 1 || !memchr("01d", *v.p, 3);
		return context_b3(v, out);
	case PROPAGATOR_B3_MULTI:
		return context_b3_multi(v, record_text(r, SLOT_b3_spanid), record_text(r, SLOT_b3_sampled),
					record_text(r, SLOT_b3_flags), out);
	case PROPAGATOR_JAEGER:
		return context_jaeger(v, out);
	default:
		return context_xray(v, out);
	}
}

/* Captures without names: a value that is a valid traceparent is one; nothing else is guessed. */
static bool find_unnamed(const struct record *r, struct context *out)
{
	for (int side = 0; side < CAPTURE_SIDES; side++) {
		if (r->format->ncap[side] || (side == CAPTURE_RESPONSE && r->cap[CAPTURE_REQUEST].n))
			continue;
		for (uint32_t k = 0; k < r->cap[side].n; k++)
			if (r->cap[side].v[k].len >= 55 && context_traceparent(r->cap[side].v[k], out))
				return true;
	}
	return false;
}

static bool find_context(struct rebuilder *rb, const struct record *r, struct context *out, struct slice *state)
{
	struct slice value;

	*state = slice_of("", 0);
	for (uint32_t k = 0; k < rb->rules->npropagators; k++) {
		enum propagator p = (enum propagator)rb->rules->propagators[k];
		bool present, valid = extract(r, p, out, &present);

		if (p == PROPAGATOR_W3C && !present && find_unnamed(r, out))
			return true;
		rb->invalid_contexts += present && !valid;
		if (!valid)
			continue;
		value = p == PROPAGATOR_W3C ? record_text(r, SLOT_tracestate) : slice_of("", 0);
		if (value.len && value.len <= LINE_MAX_BYTES && !context_tracestate(value, rb->scratch, state))
			rb->invalid_contexts++;
		return true;
	}
	return false;
}

/*
 * What stands beside the line in its message counts when the line has no better: headers that name a parent, and a key
 * that is a trace id.
 */
static bool find_parent(struct rebuilder *rb, struct record *r, const struct frame *f, struct context *out,
			struct slice *state)
{
	static const enum slot slots[] = {
#define HEADER(name, slot, context) SLOT_##slot,
#include "formats/headers.def"
#undef HEADER
	};
	const struct message *m = f->message;
	uint64_t invalid = rb->invalid_contexts;

	if (find_context(rb, r, out, state))
		return true;
	if (!m)
		return false;
	if (m->key.len && !m->key_is_host && !record_has(r, SLOT_trace_id) && !record_has(r, SLOT_ID))
		record_set_text(r, SLOT_trace_id, m->key);
	if (!m->headers)
		return false;
	for (uint32_t i = 0; i < m->headers; i++)
		record_set_text(r, slots[m->header[i].row], slice_of(m->header[i].p, m->header[i].len));
	rb->invalid_contexts = invalid;		/* those of the line are looked at again */
	return find_context(rb, r, out, state);
}

/* The first rule whose expression is true, else the sampler. */
static enum verdict decide(struct rebuilder *rb, const struct record *r, const struct context *parent, struct trace *t)
{
	char *buf = rb->scratch + 2 * LINE_MAX_BYTES;

	for (uint32_t i = 0; i < rb->rules->nrules; i++) {
		const struct rule *rule = &rb->rules->rule[i];

		if (!expr_true(rule->expr, r, t, rb->memo))
			continue;
		rb->decided = i;
		if (!rule->keep)
			return VERDICT_FILTERED;
		sample_forced(t->id_lo, buf, &t->state);
		return VERDICT_KEPT;
	}
	return sample(&rb->rules->sampler, parent, t->id_lo, buf, &t->state) ? VERDICT_KEPT : VERDICT_UNSAMPLED;
}

/* ---- --trace and --grep --------------------------------------------------------------------------------- */

bool pick_line(const struct rules *rules, struct slice line)
{
	return !rules->pick.grep || pattern_match(rules->pick.grep, line, NULL, NULL) == PATTERN_FITS;
}

static bool is_asked_for(const struct rebuilder *rb, const struct frame *f, const struct trace *t)
{
	const struct pick *p = &rb->rules->pick;

	if (p->by_id && (((t->id_hi ^ p->hi) & p->hi_mask) || ((t->id_lo ^ p->lo) & p->lo_mask)))
		return false;
	return !p->grep || (rb->moments ? rb->grepped : pick_line(rb->rules, f->raw));
}

/* ---- when it began ------------------------------------------------------------------------------------- */

static int64_t positive(const struct record *r, enum slot s)
{
	int64_t v = record_num(r, s, 0);

	return v > 0 && v < INT64_C(1) << 40 ? v : 0;
}

/* From the accept to the first byte of the request, in ms; `*known` is false when the line does not tell. */
static int64_t before_request(const struct record *r, bool *known)
{
	*known = true;
	if (r->format->mode != MODE_HTTP || (!format_has(r->format, SLOT_TR) && format_has(r->format, SLOT_Tq)))
		return 0;		/* the tree begins at the accept */
	if (format_has(r->format, SLOT_Th) || format_has(r->format, SLOT_Ti))
		return record_num(r, SLOT_Ti, 0) < 0 ? 0 : positive(r, SLOT_Th) + positive(r, SLOT_Ti);
	if (record_has(r, SLOT_Tt) && record_has(r, SLOT_Ta)) {
		int64_t before = positive(r, SLOT_Tt) - positive(r, SLOT_Ta);

		return before > 0 ? before : 0;
	}
	*known = false;
	return 0;
}

/* The local date in slot `s` as UTC milliseconds. The envelope's time is that of the end, when HAProxy wrote. */
static int64_t local_date(struct rebuilder *rb, const struct record *r, enum slot s, const struct frame *f)
{
	int64_t took = positive(r, SLOT_Tt);

	if (took == 0 || (s == SLOT_tr && record_has(r, SLOT_Ta)))
		took = positive(r, SLOT_Ta);
	return zone_utc(&rb->zone, r->v[s].num, f->zone_min,
			f->time_us ? f->time_us / 1000 - took : 0);
}

/*
 * The request date from %tr and the accept's microseconds. The date has no zone, the microseconds need none:
 * they also say which zone it was, because a request begins within minutes of its accept or not at all.
 */
static int64_t request_us(struct rebuilder *rb, const struct record *r, const struct frame *f)
{
	const int64_t quarter = 900000;
	int64_t accept = r->v[SLOT_accept_us].num, ms = local_date(rb, r, SLOT_tr, f), gap = ms - accept / 1000;

	if (gap < 0 || gap >= quarter)
		ms = accept / 1000 + ((r->v[SLOT_tr].num - accept / 1000) % quarter + quarter) % quarter;
	return ms * 1000 + accept % 1000;
}

/* Seconds with a zone, in the order of preference; request dates first. */
static bool second_date(const struct record *r, int64_t *ms, bool *of_accept)
{
	static const enum slot dates[] = { SLOT_trg, SLOT_trl, SLOT_T, SLOT_Tl };

	for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++)
		if (record_has(r, dates[i])) {
			*ms = r->v[dates[i]].num;
			*of_accept = i >= 2;
			return true;
		}
	if (!record_has(r, SLOT_Ts))
		return false;
	*ms = positive(r, SLOT_Ts) * 1000;
	*of_accept = true;
	return true;
}

/* Microseconds since the epoch; `*exact` is false when the line's dates are coarser than its timers. */
static int64_t start_us(struct rebuilder *rb, const struct record *r, const struct frame *f, bool *exact)
{
	bool http = r->format->mode == MODE_HTTP, known, of_accept;
	int64_t before = before_request(r, &known), ms;

	*exact = true;
	if (record_has(r, SLOT_request_us) && http)
		return r->v[SLOT_request_us].num;
	if (record_has(r, SLOT_accept_us) && known && (before || !record_has(r, SLOT_tr)))
		return r->v[SLOT_accept_us].num + before * 1000;
	if (record_has(r, SLOT_tr))
		return record_has(r, SLOT_accept_us) ? request_us(rb, r, f) : local_date(rb, r, SLOT_tr, f) * 1000;
	*exact = known;
	if (record_has(r, SLOT_accept_us))
		return r->v[SLOT_accept_us].num;
	if (record_has(r, SLOT_t))
		return (local_date(rb, r, SLOT_t, f) + before) * 1000;
	if (!second_date(r, &ms, &of_accept))
		return 0;
	/* Only the accept's own milliseconds fit its seconds; with a request date they are the best there is. */
	*exact = known && of_accept && record_has(r, SLOT_ms);
	return (ms + positive(r, SLOT_ms) % 1000 + (of_accept ? before : 0)) * 1000;
}

/* ---- all of it ----------------------------------------------------------------------------------------- */

static void name_frontend(struct record *r)
{
	if (record_has(r, SLOT_ft))
		record_set_text(r, SLOT_x_frontend, record_text(r, SLOT_ft));
	else if (record_has(r, SLOT_f))
		record_set_text(r, SLOT_x_frontend, record_text(r, SLOT_f));
}

/* What only spans that leave need of a request: what was asked for, and when. Returns when it began, in nanoseconds. */
static uint64_t describe(struct rebuilder *rb, struct record *r, const struct frame *f, struct slice *name, struct trace *t)
{
	enum format_mode mode = r->format->mode;
	bool exact;
	int64_t us;

	if (mode == MODE_HTTP)
		http_request(r, rb->rules, rb->scratch + LINE_MAX_BYTES, name, t->tname, sizeof(t->tname));
	else if (record_has(r, SLOT_ci))
		record_set_text(r, SLOT_x_client_address, record_text(r, SLOT_ci));
	if (mode == MODE_TCP)
		record_set_text(r, SLOT_x_transport, SLICE("tcp"));

	us = start_us(rb, r, f, &exact);
	/* A date outside 1970 to 2262 has no nanoseconds in an int64, which is what most stores keep. */
	us = us < 0 ? 0 : us > INT64_MAX / 1000 ? INT64_MAX / 1000 : us;
	if (!exact)
		record_set_num(r, SLOT_x_start_imprecise, 1);
	return (uint64_t)us * 1000;
}

/* Whether a long request line was cut, only http_request() finds out; it is counted of requests that stay, too. */
static bool may_be_cut(const struct record *r)
{
	return record_has(r, SLOT_r) && record_text(r, SLOT_r).len >= REQUEST_LINE_MAX;
}

/*
 * The trace id comes first: where nothing but that decides, which is so without --keep and --drop, most of the work is
 * not done for requests that stay. How many spans they have must be known all the same: every span is accounted for.
 * Only a clock of the line's own, or of its steps, makes that depend on when it began.
 */
enum verdict rebuild(struct rebuilder *rb, struct record *r, const struct frame *f, struct trace *t)
{
	struct context context, *parent;
	struct slice name = SLICE("tcp");
	struct seeds seeds;
	enum verdict verdict;
	uint64_t start_ns = 0;
	bool by_id = rb->rules->nrules == 0, brief;

	t->nevents = 0;
	t->moments = rb->moments;
	rb->decided = RULE_NONE;
	http_headers(r);
	name_frontend(r);
	parent = find_parent(rb, r, f, &context, &t->state) ? &context : NULL;
	ids_trace(r, parent, t, &seeds);
	verdict = !is_asked_for(rb, f, t) ? VERDICT_NOT_ASKED : by_id ? decide(rb, r, parent, t) : VERDICT_KEPT;
	brief = rb->brief && verdict != VERDICT_KEPT;

	if (!brief || rb->moments || record_has(r, SLOT_end_us) || may_be_cut(r))
		start_ns = describe(rb, r, f, &name, t);
	timers_rebuild(r, rb->rules->phases, start_ns, name, t);
	if (r->flags & RECORD_TRUNCATED)
		record_set_num(r, SLOT_x_truncated, 1);
	if (!brief)
		ids_spans(r, parent, &seeds, t);
	if (verdict == VERDICT_KEPT && !by_id)
		verdict = decide(rb, r, parent, t);
	t->flags = verdict == VERDICT_KEPT ? (uint8_t)(1 | (parent ? parent->flags & 2 : 0)) : 0;
	return verdict;
}
