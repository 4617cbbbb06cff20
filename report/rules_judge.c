/*
 * report/rules_judge.c - from what was gathered to verdicts, and why in a sentence.
 */
#include "report/rules_private.h"

#include "core/limits.h"
#include "core/pattern.h"
#include "core/term.h"

#include <inttypes.h>
#include <stdlib.h>

/* A name, a rule or a group as outputs get it. */
#define SHOWN_MAX 400

struct judge {
	struct ruleset *set;
	const struct run_counts *run;
	struct results *out;
	struct result *v;		/* room for all */
	struct buf text;		/* of the sentence that is being made */
};

static struct slice shown(struct judge *j, struct slice s)
{
	j->text.len = 0;
	term_text(&j->text, s, SHOWN_MAX);
	return arena_copy(j->set->arena, slice_of(j->text.p ? j->text.p : "", j->text.len));
}

static void things(struct judge *j, enum unit unit, uint64_t n)
{
	result_value(&j->text, unit, (double)n);
}

/* ---- sentences ------------------------------------------------------------------------------------------ */

/* What it should have been. A value that looks like the limit, and is not, gets more digits. */
static void say_limit(struct judge *j, const struct check_rule *r, const struct result *v)
{
	struct buf value = { .max = 4096 }, limit = { .max = 4096 };
	double scale = r->unit == UNIT_SHARE ? 100 : r->unit == UNIT_TIME ? 1e-3 : 1;

	result_value(&value, r->unit, v->value);
	result_value(&limit, r->unit, v->limit);
	if (r->op == COMPARE_NE)
		buf_lit(&j->text, ", which it must not be");
	else
		buf_printf(&j->text, ", not %s %.*s", v->op, (int)limit.len, limit.p);
	if (r->op != COMPARE_NE && v->value != v->limit &&
	    slice_eq(slice_of(value.p, value.len), slice_of(limit.p, limit.len)))
		buf_printf(&j->text, " (exactly: %.12g, not %.12g)", v->value * scale, v->limit * scale);
	buf_free(&value);
	buf_free(&limit);
}

static void say_measure(struct judge *j, const struct check_rule *r, const struct result *v)
{
	term_text(&j->text, r->measured, SHOWN_MAX / 2);
	buf_lit(&j->text, " is ");
	result_measured(&j->text, v);
	if (r->subject == ABOUT_RATE) {
		buf_lit(&j->text, " (");
		buf_printf(&j->text, "%" PRIu64 " of ", v->violating);
		things(j, UNIT_REQUESTS, v->seen);
		buf_char(&j->text, ')');
	}
	if (v->verdict != RESULT_FAILED)
		return;
	say_limit(j, r, v);
	if (r->subject == ABOUT_VALUE && r->measure != MEASURE_SUM && v->violating) {
		buf_printf(&j->text, "; %" PRIu64 " of ", v->violating);
		things(j, UNIT_REQUESTS, v->seen);
		buf_slice(&j->text, v->violating == 1 ? SLICE(" is") : SLICE(" are"));
		buf_lit(&j->text, " beyond it");
	}
	if (r->subject == ABOUT_RUN && r->counter == offsetof(struct run_counts, rejected) && j->out->sample.len) {
		buf_lit(&j->text, "; the first line that was not understood: ");
		buf_slice(&j->text, j->out->sample);
	}
}

static void say_each(struct judge *j, const struct check_rule *r, const struct result *v)
{
	if (v->verdict == RESULT_PASSED) {
		buf_slice(&j->text, v->seen == 1 ? SLICE("it holds for ") : SLICE("it holds for all "));
		things(j, r->unit, v->seen);
		return;
	}
	buf_printf(&j->text, "%" PRIu64 " of ", v->violating);
	things(j, r->unit, v->seen);
	if (r->subject == ABOUT_REQUESTS)
		buf_slice(&j->text, v->violating == 1 ? SLICE(" breaks it") : SLICE(" break it"));
	else
		buf_slice(&j->text, v->violating == 1 ? SLICE(" has no parent") : SLICE(" have no parent"));
	/* A header that was captured is no field of this name: what it says is the parent. */
	if (r->subject == ABOUT_REQUESTS && slice_starts(r->text, SLICE("every request has traceparent")))
		buf_lit(&j->text, ": did you mean `every request has parent`?");
}

static struct slice sentence(struct judge *j, const struct check_rule *r, const struct result *v)
{
	j->text.len = 0;
	if (v->verdict == RESULT_EMPTY)
		buf_printf(&j->text, "no %s matched: say `may be empty` where that is right",
			   r->unit == UNIT_LINES ? "line" : "request");
	else if (v->verdict == RESULT_ERROR)
		buf_lit(&j->text, "it can't be judged: this quantile is a negative number; min, max, mean and sum can");
	else if (v->seen == 0 && r->may_be_empty && r->subject != ABOUT_RUN && r->subject != ABOUT_COUNT)
		buf_lit(&j->text, "no request matched, as it may");
	else if (v->measured)
		say_measure(j, r, v);
	else
		say_each(j, r, v);
	return arena_copy(j->set->arena, slice_of(j->text.p, j->text.len));
}

/* ---- verdicts ------------------------------------------------------------------------------------------- */

/* Where a quantile lies, which is known exactly: -1 below the limit, 0 on it, 1 above. */
static int side_of(const struct check_rule *r, const struct cell *c)
{
	uint64_t rank = (uint64_t)(((unsigned __int128)c->seen * r->ppm + 999999) / 1000000);

	rank = rank ? rank : 1;
	return rank <= c->below ? -1 : rank <= c->below + c->equal ? 0 : 1;
}

/* A quantile as it is shown: not on the wrong side of the limit, even where it is known within SKETCH_ERROR alone. */
static __int128 told(const struct check_rule *r, const struct cell *c, bool *exact)
{
	__int128 n = sketch_tell(&c->sketch, r->ppm, exact), limit = r->limit / LIMIT_SCALE;
	int side = side_of(r, c);

	if (*exact)
		return n;
	if (side > 0)
		limit += r->limit % LIMIT_SCALE != 0;
	*exact = side == 0;
	return side == 0 || (side < 0 && n > limit) || (side > 0 && n < limit) ? limit : n;
}

/* The aggregate as a fraction; its verdict is exact whether or not it is. false: there is nothing to be measured. */
static bool measured(const struct check_rule *r, const struct cell *c, __int128 *num, __int128 *den, bool *exact)
{
	*den = 1;
	*exact = true;
	switch (r->subject) {
	case ABOUT_COUNT:
		*num = c->hits;
		return c->seen > 0 || !r->test;
	case ABOUT_RATE:
		*num = c->hits;
		*den = c->seen;
		return c->seen > 0;
	case ABOUT_VALUE:
		*num = r->measure == MEASURE_MIN ? c->min : r->measure == MEASURE_MAX ? c->max :
		       r->measure == MEASURE_QUANTILE ? told(r, c, exact) : c->sum;
		*den = r->measure == MEASURE_MEAN ? (__int128)c->seen : 1;
		return c->seen > 0;
	default:
		return false;
	}
}

/* Sketches know no negative numbers: where a quantile is one of those, it can't be said which. */
static bool is_negative_quantile(const struct check_rule *r, const struct cell *c)
{
	return r->subject == ABOUT_VALUE && r->measure == MEASURE_QUANTILE && c->negative &&
	       (__int128)c->seen * r->ppm <= (__int128)c->negative * 1000000;
}

static void judge_measure(const struct check_rule *r, const struct cell *c, struct result *v)
{
	bool quantile = r->subject == ABOUT_VALUE && r->measure == MEASURE_QUANTILE, exact, holds;
	__int128 num, den;

	v->measured = true;
	v->op = compare_names[r->op];
	v->limit = (double)r->limit / (double)LIMIT_SCALE;
	if (!measured(r, c, &num, &den, &exact)) {
		v->verdict = r->may_be_empty ? RESULT_PASSED : RESULT_EMPTY;
		v->measured = false;
		return;
	}
	if (is_negative_quantile(r, c)) {
		v->verdict = RESULT_ERROR;
		v->measured = false;
		return;
	}
	v->value = (double)num / (double)den;
	v->error = exact ? 0 : SKETCH_ERROR;
	holds = quantile ? compare_holds(r->op, side_of(r, c), 0) : limit_holds(r, num, den);
	v->verdict = holds ? RESULT_PASSED : RESULT_FAILED;
}

static void judge_run(const struct check_rule *r, const struct run_counts *run, struct result *v)
{
	uint64_t n;

	memcpy(&n, (const char *)run + r->counter, sizeof(n));
	v->seen = run->lines;
	v->measured = true;
	v->op = compare_names[r->op];
	v->limit = (double)r->limit / (double)LIMIT_SCALE;
	v->value = (double)n;
	v->violating = limit_is_upper(r) ? n : 0;
	v->verdict = run->lines == 0 && !r->may_be_empty ? RESULT_EMPTY : limit_holds(r, n, 1) ? RESULT_PASSED : RESULT_FAILED;
}

static struct result_trace *traces(struct judge *j, const struct check_rule *r, const struct cell *c)
{
	struct result_trace *t = arena_alloc(j->set->arena, c->nworst * sizeof(*t) + 1);

	for (uint32_t i = 0; i < c->nworst; i++) {
		const struct worst *w = &c->worst[i];

		t[i] = (struct result_trace){ .id_hi = w->id_hi, .id_lo = w->id_lo, .span = w->span,
					      .measured = r->subject == ABOUT_VALUE, .value = (double)w->value,
					      .tree = slice_of(w->tree ? w->tree : "", w->len) };
	}
	return t;
}

/* What a rule of which a pattern was stopped says of the other requests is no verdict, unless it is broken already. */
static void judge_stopped(struct judge *j, const struct check_rule *r, struct result *v)
{
	const struct rules_part *total = j->set->total;
	uint64_t stopped = total && r->subject != ABOUT_RUN ? total->stopped[r - j->set->rule] : 0;

	if (stopped == 0 || v->verdict == RESULT_FAILED)
		return;
	v->verdict = RESULT_ERROR;
	v->measured = false;
	j->text.len = 0;
	buf_lit(&j->text, "it can't be told: a pattern takes too many steps on ");
	things(j, UNIT_REQUESTS, stopped);
	v->why = arena_copy(j->set->arena, slice_of(j->text.p, j->text.len));
}

/* `v` has what is common to all groups of its rule. */
static void judge_cell(struct judge *j, const struct check_rule *r, const struct cell *c, struct result *v)
{
	v->seen = c->seen;
	v->violating = c->hits;
	if (r->subject == ABOUT_RUN) {
		judge_run(r, j->run, v);
	} else if (r->subject == ABOUT_COUNT || r->subject == ABOUT_RATE || r->subject == ABOUT_VALUE) {
		judge_measure(r, c, v);
	} else {
		v->verdict = c->seen == 0 && !r->may_be_empty ? RESULT_EMPTY : c->hits ? RESULT_FAILED : RESULT_PASSED;
	}
	v->why = sentence(j, r, v);
	judge_stopped(j, r, v);
	if (v->verdict == RESULT_FAILED) {
		v->worst = traces(j, r, c);
		v->nworst = c->nworst;
	}
	j->out->count[v->verdict]++;
	j->out->broken += v->verdict != RESULT_PASSED && v->severity == SEVERITY_ERROR;
}

/* ---- groups --------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	const struct rule_group *x = *(const struct rule_group *const *)a, *y = *(const struct rule_group *const *)b;
	int order = memcmp(x->name, y->name, x->len < y->len ? x->len : y->len);

	if (order == 0 && x->len != y->len)
		order = x->len < y->len ? -1 : 1;
	return order ? order : x->hash < y->hash ? -1 : x->hash > y->hash;
}

/* How many there must have been, by how close together the hashes of those are that were kept (k minimum values). */
static uint64_t folded_about(const struct rule_groups *g)
{
	double last = (double)(g->v[g->n - 1]->hash | 1) / 18446744073709551616.0, all = (double)(g->n - 1) / last;

	return all > (double)g->n + 1 ? (uint64_t)(all - (double)g->n + 0.5) : 1;
}

static void judge_groups(struct judge *j, const struct check_rule *r, struct rule_groups *g, struct result *common)
{
	uint64_t folded = g->folded && g->n > 1 ? folded_about(g) : g->folded;

	qsort(g->v, g->n, sizeof(struct rule_group *), by_name);
	for (uint32_t k = 0; k < g->n; k++) {
		struct result *v = &j->v[j->out->n++];

		*v = *common;
		v->group = shown(j, slice_of(g->v[k]->name, g->v[k]->len));
		judge_cell(j, r, &g->v[k]->cell, v);
	}
	if (folded) {
		struct result *v = &j->v[j->out->n++];

		*v = *common;
		v->rest = true;
		v->folded = folded;
		judge_cell(j, r, &g->rest, v);
	}
}

static size_t results_at_most(const struct ruleset *s)
{
	size_t n = s->n + 1;		/* judge_choice */

	for (uint32_t i = 0; s->total && s->ngrouped && i < s->n; i++)
		n += s->rule[i].by ? s->total->groups[i].n + 1 : 0;
	return n;
}

static void judge_rule(struct judge *j, uint32_t i)
{
	static const struct cell nothing;
	const struct check_rule *r = &j->set->rule[i];
	struct rules_part *total = j->set->total;
	struct result common = { .name = shown(j, r->name), .text = shown(j, r->text), .severity = r->severity,
				 .file = shown(j, r->file), .line = r->line, .column = r->column, .unit = r->unit,
				 .by = shown(j, r->by_name) };

	if (r->by && total && (total->groups[i].n || total->groups[i].folded)) {
		judge_groups(j, r, &total->groups[i], &common);
	} else {
		j->v[j->out->n] = common;
		judge_cell(j, r, total ? &total->cell[i] : &nothing, &j->v[j->out->n++]);
	}
}

/* Patterns that are no rule's have chosen what is looked at at all: of --keep, --drop, --grep, of a format. */
static void judge_choice(struct judge *j)
{
	uint64_t all = pattern_stopped(), rules = j->set->total ? j->set->total->stops : 0;
	struct result *v = &j->v[j->out->n];

	if (all <= rules)
		return;
	j->text.len = 0;
	buf_lit(&j->text, "which requests are meant can't be told: a pattern of a format, --keep, --drop or --grep takes too "
			  "many steps on ");
	things(j, UNIT_LINES, all - rules);
	*v = (struct result){ .name = SLICE("patterns"), .text = SLICE("every pattern comes to an end"), .severity = SEVERITY_ERROR,
			      .verdict = RESULT_ERROR, .unit = UNIT_LINES,
			      .why = arena_copy(j->set->arena, slice_of(j->text.p, j->text.len)) };
	j->out->n++;
	j->out->rules++;
	j->out->count[RESULT_ERROR]++;
	j->out->broken++;
}

void ruleset_judge(struct ruleset *s, const struct run_counts *run, struct results *out)
{
	struct judge j = { .set = s, .run = run, .out = out, .text = { .max = CHECK_LINE_MAX * 4 } };

	j.v = arena_alloc(s->arena, results_at_most(s) * sizeof(*j.v));
	out->lines = run->lines;
	out->requests = run->requests;
	out->merged = run->merged;
	out->other = run->other;
	out->rejected = run->rejected;
	out->spans = run->spans;
	out->rules = s->n;
	for (uint32_t i = 0; i < s->n; i++)
		judge_rule(&j, i);
	judge_choice(&j);
	out->v = j.v;
	out->lost = run->lost;
	out->passed = out->broken == 0 && !out->interrupted && !out->unreadable;
	buf_free(&j.text);
}
