#include "reconstruct/steps.h"

#include "reconstruct/ids.h"
#include "reconstruct/plan.h"

#include <stdio.h>
#include <stdlib.h>

static const struct { struct slice word, event; enum step step; } steps[] = {
#define STEP(word, step, event) { { word, sizeof(word) - 1 }, { event, sizeof(event) - 1 }, STEP_##step },
#include "formats/steps.def"
#undef STEP
};

#define STEPS (sizeof(steps) / sizeof(steps[0]))

/* No OTLP time lies behind this (rebuild.c). */
#define US_MAX (INT64_MAX / 2000)

/* ---- one line -------------------------------------------------------------------------------------------- */

static bool is_time(int64_t us)
{
	return us > 0 && us < US_MAX;
}

static enum step step_of(const struct record *r, struct slice origin)
{
	if (r->format->step != STEP_UNKNOWN)
		return (enum step)r->format->step;
	for (size_t i = 0; origin.len && i < STEPS; i++)
		if (slice_eq(steps[i].word, origin))
			return steps[i].step;
	return STEP_UNKNOWN;
}

/* The slots that every line of a request has. */
static const uint64_t *every_line(const struct format *f)
{
	return f->whole ? f->whole->every : f->slots;
}

/* Not every line has the frontend and the unique-id? Then the frontend may not go into ids and keys. */
static bool lone_id(const struct format *f)
{
	const uint64_t *every = every_line(f);
	uint64_t id = every[SLOT_ID >> 6] >> (SLOT_ID & 63), fe = every[SLOT_f >> 6] >> (SLOT_f & 63),
		 ft = every[SLOT_ft >> 6] >> (SLOT_ft & 63);

	return !(id & (fe | ft) & 1);
}

static struct slice frontend_of(const struct record *r)
{
	return record_text(r, record_has(r, SLOT_ft) ? SLOT_ft : SLOT_f);
}

/* The unique-id; else counter and process, where the line is of a request at all. */
static bool make_key(const struct record *r, const struct frame *f, struct slice origin, struct part *p)
{
	struct slice id = record_text(r, SLOT_ID);
	int64_t counter[2];

	if (id.len) {
		ids_key(id, f->host, lone_id(r->format) ? slice_of("", 0) : frontend_of(r), p->key);
		return true;
	}
	if (!record_has(r, SLOT_rt) || !record_has(r, SLOT_pid) || p->step == STEP_ERROR ||
	    slice_eq(origin, SLICE("tcp-req-conn")) || slice_eq(origin, SLICE("tcp-req-sess")) ||
	    slice_eq(origin, SLICE("quic-init")))
		return false;
	counter[0] = record_num(r, SLOT_rt, 0);
	counter[1] = record_num(r, SLOT_pid, 0);
	ids_key(slice_of((const char *)counter, sizeof(counter)), f->host, slice_of("", 0), p->key);
	p->flags |= PART_WEAK;
	return true;
}

static bool any_slot(const struct record *r, const enum slot *slots, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (record_has(r, slots[i]))
			return true;
	return false;
}

static bool has_date(const struct record *r)
{
	static const enum slot dates[] = { SLOT_tr, SLOT_trg, SLOT_trl, SLOT_t, SLOT_T, SLOT_Tl, SLOT_Ts,
					   SLOT_accept_us, SLOT_request_us };

	return any_slot(r, dates, sizeof(dates) / sizeof(dates[0]));
}

static bool has_duration(const struct record *r)
{
	static const enum slot durations[] = { SLOT_Ta, SLOT_Tt, SLOT_Td, SLOT_Tr, SLOT_end_us };

	return any_slot(r, durations, sizeof(durations) / sizeof(durations[0]));
}

/* When the step was. An envelope without fractions says nothing: its date is whole seconds. */
static int64_t moment(const struct record *r, const struct frame *f, enum step step)
{
	if (is_time(record_num(r, SLOT_end_us, 0)))
		return r->v[SLOT_end_us].num;
	if (step == STEP_ACCEPT && is_time(record_num(r, SLOT_accept_us, 0)))
		return r->v[SLOT_accept_us].num;
	return f->zone_min != ZONE_UNKNOWN && is_time(f->time_us) && f->time_us % 1000000 ? f->time_us : 0;
}

/* Which steps a final line says were before it; of what it does not say, all. */
static uint8_t needed(const struct record *r, enum step step)
{
	uint8_t need = 1 << STEP_ACCEPT;

	if (step == STEP_ERROR)
		return need;
	if (r->format->mode == MODE_HTTP)
		need |= 1 << STEP_REQUEST;
	if (record_num(r, SLOT_Tc, 0) >= 0)
		need |= 1 << STEP_CONNECT;
	if (r->format->mode == MODE_HTTP && record_num(r, SLOT_Tr, 0) >= 0)
		need |= 1 << STEP_RESPONSE;
	return need;
}

enum step_line step_line(const struct record *r, const struct frame *f, struct part *p)
{
	struct slice origin = record_text(r, SLOT_OG);
	enum step step = step_of(r, origin);
	/* `option logasap` writes one line, before the end; steps have no '+'. */
	bool early = record_plus(r, SLOT_Ta) || record_plus(r, SLOT_Tt);

	if (step == STEP_UNKNOWN)
		return has_date(r) && (has_duration(r) || (r->flags & RECORD_TRUNCATED)) ? STEP_LINE_NONE :
											   STEP_LINE_OTHER;
	*p = (struct part){ .moment_us = moment(r, f, step), .zone_min = f->zone_min, .step = (uint8_t)step };
	p->time_us = f->zone_min != ZONE_UNKNOWN && is_time(f->time_us) ? f->time_us : p->moment_us;
	p->len = (uint32_t)r->msg.len;
	p->raw_len = (uint32_t)f->line.len;
	p->host_len = (uint32_t)f->host.len;
	if (step == STEP_CLOSE || step == STEP_ERROR || early) {
		p->flags |= PART_FINAL;
		p->need = needed(r, step);
	}
	if (make_key(r, f, origin, p))
		return STEP_LINE_PART;
	if (!(p->flags & PART_FINAL))
		return STEP_LINE_OTHER;
	if (step != STEP_ERROR && has_date(r) && has_duration(r))
		return STEP_LINE_NONE;
	p->flags |= PART_ALONE;
	return has_date(r) || p->time_us ? STEP_LINE_PART : STEP_LINE_OTHER;
}

/* ---- several --------------------------------------------------------------------------------------------- */

void merge_init(struct merge *m)
{
	m->scratch = malloc(SCRATCH_SIZE);
	if (!m->scratch) {
		fprintf(stderr, "haspan: out of memory: asked for %zu bytes\n", SCRATCH_SIZE);
		abort();
	}
}

void merge_free(struct merge *m)
{
	free(m->scratch);
	m->scratch = NULL;
}

/* do-log lines first: what a step says counts more. */
static int rank(const struct part *p)
{
	return p->step == STEP_OTHER ? 0 : p->step;
}

static int compare_bytes(const struct joined *j, uint32_t a, uint32_t b)
{
	const struct part *x = &j->part[a], *y = &j->part[b];
	int d = memcmp(j->bytes[a], j->bytes[b], x->len < y->len ? x->len : y->len);

	return d ? d : (x->len > y->len) - (x->len < y->len);
}

static bool before(const struct joined *j, uint32_t a, uint32_t b)
{
	const struct part *x = &j->part[a], *y = &j->part[b];

	if (rank(x) != rank(y))
		return rank(x) < rank(y);
	if (x->moment_us != y->moment_us)
		return x->moment_us < y->moment_us;
	return compare_bytes(j, a, b) < 0;
}

/* The same line again: two log targets, or a datagram that came twice. A do-log action may run twice and say the same. */
static bool is_again(const struct merge *m, uint32_t i)
{
	const struct joined *j = m->from;

	for (uint32_t k = 0; k < m->n; k++) {
		const struct part *x = &j->part[m->order[k]], *y = &j->part[i];

		if (x->step == y->step && compare_bytes(j, m->order[k], i) == 0 &&
		    (x->step != STEP_OTHER || x->moment_us == y->moment_us))
			return true;
	}
	return false;
}

void merge_begin(struct merge *m, const struct joined *j)
{
	uint8_t sorted[PARTS_MAX];

	for (uint32_t i = 0; i < j->n; i++) {
		uint32_t k = i;

		for (; k > 0 && before(j, i, sorted[k - 1]); k--)
			sorted[k] = sorted[k - 1];
		sorted[k] = (uint8_t)i;
	}
	m->from = j;
	m->n = m->nevents = m->nattrs = 0;
	m->used = 0;
	m->end_us = 0;
	m->moments = (struct moments){ 0, 0, 0 };
	m->frame = (struct frame){ .zone_min = ZONE_UNKNOWN };
	m->rec.format = NULL;
	m->rec.have[0] = m->rec.have[1] = m->rec.plus[0] = m->rec.plus[1] = m->rec.have_extra = 0;
	m->rec.flags = RECORD_SESSION_ERROR;
	m->rec.cap[0].n = m->rec.cap[1].n = 0;
	for (uint32_t i = 0; i < j->n; i++)
		if (!is_again(m, sorted[i]))
			m->order[m->n++] = sorted[i];
}

/* Strings that lie in the parser's scratch must outlive the next line. */
static struct slice keep(struct merge *m, uint32_t i, struct slice s)
{
	const struct joined *j = m->from;
	char *to = m->scratch + m->used;

	if (s.len == 0 || (s.p >= j->bytes[i] && s.p + s.len <= j->bytes[i] + j->part[i].len))
		return s;
	if (s.len > SCRATCH_SIZE - m->used)
		return slice_of("", 0);
	memcpy(to, s.p, s.len);
	m->used += s.len;
	return slice_of(to, s.len);
}

static const bool is_text[SLOT_MAX] = {
#define TEXT_NAME true
#define TEXT_RAW true
#define TEXT_ESC true
#define TEXT_REQ true
#define TEXT_IP true
#define TEXT_STATE true
#define TEXT_FT true
#define TEXT_NONE false
#define TEXT_INT false
#define TEXT_MS false
#define TEXT_PORT false
#define TEXT_DATE false
#define TEXT_DATEZ false
#define TEXT_MSEC false
#define TEXT_SEC false
#define TEXT_US false
#define TEXT_BLOCK false
#define TEXT_LIST false
#define FIELD(alias, type, since, meaning) [SLOT_##alias] = TEXT_##type,
#define NAMED(name, type, meaning) [SLOT_##name] = TEXT_##type,
#include "formats/fields.def"
#undef FIELD
#undef NAMED
};

/* What HAProxy writes where it knows nothing yet: it takes the place of nothing. */
static bool says_nothing(const struct record *r, enum slot s)
{
	if (is_text[s])
		return r->v[s].text.len == 0 || slice_eq(r->v[s].text, SLICE("<NOSRV>")) ||
		       slice_eq(r->v[s].text, SLICE("<BADREQ>"));
	return r->v[s].num < 0 || (s == SLOT_ST && r->v[s].num == 0);
}

static void add_slots(struct merge *m, uint32_t i, const struct record *r)
{
	struct record *to = &m->rec;

	for (int word = 0; word < 2; word++)
		for (uint64_t bits = r->have[word]; bits; bits &= bits - 1) {
			enum slot s = (enum slot)(word * 64 + __builtin_ctzll(bits));
			uint64_t bit = bits & -bits;

			if (says_nothing(r, s) && record_has(to, s))
				continue;
			to->v[s] = r->v[s];
			if (is_text[s])
				to->v[s].text = keep(m, i, r->v[s].text);
			to->have[word] |= bit;
			to->plus[word] = (to->plus[word] & ~bit) | (r->plus[word] & bit);
		}
}

static void add_captures(struct merge *m, uint32_t i, const struct record *r)
{
	for (int side = 0; side < CAPTURE_SIDES; side++) {
		struct captures *to = &m->rec.cap[side];

		for (uint32_t k = 0; k < r->cap[side].n; k++) {
			if (k == to->n)
				to->v[to->n++] = (struct slice){ NULL, 0 };
			if (r->cap[side].v[k].len)
				to->v[k] = keep(m, i, r->cap[side].v[k]);
		}
	}
}

/* Extra fields have other numbers in the format of all steps; they are told by their keys. */
static void add_extras(struct merge *m, uint32_t i, const struct record *r)
{
	const struct format *whole = m->rec.format;

	for (uint64_t bits = r->have_extra; bits; bits &= bits - 1) {
		uint32_t k = (uint32_t)__builtin_ctzll(bits), to = 0;

		while (to < whole->nextra && !slice_eq(whole->extra[to].key, r->format->extra[k].key))
			to++;
		if (to == whole->nextra)
			continue;
		m->rec.extra[to] = keep(m, i, r->extra[k]);
		m->rec.have_extra |= UINT64_C(1) << to;
	}
}

/* The same for members of objects, which have keys of their own. */
static void add_pairs(struct merge *m, uint32_t i, const struct record *r)
{
	struct record *to = &m->rec;

	if (!(r->flags & RECORD_PAIRS))
		return;
	if (!(to->flags & RECORD_PAIRS))
		to->npairs = 0;
	to->flags |= RECORD_PAIRS;
	for (uint32_t k = 0; k < r->npairs; k++) {
		uint32_t at = 0;

		while (at < to->npairs && !slice_eq(to->pair[at].key, r->pair[k].key))
			at++;
		if (at == PAIRS_MAX)
			continue;
		to->pair[at] = (struct pair){ keep(m, i, r->pair[k].key), keep(m, i, r->pair[k].value), r->pair[k].type };
		to->npairs += at == to->npairs;
	}
}

static struct slice event_name(enum step step)
{
	size_t i = 0;

	while (i < STEPS - 1 && steps[i].step != step)
		i++;
	return steps[i].event;
}

static void add_event_attr(struct merge *m, struct event *e, struct slice key, struct slice value, enum attr_type type)
{
	if (m->nattrs == EVENT_ATTRS_MAX || key.len == 0 || (e->origin.len && slice_eq(key, SLICE("haproxy.log.origin"))))
		return;
	for (uint32_t k = 0; k < e->nattrs; k++)
		if (slice_eq(e->attr[k].key, key))
			return;
	m->attr[m->nattrs++] = (struct event_attr){ key, value, (uint8_t)type };
	e->nattrs++;
}

static void add_event(struct merge *m, uint32_t i, const struct record *r)
{
	const struct part *p = &m->from->part[i];
	struct event *e = &m->event[m->nevents++];

	*e = (struct event){ .name = event_name((enum step)p->step), .step = p->step, .attr = &m->attr[m->nattrs] };
	e->ns = (uint64_t)p->moment_us * 1000;
	if (p->step != STEP_OTHER)
		return;
	e->origin = keep(m, i, record_text(r, SLOT_OG));
	for (uint64_t bits = r->have_extra; bits; bits &= bits - 1) {
		const struct extra *x = &r->format->extra[__builtin_ctzll(bits)];

		add_event_attr(m, e, x->key, keep(m, i, r->extra[__builtin_ctzll(bits)]),
			       x->type == TYPE_INT ? ATTR_NUMBER_TEXT : x->type == TYPE_NAME ? ATTR_BOOL_TEXT : ATTR_TEXT);
	}
	for (uint32_t k = 0; (r->flags & RECORD_PAIRS) && k < r->npairs; k++)
		add_event_attr(m, e, keep(m, i, r->pair[k].key), keep(m, i, r->pair[k].value), attr_of_pair(&r->pair[k]));
}

/* ---- what stood beside the lines ------------------------------------------------------------------------- */

/* Before the bytes of a key, or of a header. */
struct aside {
	uint16_t len;
	uint8_t row;			/* as of struct message_header, or ASIDE_KEY */
};

#define ASIDE_KEY UINT8_MAX

static uint32_t put_aside(uint8_t row, struct slice text, uint32_t used, struct buf *out)
{
	struct aside a = { (uint16_t)text.len, row };

	if (text.len == 0 || used + sizeof(a) + text.len > ASIDE_MAX)
		return used;
	buf_add(out, (const char *)&a, sizeof(a));
	buf_slice(out, text);
	return used + (uint32_t)(sizeof(a) + text.len);
}

uint32_t steps_aside(const struct message *m, struct buf *out)
{
	uint32_t used = 0;

	if (!m->key_is_host)
		used = put_aside(ASIDE_KEY, m->key, used, out);
	for (uint32_t i = 0; i < m->headers; i++)
		used = put_aside(m->header[i].row, slice_of(m->header[i].p, m->header[i].len), used, out);
	return used;
}

static void read_aside(struct merge *m, const char *p, size_t len)
{
	struct aside a;

	m->message = (struct message){ .header = m->header };
	m->frame.message = &m->message;
	for (size_t at = 0; at < len; at += sizeof(a) + a.len) {
		memcpy(&a, p + at, sizeof(a));
		if (a.row == ASIDE_KEY)
			m->message.key = slice_of(p + at + sizeof(a), a.len);
		else
			m->header[m->message.headers++] = (struct message_header){ a.row, a.len, p + at + sizeof(a) };
	}
}

void merge_add(struct merge *m, uint32_t i, const struct record *r)
{
	const struct part *p = &m->from->part[i];
	uint64_t ns = (uint64_t)p->moment_us * 1000;
	const struct format *whole;

	/* Lines come in the order of their steps: the last one knows best what it was, but for a session's error. */
	whole = r->format->whole ? r->format->whole : r->format;
	if (!m->rec.format || whole->mode != MODE_ERROR)
		m->rec.format = whole;
	m->every = every_line(r->format);
	if (lone_id(r->format))
		m->rec.flags |= RECORD_LONE_ID;
	m->rec.flags |= r->flags & (RECORD_TRUNCATED | RECORD_ONE_BLOCK);
	if (p->step != STEP_ERROR)
		m->rec.flags &= ~(unsigned)RECORD_SESSION_ERROR;
	add_slots(m, i, r);
	add_captures(m, i, r);
	add_event(m, i, r);
	if (p->step != STEP_OTHER) {
		add_extras(m, i, r);
		add_pairs(m, i, r);
	}
	/* A step's own clock at the request tells when it began, not when it was read: see moment(). */
	if (p->step == STEP_REQUEST)
		m->moments.request = ns;
	else if (p->step == STEP_CONNECT)
		m->moments.connect = ns;
	else if (p->step == STEP_RESPONSE)
		m->moments.response = ns;
	if ((p->flags & PART_FINAL) ? p->moment_us > 0 : m->from->reason != REASON_NONE && p->moment_us > m->end_us)
		m->end_us = p->moment_us;
	if (p->zone_min != ZONE_UNKNOWN) {
		m->frame.zone_min = p->zone_min;
		m->frame.time_us = p->time_us;
	}
	m->frame.host = slice_of(m->from->bytes[i] + p->len, p->host_len);
	if (p->aside_len && !m->frame.message)
		read_aside(m, m->from->bytes[i] + p->len + p->host_len, p->aside_len);
	m->rec.msg = slice_of(m->from->bytes[i], p->len);
}

/* ---- all of them ----------------------------------------------------------------------------------------- */

/* Without its final line: what earlier lines say of the whole is not what became of it. */
static void forget_totals(struct merge *m)
{
	static const enum slot totals[] = { SLOT_Ta, SLOT_Tt, SLOT_Tu, SLOT_Td, SLOT_B, SLOT_U, SLOT_ts, SLOT_tsc };
	static const struct slice words[] = {
		[REASON_MAX_OPEN] = { "max_open", 8 }, [REASON_MAX_AGE] = { "max_age", 7 },
		[REASON_END] = { "end_of_input", 12 },
	};

	for (size_t i = 0; i < sizeof(totals) / sizeof(totals[0]); i++)
		record_drop(&m->rec, totals[i]);
	record_set_text(&m->rec, SLOT_x_incomplete, words[m->from->reason]);
}

/* No line has a date: the end is known by an envelope, and how long it took by the timers. */
static void date_by_end(struct merge *m)
{
	static const enum slot timers[] = { SLOT_TR, SLOT_Tw, SLOT_Tc, SLOT_Tr, SLOT_Td };
	struct record *r = &m->rec;
	int64_t end = m->end_us, took = 0, sum = 0;

	for (uint32_t k = 0; !end && k < m->n; k++)
		end = m->from->part[m->order[k]].time_us;
	for (size_t i = 0; i < sizeof(timers) / sizeof(timers[0]); i++)
		sum += record_num(r, timers[i], 0) > 0 && r->v[timers[i]].num < INT32_MAX ? r->v[timers[i]].num : 0;
	took = record_num(r, SLOT_Ta, record_num(r, SLOT_Tt, sum));
	took = took < 0 || took > INT64_C(1) << 40 ? 0 : took * 1000;
	for (uint32_t k = 0; k < m->n; k++) {
		int64_t at = m->from->part[m->order[k]].moment_us;

		if (at && end - at > took)
			took = end - at;
	}
	record_set_num(r, r->format->mode == MODE_HTTP ? SLOT_request_us : SLOT_accept_us, end > took ? end - took : 0);
	record_set_num(r, SLOT_x_start_imprecise, 1);
}

/* Counter and process are all that the lines have in common, and what every one of them has besides. */
static void name_weak(struct merge *m)
{
	static const enum slot common[] = { SLOT_rt, SLOT_pid, SLOT_cp, SLOT_accept_us, SLOT_t, SLOT_Ts, SLOT_ms };
	const struct record *r = &m->rec;
	const struct joined *j = m->from;
	const uint64_t *every = m->every;
	char *to = m->scratch + m->used;
	size_t n = 0;

	if (!(j->part[0].flags & PART_WEAK) || SCRATCH_SIZE - m->used < 512)
		return;
	for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
		if (i < 2 || (every[common[i] >> 6] >> (common[i] & 63) & 1))
			n += (size_t)snprintf(to + n, 64, "%lld ", (long long)record_num(r, common[i], 0));
	m->used += n;
	m->rec.msg = slice_of(to, n);
}

void merge_finish(struct merge *m)
{
	struct record *r = &m->rec;

	if (m->from->reason != REASON_NONE)
		forget_totals(m);
	record_drop(r, SLOT_OG);
	record_drop(r, SLOT_end_us);
	if (!has_date(r))
		date_by_end(m);
	if (m->end_us)
		record_set_num(r, SLOT_end_us, m->end_us);
	if (m->from->dropped)
		record_set_num(r, SLOT_x_lines_dropped, m->from->dropped);
	name_weak(m);
}

/* ---- events ---------------------------------------------------------------------------------------------- */

/* A step that no clock tells: where the timers have it. */
static uint64_t by_spans(const struct trace *t, enum step step)
{
	static const enum span_role roles[] = { [STEP_REQUEST] = ROLE_REQUEST, [STEP_CONNECT] = ROLE_CONNECT,
						[STEP_RESPONSE] = ROLE_RESPONSE };
	const struct span *server = &t->span[0];
	uint64_t at = server->start_ns;

	if (step == STEP_CLOSE || step == STEP_ERROR)
		return server->end_ns;
	if (step != STEP_REQUEST && step != STEP_CONNECT && step != STEP_RESPONSE)
		return at;
	for (uint32_t i = 1; i < t->n; i++)
		if (t->span[i].role <= roles[step] && t->span[i].role != ROLE_CLIENT)
			at = t->span[i].end_ns;
	return at;
}

/* Of two at one moment, in the order of the steps; do-log actions run once the request is read. */
static int event_rank(const struct event *e)
{
	return e->step == STEP_OTHER ? 2 * STEP_REQUEST + 1 : 2 * e->step;
}

void merge_events(struct merge *m, struct trace *t)
{
	const struct span *server = &t->span[0];

	for (uint32_t i = 0; i < m->nevents; i++) {
		struct event e = m->event[i];
		uint32_t k = i;

		e.ns = e.ns ? e.ns : by_spans(t, (enum step)e.step);
		e.ns = e.ns < server->start_ns ? server->start_ns : e.ns > server->end_ns ? server->end_ns : e.ns;
		for (; k > 0 && (m->event[k - 1].ns > e.ns || (m->event[k - 1].ns == e.ns &&
							       event_rank(&m->event[k - 1]) > event_rank(&e))); k--)
			m->event[k] = m->event[k - 1];
		m->event[k] = e;
	}
	t->event = m->event;
	t->nevents = m->nevents;
}
