/*
 * reconstruct/expr.c - what an expression says of a request.
 */
#include "reconstruct/expr_private.h"

/* ---- values of a request ----------------------------------------------------------------------------- */

static int find_header(const struct format *f, const struct expr_value *v)
{
	for (uint32_t k = 0; k < f->ncap[v->side]; k++)
		if (slice_ieq(f->cap[v->side][k].name, v->name))
			return (int)k;
	return -1;
}

static int find_extra(const struct format *f, const struct expr_value *v)
{
	for (uint32_t k = 0; k < f->nextra; k++)
		if (slice_eq(f->extra[k].name, v->name) || slice_eq(f->extra[k].key, v->name))
			return (int)k;
	return -1;
}

/* Where this request's format keeps it, or -1. */
static int where(const struct expr_value *v, const struct format *f, struct expr_memo *memo)
{
	struct expr_memo *m = &memo[v->memo];

	if (m->format != f) {
		m->format = f;
		m->at = (int16_t)(v->from == FROM_HEADER ? find_header(f, v) : find_extra(f, v));
	}
	return m->at;
}

/* The attribute of a member without a known meaning is named after it (doc/json.md). */
static bool is_member(struct slice key, struct slice name)
{
	static const struct slice prefix = { "haproxy.log.", 12 };

	return slice_starts(key, prefix) && slice_eq(slice_skip(key, prefix.len), name);
}

static bool named_text(const struct expr_value *v, const struct record *r, struct expr_memo *memo, struct slice *out)
{
	int at = where(v, r->format, memo);

	if (v->from == FROM_HEADER) {
		if (at < 0 || (uint32_t)at >= r->cap[v->side].n || r->cap[v->side].v[at].len == 0)
			return false;
		*out = r->cap[v->side].v[at];
		return true;
	}
	if (at >= 0 && r->have_extra >> at & 1) {
		*out = r->extra[at];
		return true;
	}
	for (uint32_t k = 0; (r->flags & RECORD_PAIRS) && k < r->npairs; k++)
		if (slice_eq(r->pair[k].key, v->name) || is_member(r->pair[k].key, v->name)) {
			*out = r->pair[k].value;
			return true;
		}
	return false;
}

static bool failed_phase(const struct trace *t, struct slice *out)
{
	static const struct slice names[ROLE_MAX] = {
		[ROLE_REQUEST] = { "request", 7 },   [ROLE_QUEUE] = { "queue", 5 }, [ROLE_CONNECT] = { "connect", 7 },
		[ROLE_RESPONSE] = { "response", 8 }, [ROLE_DATA] = { "data", 4 },
	};

	*out = names[t->failed];
	return out->len > 0;
}

bool expr_text(const struct expr_value *v, const struct record *r, const struct trace *t, struct expr_memo *memo,
	       struct slice *out)
{
	switch (v->from) {
	case FROM_A_SLOT:
		*out = record_text(r, v->slot);
		return record_has(r, v->slot);
	case FROM_STATE:
		*out = record_text(r, record_has(r, SLOT_tsc) ? SLOT_tsc : SLOT_ts);
		return out->len > 0;
	case FROM_FAILED:
		return failed_phase(t, out);
	case FROM_ERROR:
		*out = t->n ? t->span[0].error_type : slice_of("", 0);
		return out->len > 0;
	case FROM_HEADER:
	case FROM_NAMED:
		return named_text(v, r, memo, out);
	default:
		return false;
	}
}

/* A number that a line wrote as text: whole, as all of HAProxy's are. */
static bool text_number(struct slice s, int64_t *out)
{
	bool minus = s.len && *s.p == '-';
	uint64_t n;

	if (!slice_uint(slice_skip(s, minus), &n) || n > INT64_MAX)
		return false;
	*out = minus ? -(int64_t)n : (int64_t)n;
	return true;
}

bool expr_number(const struct expr_value *v, const struct record *r, const struct trace *t, struct expr_memo *memo,
		 int64_t *out)
{
	struct slice s;

	if (v->from == FROM_DURATION) {
		*out = t->n ? (int64_t)((t->span[0].end_ns - t->span[0].start_ns) / 1000) : 0;
		return t->n > 0;
	}
	if (v->from != FROM_A_SLOT)
		return expr_text(v, r, t, memo, &s) && text_number(s, out);
	if (!record_has(r, v->slot))
		return false;
	*out = r->v[v->slot].num;
	if (v->kind != EXPR_TIME)
		return true;
	/* -1 is no time: the phase was not reached. */
	if (*out < 0 || *out > INT64_MAX / 1000)
		return false;
	*out *= 1000;
	return true;
}

/* ---- truth ------------------------------------------------------------------------------------------- */

static bool compare(enum op op, int64_t a, int64_t b)
{
	switch (op) {
	case OP_EQ:
		return a == b;
	case OP_NE:
		return a != b;
	case OP_LT:
		return a < b;
	case OP_LE:
		return a <= b;
	case OP_GT:
		return a > b;
	default:
		return a >= b;
	}
}

static bool has(const struct expr_value *v, const struct record *r, const struct trace *t, struct expr_memo *memo)
{
	struct slice s;
	int64_t n;

	if (v->kind == EXPR_TEXT)
		return expr_text(v, r, t, memo, &s);
	return expr_number(v, r, t, memo, &n) && (v->kind != EXPR_BOOL || n != 0);
}

static bool in_numbers(const struct test *x, int64_t n)
{
	for (uint32_t i = 0; i < x->nset; i++)
		if (x->set[i].number == n)
			return true;
	return false;
}

static bool in_texts(const struct test *x, struct slice s)
{
	for (uint32_t i = 0; i < x->nset; i++)
		if (slice_eq(x->set[i].text, s))
			return true;
	return false;
}

/* What a test says of a request that does not have what it asks for, or of which it could not be found out. */
#define MISSING (-1)

/* Whoever chose the text may have chosen it so that the search was stopped: neither `~` nor `!~` is true of it. */
static int match_answer(const struct test *x, struct slice s)
{
	enum pattern_answer a = pattern_match(x->pattern, s, NULL, NULL);

	return a == PATTERN_STOPPED ? MISSING : (a == PATTERN_FITS) != x->turned;
}

/* 1, 0 or MISSING. */
static int test_answer(const struct test *x, const struct record *r, const struct trace *t, struct expr_memo *memo)
{
	struct slice s;
	int64_t n;

	if (x->op == OP_HAS)
		return has(&x->value, r, t, memo);
	if (x->numbers) {
		if (!expr_number(&x->value, r, t, memo, &n))
			return MISSING;
		return x->op == OP_IN ? in_numbers(x, n) != x->turned : compare(x->op, n, x->number);
	}
	if (!expr_text(&x->value, r, t, memo, &s))
		return MISSING;
	switch (x->op) {
	case OP_IN:
		return in_texts(x, s) != x->turned;
	case OP_MATCH:
		return match_answer(x, s);
	case OP_BEGINS:
		return slice_starts(s, x->text) != x->turned;
	case OP_ENDS:
		return (s.len >= x->text.len && memcmp(s.p + s.len - x->text.len, x->text.p, x->text.len) == 0) != x->turned;
	case OP_HOLDS:
		return (memmem(s.p, s.len, x->text.p, x->text.len) != NULL) != x->turned;
	default:
		return (slice_eq(s, x->text) == (x->op == OP_EQ)) != x->turned;
	}
}

/* `s` begins with `x->text`. Readable bytes behind `s` are not promised: a text of a table may end its page. */
static bool begins(const struct insn *x, struct slice s)
{
	if (s.len < HEAD_BYTES)
		return slice_starts(s, x->text);
	return s.len >= x->text.len && ((expr_head(s.p) ^ x->head) & x->mask) == 0 &&
	       (x->text.len <= HEAD_BYTES || memcmp(s.p, x->text.p, x->text.len) == 0);
}

/* Both bounds in one comparison: what lies below the lower one is a large number without its sign. */
static inline bool is_value(const struct insn *x, int64_t num)
{
	return (uint64_t)num - (uint64_t)x->least <= x->room;
}

static inline bool in_range(const struct insn *x, int64_t num)
{
	return ((uint64_t)num - (uint64_t)x->low <= x->span) != x->turned;
}

/* 1, 0 or MISSING. */
static int insn_answer(const struct insn *x, const struct record *r, const struct trace *t, struct expr_memo *memo)
{
	const union value *v = &r->v[x->slot];
	int missing = x->test->op == OP_HAS ? 0 : MISSING;

	if (x->how == HOW_TEST)
		return test_answer(x->test, r, t, memo);
	if (!(r->have[x->word] & x->bit))
		return missing;
	switch (x->how) {
	case HOW_RANGE:
		return is_value(x, v->num) ? in_range(x, v->num) : missing;
	case HOW_BEGINS:
		return begins(x, v->text) != x->turned;
	case HOW_IS:
		return (v->text.len == x->text.len && begins(x, v->text)) != x->turned;
	default:
		return true;
	}
}

/* From the instruction `at` on. */
static __attribute__((noinline)) bool true_from(const struct expr *e, uint16_t at, const struct record *r,
						const struct trace *t, struct expr_memo *memo)
{
	while (at < END_FALSE) {
		const struct insn *x = &e->insn[at];

		at = insn_answer(x, r, t, memo) > 0 ? x->yes : x->no;
	}
	return at == END_TRUE;
}

/* As long as numbers and the first bytes of texts decide, nothing is called: most requests go no further. */
bool expr_true(const struct expr *e, const struct record *r, const struct trace *t, struct expr_memo *memo)
{
	uint16_t at = e->first;

	while (at < END_FALSE) {
		const struct insn *x = &e->insn[at];
		const union value *v = &r->v[x->slot];
		bool there = r->have[x->word] & x->bit, is;

		if (x->how == HOW_RANGE)
			is = there && is_value(x, v->num) && in_range(x, v->num);
		else if (x->how == HOW_BEGINS && there && v->text.len >= HEAD_BYTES &&
			 ((expr_head(v->text.p) ^ x->head) & x->mask))
			is = x->turned;
		else
			return true_from(e, at, r, t, memo);
		at = is ? x->yes : x->no;
	}
	return at == END_TRUE;
}

/* The same with every missing test as it makes the whole rather true (`kindly`), or rather false. */
static bool run(const struct expr *e, const struct record *r, const struct trace *t, struct expr_memo *memo, bool kindly)
{
	uint16_t at = e->first;

	while (at < END_FALSE) {
		const struct insn *x = &e->insn[at];
		int answer = insn_answer(x, r, t, memo);

		at = (answer == MISSING ? x->denied != kindly : answer) ? x->yes : x->no;
	}
	return at == END_TRUE;
}

enum expr_answer expr_answer(const struct expr *e, const struct record *r, const struct trace *t, struct expr_memo *memo)
{
	if (run(e, r, t, memo, false))
		return EXPR_TRUE;
	return run(e, r, t, memo, true) ? EXPR_UNKNOWN : EXPR_FALSE;
}
