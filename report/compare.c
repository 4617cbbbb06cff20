#include "report/compare.h"

#include "core/term.h"
#include "report/infer.h"

/* What is compared of a backend beside its times; WHAT_NOTHING where there are too few requests for any of it. */
enum { WHAT_FAILURES = TIMED_MAX, WHAT_MAX, WHAT_NOTHING = WHAT_MAX };

#define MEDIAN 500000
#define P95 950000

/* Characters of a name that are said, and bytes of what is said: a name, and a handful of numbers. */
#define NAME_SHOWN 60
#define TEXT_MAX 4096

/* Medium, by the scale of Vargha and Delaney (2000), who made A12. */
const struct compare_limits compare_usual = {
	.alpha = 0.01, .a12 = 0.64, .longer = 0.1, .longer_us = 2000, .failures = 0.001,
};

static const struct backend none;

/* One backend in both captures; `none` where it is not in one of them. */
struct both {
	const struct backend *old, *now;
};

/* One phase of one backend, or its failures. */
struct comparison {
	struct both of;
	int what;			/* enum timed, or one of those above */
	uint64_t nbefore, nafter;	/* requests */
	bool few;			/* too few to compare */
	bool ranked, tailed;		/* there is something to test */
	struct ranks ranks;		/* of all times */
	struct beyond tail;		/* of the longest; or of those that failed */
	uint32_t p_ranks, p_tail;	/* where in `p` their probabilities are */
};

struct work {
	const struct compare_limits *limits;
	struct arena *arena;
	struct both *pair;
	uint32_t npairs;
	struct comparison *v;
	uint32_t n, ncompared;
	double *p;			/* of all tests; corrected in the end */
	uint32_t np;
	struct result *out;
	uint32_t nout;
};

/* ---- the backends of both ------------------------------------------------------------------------------ */

static int order(const struct backend *a, const struct backend *b)
{
	size_t n = a->name.len < b->name.len ? a->name.len : b->name.len;
	int d = n ? memcmp(a->name.p, b->name.p, n) : 0;

	if (a->rest != b->rest)
		return a->rest - b->rest;
	return d ? d : (a->name.len > b->name.len) - (a->name.len < b->name.len);
}

static void pair_up(struct work *w, struct backends *old, struct backends *now)
{
	struct backend *const *a, *const *b;
	uint32_t na = backends_rows(old, &a), nb = backends_rows(now, &b), i = 0, k = 0;

	w->pair = arena_alloc(w->arena, (size_t)(na + nb + 1) * sizeof(*w->pair));
	while (i < na || k < nb) {
		int d = i == na ? 1 : k == nb ? -1 : order(a[i], b[k]);

		w->pair[w->npairs++] = (struct both){ d <= 0 ? a[i] : &none, d >= 0 ? b[k] : &none };
		i += d <= 0;
		k += d >= 0;
	}
}

/* ---- tests --------------------------------------------------------------------------------------------- */

static void compare_times(struct work *w, struct comparison *c)
{
	const struct sketch *old = &c->of.old->time[c->what], *now = &c->of.now->time[c->what];

	c->ranked = infer_ranks(old, now, &c->ranks);
	if (!c->ranked)
		return;			/* all the same */
	c->p_ranks = w->np;
	w->p[w->np++] = c->ranks.p;
	c->tailed = infer_beyond(old, now, P95, &c->tail);
}

static void compare_failures(struct comparison *c)
{
	c->tail.before = (struct share){ c->of.old->failed, c->nbefore };
	c->tail.after = (struct share){ c->of.now->failed, c->nafter };
	c->tail.p = infer_fisher(c->tail.before, c->tail.after);
	c->tailed = c->of.old->failed + c->of.now->failed > 0;
}

static bool is_few(uint64_t before, uint64_t after)
{
	return before < COMPARE_FEW || after < COMPARE_FEW;
}

static void compare_one(struct work *w, struct both of, int what)
{
	bool times = what < TIMED_MAX;
	uint64_t before = times ? of.old->time[what].count : of.old->requests;
	uint64_t after = times ? of.now->time[what].count : of.now->requests;
	struct comparison *c = &w->v[w->n];

	if (times && before < COMPARE_FEW && after < COMPARE_FEW)
		return;			/* no request, or hardly one, comes here */
	w->n++;
	*c = (struct comparison){ .of = of, .what = what, .nbefore = before, .nafter = after };
	if ((c->few = is_few(before, after)))
		return;
	w->ncompared++;
	if (times)
		compare_times(w, c);
	else
		compare_failures(c);
	if (c->tailed) {
		c->p_tail = w->np;
		w->p[w->np++] = c->tail.p;
	}
}

static void compare_all(struct work *w)
{
	for (uint32_t i = 0; i < w->npairs; i++) {
		if (is_few(w->pair[i].old->requests, w->pair[i].now->requests))
			compare_one(w, w->pair[i], WHAT_NOTHING);
		else
			for (int what = 0; what < WHAT_MAX; what++)
				compare_one(w, w->pair[i], what);
	}
}

/* ---- verdicts ------------------------------------------------------------------------------------------ */

static bool longer(const struct compare_limits *l, uint64_t before, uint64_t after)
{
	return after >= before + l->longer_us && (double)after >= (double)before * (1 + l->longer);
}

static double share_of(struct share s)
{
	return s.n ? (double)s.hits / (double)s.n : 0;
}

static bool is_slower(const struct work *w, const struct comparison *c)
{
	const struct sketch *old = &c->of.old->time[c->what], *now = &c->of.now->time[c->what];

	return c->ranked && w->p[c->p_ranks] < w->limits->alpha && c->ranks.a12 >= w->limits->a12 &&
	       longer(w->limits, sketch_quantile(old, MEDIAN), sketch_quantile(now, MEDIAN));
}

static bool has_tail(const struct work *w, const struct comparison *c)
{
	const struct sketch *old = &c->of.old->time[c->what], *now = &c->of.now->time[c->what];

	return c->tailed && w->p[c->p_tail] < w->limits->alpha &&
	       longer(w->limits, sketch_quantile(old, P95), sketch_quantile(now, P95));
}

static bool fails_more(const struct work *w, const struct comparison *c)
{
	return c->tailed && w->p[c->p_tail] < w->limits->alpha &&
	       share_of(c->tail.after) - share_of(c->tail.before) >= w->limits->failures;
}

/* ---- sentences ----------------------------------------------------------------------------------------- */

static void say_backend(struct buf *b, const struct both *of, bool kind)
{
	const struct backend *any = of->now == &none ? of->old : of->now;

	if (any->rest) {
		buf_lit(b, "further backends");
	} else if (!any->name.len) {
		buf_lit(b, "no backend");
	} else {
		if (kind)
			buf_lit(b, "backend ");
		term_text(b, any->name, NAME_SHOWN);
	}
}

static struct slice what_name(int what)
{
	if (what < TIMED_MAX)
		return slice_str(timed_name((enum timed)what));
	return what == WHAT_FAILURES ? SLICE("failures") : SLICE("requests");
}

static struct slice what_subject(int what)
{
	return what == TIMED_TOTAL ? SLICE("the whole request") : what_name(what);
}

static bool ends(const struct buf *b, struct slice with)
{
	return b->len >= with.len && memcmp(b->p + b->len - with.len, with.p, with.len) == 0;
}

/* "12 → 53 ms" */
static void say_shift(struct buf *b, uint64_t before, uint64_t after)
{
	struct slice ms = SLICE(" ms");
	struct buf to = { .max = TEXT_MAX };

	result_value(b, UNIT_TIME, (double)before);
	result_value(&to, UNIT_TIME, (double)after);
	if (ends(b, ms) && ends(&to, ms))
		b->len -= ms.len;
	buf_lit(b, " → ");
	buf_slice(b, slice_of(to.p, to.len));
	buf_free(&to);
}

/* "1.1 % → 9 %" */
static void say_shares(struct buf *b, const struct comparison *c)
{
	result_value(b, UNIT_SHARE, share_of(c->tail.before));
	buf_lit(b, " → ");
	result_value(b, UNIT_SHARE, share_of(c->tail.after));
}

static void say_p(struct buf *b, double p)
{
	if (p < 1e-9)
		buf_lit(b, "p < 1e-9");
	else
		buf_printf(b, "p = %.2g", p);
}

static void say_ranks(struct buf *b, const struct work *w, const struct comparison *c)
{
	buf_lit(b, "Mann-Whitney U, ");
	say_p(b, w->p[c->p_ranks]);
	buf_printf(b, ", A12 %.2f", c->ranks.a12);
}

/* How many of the requests take longer than 95 % of them did. */
static void say_beyond(struct buf *b, const struct work *w, const struct comparison *c)
{
	buf_lit(b, "over ");
	result_value(b, UNIT_TIME, (double)c->tail.limit);
	buf_char(b, ' ');
	say_shares(b, c);
	buf_lit(b, " of requests; precedence test, ");
	say_p(b, w->p[c->p_tail]);
}

static void say_slower(struct buf *b, const struct work *w, const struct comparison *c)
{
	const struct sketch *old = &c->of.old->time[c->what], *now = &c->of.now->time[c->what];
	uint32_t at = is_slower(w, c) ? MEDIAN : P95;
	uint64_t before = sketch_quantile(old, at), after = sketch_quantile(now, at);

	buf_slice(b, what_subject(c->what));
	buf_lit(b, " is ");
	result_value(b, UNIT_TIME, (double)(after - before));
	buf_printf(b, " slower at the %s (", at == MEDIAN ? "median" : "95th percentile");
	say_shift(b, before, after);
	buf_lit(b, "; ");
	if (at == MEDIAN)
		say_ranks(b, w, c);
	else
		say_beyond(b, w, c);
	buf_char(b, ')');
	if (at == MEDIAN) {
		buf_lit(b, ", 95th percentile ");
		say_shift(b, sketch_quantile(old, P95), sketch_quantile(now, P95));
	}
}

static void say_as_fast(struct buf *b, const struct work *w, const struct comparison *c)
{
	const struct sketch *old = &c->of.old->time[c->what], *now = &c->of.now->time[c->what];
	uint64_t before = sketch_quantile(old, MEDIAN), after = sketch_quantile(now, MEDIAN);
	uint64_t before95 = sketch_quantile(old, P95), after95 = sketch_quantile(now, P95);
	bool doubt = longer(w->limits, before, after), doubt95 = longer(w->limits, before95, after95);

	buf_slice(b, what_subject(c->what));
	buf_lit(b, ": median ");
	say_shift(b, before, after);
	if (doubt && c->ranked) {
		buf_lit(b, " (not to be told from noise: ");
		say_ranks(b, w, c);
		buf_char(b, ')');
	}
	buf_lit(b, ", 95th percentile ");
	say_shift(b, before95, after95);
	if (doubt95 && c->tailed) {
		buf_lit(b, " (not to be told from noise: ");
		say_beyond(b, w, c);
		buf_char(b, ')');
	}
}

static void say_of(struct buf *b, struct share s)
{
	result_value(b, UNIT_NUMBER, (double)s.hits);
	buf_lit(b, " of ");
	result_value(b, UNIT_NUMBER, (double)s.n);
}

static void say_failures(struct buf *b, const struct work *w, const struct comparison *c)
{
	if (!c->tailed) {
		buf_lit(b, "no request fails, and none did before");
		return;
	}
	result_value(b, UNIT_SHARE, share_of(c->tail.after));
	buf_lit(b, " of requests fail, ");
	result_value(b, UNIT_SHARE, share_of(c->tail.before));
	buf_lit(b, " did before (");
	say_of(b, c->tail.after);
	buf_lit(b, ", ");
	say_of(b, c->tail.before);
	buf_lit(b, "; Fisher's exact test, ");
	say_p(b, w->p[c->p_tail]);
	buf_char(b, ')');
}

static void say_few(struct buf *b, const struct comparison *c)
{
	if (c->what < TIMED_MAX) {
		buf_slice(b, what_subject(c->what));
		buf_lit(b, " is ");
	}
	buf_lit(b, "not compared: ");
	result_value(b, UNIT_REQUESTS, (double)c->nbefore);
	buf_lit(b, " in the baseline, ");
	result_value(b, UNIT_NUMBER, (double)c->nafter);
	buf_printf(b, " now; fewer than %d tell nothing", COMPARE_FEW);
}

/* ---- results ------------------------------------------------------------------------------------------- */

static struct slice keep(struct work *w, struct buf *b)
{
	struct slice copy = arena_copy(w->arena, slice_of(b->p, b->len));

	buf_free(b);
	return copy;
}

static struct result *result_add(struct work *w, struct slice group, struct slice why)
{
	struct result *r = &w->out[w->nout++];

	*r = (struct result){
		.name = SLICE("baseline"), .text = SLICE("no slower, no more failures"), .severity = SEVERITY_ERROR,
		.by = SLICE("backend"), .group = group, .unit = UNIT_REQUESTS, .why = why,
	};
	return r;
}

static bool is_bad(const struct work *w, const struct comparison *c)
{
	return !c->few && (c->what == WHAT_FAILURES ? fails_more(w, c) : is_slower(w, c) || has_tail(w, c));
}

static struct slice sentence(struct work *w, const struct comparison *c)
{
	struct buf b = { .max = TEXT_MAX };

	say_backend(&b, &c->of, true);
	buf_lit(&b, ": ");
	if (c->few)
		say_few(&b, c);
	else if (c->what == WHAT_FAILURES)
		say_failures(&b, w, c);
	else if (is_bad(w, c))
		say_slower(&b, w, c);
	else
		say_as_fast(&b, w, c);
	return keep(w, &b);
}

static struct slice group(struct work *w, const struct comparison *c)
{
	struct buf b = { .max = TEXT_MAX };

	say_backend(&b, &c->of, false);
	buf_lit(&b, ", ");
	buf_slice(&b, what_name(c->what));
	return keep(w, &b);
}

static void judge(struct work *w, const struct comparison *c)
{
	struct result *r = result_add(w, group(w, c), sentence(w, c));

	r->seen = c->nafter;
	r->violating = c->what == WHAT_FAILURES ? c->tail.after.hits : 0;
	r->verdict = c->few ? RESULT_EMPTY : is_bad(w, c) ? RESULT_FAILED : RESULT_PASSED;
	/* What was tested, and no longer is, should be looked at. */
	if (c->few)
		r->severity = c->nbefore >= COMPARE_FEW ? SEVERITY_WARNING : SEVERITY_NOTE;
}

uint32_t compare(struct backends *old, struct backends *now, const struct compare_limits *limits,
		 struct arena *arena, struct result **out)
{
	struct work w = { .limits = limits, .arena = arena };
	uint32_t most, *rank;

	pair_up(&w, old, now);
	most = w.npairs * WHAT_MAX + 1;
	w.v = arena_alloc(arena, most * sizeof(*w.v));
	w.p = arena_alloc(arena, 2 * most * sizeof(*w.p));
	rank = arena_alloc(arena, 2 * most * sizeof(*rank));
	w.out = arena_alloc(arena, most * sizeof(*w.out));
	compare_all(&w);
	infer_holm(w.p, rank, w.np);
	for (uint32_t i = 0; i < w.n; i++)
		judge(&w, &w.v[i]);
	if (!w.ncompared)
		result_add(&w, SLICE("all"), SLICE("nothing could be compared: no backend has enough requests in both "
						   "captures"))->verdict = RESULT_EMPTY;
	*out = w.out;
	return w.nout;
}
