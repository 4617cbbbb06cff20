/*
 * report/rules_see.c - what the workers gather for rules. Everything here is the same in whatever order requests are seen
 * and parts are joined: sums, sketches, the worst by an order without ties, the groups with the lowest hashes.
 */
#include "report/rules_private.h"

#include "core/cut.h"
#include "core/hash.h"
#include "core/pattern.h"
#include "export/tree.h"

#include <stdio.h>
#include <stdlib.h>

/* One step of memory for a tree. */
#define TREE_STEP 512

/* ---- the worst requests -------------------------------------------------------------------------------- */

/* Less than 0: `a` is worse. Requests of which this is 0 are the same line twice. */
static int worst_order(const struct worst *a, const struct worst *b)
{
	if (a->rank != b->rank)
		return a->rank > b->rank ? -1 : 1;
	if (a->id_hi != b->id_hi)
		return a->id_hi < b->id_hi ? -1 : 1;
	if (a->id_lo != b->id_lo)
		return a->id_lo < b->id_lo ? -1 : 1;
	return a->span < b->span ? -1 : a->span > b->span;
}

/* A place for `w` among the at most `max` of `c`; NULL: all of them are worse. Its tree's memory may hold an old one. */
static struct worst *worst_place(struct cell *c, const struct worst *w, uint32_t max)
{
	struct worst *last, spare = { 0 };
	uint32_t at = c->nworst;

	if (max == 0 || (c->nworst == max && worst_order(w, &c->worst[max - 1]) >= 0))
		return NULL;
	if (!c->worst && !(c->worst = calloc(max, sizeof(*c->worst))))
		return NULL;
	if (c->nworst == max)
		at--;
	else
		c->nworst++;
	last = &c->worst[at];
	spare.tree = last->tree;
	spare.cap = last->cap;
	for (; at > 0 && worst_order(w, &c->worst[at - 1]) < 0; at--)
		c->worst[at] = c->worst[at - 1];
	c->worst[at] = *w;
	c->worst[at].tree = spare.tree;
	c->worst[at].cap = spare.cap;
	c->worst[at].len = 0;
	return &c->worst[at];
}

/* Of a longer tree the first lines; without what stands behind the last one. */
static size_t tree_cut(const char *p, size_t n)
{
	if (n > WORST_TREE_MAX)
		for (n = WORST_TREE_MAX; n > 0 && p[n - 1] != '\n'; n--)
			;
	while (n > 0 && p[n - 1] == '\n')
		n--;
	return n;
}

static void keep_tree(struct worst *w, const struct buf *drawn)
{
	size_t n = tree_cut(drawn->p, drawn->len), cap = (n + TREE_STEP - 1) / TREE_STEP * TREE_STEP;
	char *p = n > w->cap ? realloc(w->tree, cap) : w->tree;

	if (!p)
		return;
	if (n > w->cap)
		w->cap = (uint32_t)cap;
	w->tree = p;
	w->len = (uint32_t)n;
	memcpy(p, drawn->p, n);
}

static int64_t duration_us(const struct trace *t)
{
	return t->n ? (int64_t)((t->span[0].end_ns - t->span[0].start_ns) / 1000) : 0;
}

struct seen {
	struct rules_part *part;
	const struct check_rule *rule;
	struct cell *cell;
	const struct record *rec;
	const struct trace *trace;
};

static void remember(const struct seen *s, int64_t rank, int64_t value)
{
	const struct trace *t = s->trace;
	struct worst w = { .rank = rank, .value = value, .id_hi = t->id_hi, .id_lo = t->id_lo, .span = t->span[0].id };
	struct worst *place = worst_place(s->cell, &w, s->rule->nworst);

	if (!place)
		return;
	s->part->draw.len = 0;
	tree_draw(&s->part->draw, s->rec, t);
	keep_tree(place, &s->part->draw);
}

/* ---- requests ------------------------------------------------------------------------------------------ */

static void see_test(const struct seen *s)
{
	enum expr_answer a = expr_answer(s->rule->test, s->rec, s->trace, s->part->memo);

	s->cell->seen += a != EXPR_UNKNOWN;
	if (a != EXPR_FALSE)
		return;
	s->cell->hits++;
	remember(s, duration_us(s->trace), 0);
}

static void see_spans(const struct seen *s)
{
	uint32_t orphans = 0;

	for (uint32_t i = 0; i < s->trace->n; i++)
		orphans += s->trace->span[i].parent == 0;
	if (s->rule->subject == ABOUT_PARENTS)
		orphans = orphans ? 1 : 0;
	s->cell->seen += s->rule->subject == ABOUT_PARENTS ? 1 : s->trace->n;
	s->cell->hits += orphans;
	if (orphans)
		remember(s, duration_us(s->trace), 0);
}

/* Of a share or a number that is too large its requests are to be seen, of one that is too small the others. */
static void see_counted(const struct seen *s)
{
	bool hit = !s->rule->test || expr_true(s->rule->test, s->rec, s->trace, s->part->memo);

	s->cell->seen++;
	s->cell->hits += hit;
	if (s->rule->test && hit == limit_is_upper(s->rule))
		remember(s, duration_us(s->trace), 0);
}

/* A mean and a sum are made by all, the others by those beyond the limit. */
static bool is_worth_seeing(const struct check_rule *r, bool beyond)
{
	if (r->op == COMPARE_EQ || r->op == COMPARE_NE)
		return false;
	return beyond || r->measure == MEASURE_MEAN || r->measure == MEASURE_SUM;
}

static void see_value(const struct seen *s)
{
	const struct check_rule *r = s->rule;
	struct cell *c = s->cell;
	bool beyond;
	int64_t n;

	if (!expr_number(r->value, s->rec, s->trace, s->part->memo, &n))
		return;
	c->min = c->seen == 0 || n < c->min ? n : c->min;
	c->max = c->seen == 0 || n > c->max ? n : c->max;
	c->sum += n;
	c->seen++;
	beyond = !limit_holds(r, n, 1);
	c->hits += beyond;
	c->negative += n < 0;
	c->below += (__int128)n * LIMIT_SCALE < r->limit;
	c->equal += (__int128)n * LIMIT_SCALE == r->limit;
	if (r->measure == MEASURE_QUANTILE)
		sketch_add(&c->sketch, n < 0 ? 0 : (uint64_t)n);
	if (is_worth_seeing(r, beyond))
		remember(s, limit_is_upper(r) ? n : n == INT64_MIN ? INT64_MAX : -n, n);
}

static void (*const see_subject[])(const struct seen *) = {
	[ABOUT_REQUESTS] = see_test,  [ABOUT_PARENTS] = see_spans, [ABOUT_SPANS] = see_spans, [ABOUT_COUNT] = see_counted,
	[ABOUT_RATE] = see_counted,   [ABOUT_VALUE] = see_value,
};

/* ---- groups -------------------------------------------------------------------------------------------- */

static void cell_free(struct cell *c)
{
	for (uint32_t i = 0; c->worst && i < c->nworst; i++)
		free(c->worst[i].tree);
	free(c->worst);
	sketch_free(&c->sketch);
	*c = (struct cell){ 0 };
}

/* Take over what `from` has gathered; it is empty then. */
static void cell_join(struct cell *to, struct cell *from, uint32_t nworst)
{
	if (from->seen) {
		to->min = to->seen == 0 || from->min < to->min ? from->min : to->min;
		to->max = to->seen == 0 || from->max > to->max ? from->max : to->max;
	}
	to->seen += from->seen;
	to->hits += from->hits;
	to->negative += from->negative;
	to->below += from->below;
	to->equal += from->equal;
	to->sum += from->sum;
	sketch_merge(&to->sketch, &from->sketch);
	for (uint32_t i = 0; i < from->nworst; i++) {
		struct worst *w = &from->worst[i], *place = worst_place(to, w, nworst), mine = *w;

		if (!place)
			break;
		w->tree = place->tree;		/* freed with it */
		place->tree = mine.tree;
		place->cap = mine.cap;
		place->len = mine.len;
	}
	cell_free(from);
}

/* Where the group of this hash stands, or would. */
static uint32_t group_at(const struct rule_groups *g, uint64_t hash)
{
	uint32_t low = 0, high = g->n;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (g->v[middle]->hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Room for one at `at`; when there is none, the last one goes to the rest. It is before that. */
static struct rule_group *group_insert(struct rule_groups *g, uint32_t at, uint32_t nworst)
{
	struct rule_group *last;

	if (g->n == g->max) {
		last = g->v[--g->n];
		cell_join(&g->rest, &last->cell, nworst);
		g->folded = true;
	} else if (!(last = calloc(1, sizeof(*last)))) {
		return NULL;
	}
	memmove(&g->v[at + 1], &g->v[at], (g->n - at) * sizeof(struct rule_group *));
	g->v[at] = last;
	g->n++;
	return last;
}

/* The cell of the group that is called so; out of memory that of the rest. */
static struct cell *group_cell(struct rule_groups *g, struct slice name, uint32_t nworst)
{
	uint64_t hash = XXH3_64bits(name.p ? name.p : "", name.len);
	uint32_t at = group_at(g, hash);
	struct rule_group *group;

	if (at < g->n && g->v[at]->hash == hash)
		return &g->v[at]->cell;
	if (at == g->max) {
		g->folded = true;
		return &g->rest;
	}
	group = group_insert(g, at, nworst);
	if (!group)
		return &g->rest;
	group->hash = hash;
	group->len = (uint32_t)cut_name(group->name, sizeof(group->name), name);
	return &group->cell;
}

/* What a request has no name for is the group without one. */
static struct slice group_name(const struct seen *s, char digits[24])
{
	const struct expr_value *by = s->rule->by;
	struct slice name = { "", 0 };
	int64_t n;

	if (expr_kind(by) == EXPR_TEXT) {
		expr_text(by, s->rec, s->trace, s->part->memo, &name);
	} else if (expr_number(by, s->rec, s->trace, s->part->memo, &n)) {
		int len = snprintf(digits, 24, "%lld", (long long)n);

		name = slice_of(digits, (size_t)len);
	}
	return name;
}

/* ---- the watcher --------------------------------------------------------------------------------------- */

/* One rule and one request. */
static void see_rule(struct rules_part *p, uint32_t i, const struct record *rec, const struct trace *trace)
{
	const struct check_rule *r = &p->set->rule[i];
	struct seen s = { p, r, &p->cell[i], rec, trace };
	char digits[24];

	if (r->where && !expr_true(r->where, rec, trace, p->memo))
		return;
	if (r->by)
		s.cell = group_cell(&p->groups[i], group_name(&s, digits), r->nworst);
	see_subject[r->subject](&s);
}

static void rules_see(void *arg, const struct record *rec, const struct trace *trace)
{
	struct rules_part *p = arg;
	const struct ruleset *set = p->set;
	uint64_t before = pattern_stopped_here(), now;

	for (uint32_t i = 0; i < set->n; i++) {
		if (set->rule[i].subject == ABOUT_RUN)
			continue;
		see_rule(p, i, rec, trace);
		now = pattern_stopped_here();
		p->stopped[i] += now != before;
		p->stops += now - before;
		before = now;
	}
}

void rules_part_free(struct rules_part *p)
{
	if (!p)
		return;
	for (uint32_t i = 0; i < p->set->n; i++) {
		if (p->cell)
			cell_free(&p->cell[i]);
		for (uint32_t k = 0; p->groups && k < p->groups[i].n; k++) {
			cell_free(&p->groups[i].v[k]->cell);
			free(p->groups[i].v[k]);
		}
		if (p->groups) {
			cell_free(&p->groups[i].rest);
			free(p->groups[i].v);
		}
	}
	buf_free(&p->draw);
	free(p->stopped);
	free(p->groups);
	free(p->cell);
	free(p->memo);
	free(p);
}

static void *rules_part(struct watcher *w)
{
	struct ruleset *s = (struct ruleset *)w;
	struct rules_part *p = calloc(1, sizeof(*p));
	bool ok;

	if (!p)
		return NULL;
	p->set = s;
	p->draw.max = WIRE_MAX;
	p->memo = calloc(s->nmemos + 1, sizeof(*p->memo));
	p->cell = calloc(s->n, sizeof(*p->cell));
	p->groups = s->ngrouped ? calloc(s->n, sizeof(*p->groups)) : NULL;
	p->stopped = calloc(s->n + 1, sizeof(*p->stopped));
	ok = p->memo && p->cell && p->stopped && (p->groups || !s->ngrouped);
	for (uint32_t i = 0; ok && s->ngrouped && i < s->n; i++)
		if (s->rule[i].by) {
			p->groups[i].max = s->groups_each;
			ok = (p->groups[i].v = calloc(s->groups_each, sizeof(struct rule_group *))) != NULL;
		}
	if (ok)
		return p;
	rules_part_free(p);
	return NULL;
}

static void groups_join(struct rule_groups *to, struct rule_groups *from, uint32_t nworst)
{
	for (uint32_t k = 0; k < from->n; k++) {
		struct rule_group *g = from->v[k];
		uint32_t at = group_at(to, g->hash);
		struct rule_group *mine = at < to->n && to->v[at]->hash == g->hash ? to->v[at] : NULL;

		if (!mine && at < to->max && (mine = group_insert(to, at, nworst))) {
			mine->hash = g->hash;
			mine->len = g->len;
			memcpy(mine->name, g->name, g->len);
		}
		to->folded |= !mine;
		cell_join(mine ? &mine->cell : &to->rest, &g->cell, nworst);
	}
	to->folded |= from->folded;
	cell_join(&to->rest, &from->rest, nworst);
}

static void rules_join(struct watcher *w, void *part)
{
	struct ruleset *s = (struct ruleset *)w;
	struct rules_part *p = part;

	if (!s->total) {
		s->total = p;
		return;
	}
	s->total->stops += p->stops;
	for (uint32_t i = 0; i < s->n; i++) {
		s->total->stopped[i] += p->stopped[i];
		cell_join(&s->total->cell[i], &p->cell[i], s->rule[i].nworst);
		if (s->rule[i].by)
			groups_join(&s->total->groups[i], &p->groups[i], s->rule[i].nworst);
	}
	rules_part_free(p);
}

const struct watcher_ops rules_ops = { rules_part, rules_see, rules_join };

void ruleset_free(struct ruleset *s)
{
	if (!s)
		return;
	rules_part_free(s->total);
	free(s->rule);
	s->total = NULL;
	s->rule = NULL;
	s->n = 0;
}
