#include "report/stats_private.h"

#include "core/civil.h"
#include "core/term.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Where the table is made, a piece at a time. */
struct page {
	struct buf text;
	const struct stats_config *c;
	uint64_t all_us;		/* the time of all requests */
};

/* With fewer columns the date of a slow request is left out. */
#define DATE_COLUMNS 78

/* What is made before it is written: a group, all failures; names are masked, and short. */
#define PIECE_MAX ((size_t)1024 * 1024)

enum style { STYLE_NONE, STYLE_BOLD, STYLE_DIM, STYLE_RED };

static void style(struct page *p, enum style s)
{
	static const struct slice codes[] = { { "\033[0m", 4 }, { "\033[1m", 4 }, { "\033[2m", 4 }, { "\033[31m", 5 } };

	if (p->c->colour)
		buf_slice(&p->text, codes[s]);
}

static void flush(struct page *p)
{
	fwrite(p->text.p, 1, p->text.len, stdout);
	p->text.len = 0;
}

/* ---- numbers ------------------------------------------------------------------------------------------------- */

/* Milliseconds, with as many digits as still say something: five at most, but all of whole ones. Returns the columns. */
static unsigned put_ms(struct page *p, int width, uint64_t us)
{
	int digits = us % 1000 == 0 ? 0 : us < 10000 ? 3 : us < 100000 ? 2 : us < 1000000 ? 1 : 0;
	size_t before = p->text.len;

	buf_printf(&p->text, "%*.*f", width, digits, (double)us / 1000);
	return (unsigned)(p->text.len - before);
}

/* A share of a hundred; what is there is not 0.0 %. */
static void put_share(struct page *p, int width, uint64_t part, uint64_t whole)
{
	double share = whole ? 100 * (double)part / (double)whole : 0;
	char text[32];

	if (part && share < 0.05)
		snprintf(text, sizeof(text), "<0.1");
	else
		snprintf(text, sizeof(text), "%.1f", share);
	buf_printf(&p->text, "%*s %%", width, text);
}

/* ---- groups -------------------------------------------------------------------------------------------------- */

static bool is_rest(const struct group *g)
{
	return g->key_len == 0;
}

/* Returns the columns used. What the request does not have is '-'. */
static unsigned put_names(struct page *p, const struct group *g, unsigned columns)
{
	struct buf names = { .max = PIECE_MAX };
	struct slice name;
	uint32_t at = 0;
	unsigned used;

	while (group_name(g, &at, &name)) {
		if (names.len)
			buf_slice(&names, SLICE(" · "));
		if (name.len)
			term_text(&names, name, STATS_NAME_MAX);
		else
			buf_char(&names, '-');
	}
	if (is_rest(g))
		buf_lit(&names, "all others");
	used = term_text(&p->text, slice_of(names.p, names.len), columns);
	buf_free(&names);
	return used;
}

static void put_requests(struct page *p, const struct group *g)
{
	buf_printf(&p->text, "%" PRIu64 " request%s", g->requests, g->requests == 1 ? "" : "s");
	if (!g->failed)
		return;
	buf_lit(&p->text, ", ");
	style(p, STYLE_RED);
	buf_printf(&p->text, "%" PRIu64 " failed or 5xx", g->failed);
	style(p, STYLE_NONE);
}

static void put_phase(struct page *p, struct slice name, const struct sketch *s, uint64_t whole_us)
{
	static const uint32_t asked[] = { 500000, 950000, 990000, 1000000 };

	buf_printf(&p->text, "  %-9.*s%9" PRIu64, (int)name.len, name.p, s->count);
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		buf_char(&p->text, ' ');
		put_ms(p, 7, sketch_tell(s, asked[i], NULL));
	}
	put_share(p, 6, s->sum, whole_us);
	buf_char(&p->text, '\n');
}

static void put_phases(struct page *p, const struct group *g)
{
	if (!g->length[ROLE_SERVER].count) {
		buf_char(&p->text, '\n');
		return;
	}
	style(p, STYLE_DIM);
	buf_printf(&p->text, "  %-9s%9s %7s %7s %7s %7s%8s\n", "phase", "count", "p50", "p95", "p99", "max", "share");
	style(p, STYLE_NONE);
	for (size_t i = 0; i < sizeof(stats_phases) / sizeof(stats_phases[0]); i++) {
		const struct sketch *s = &g->length[stats_phases[i]];

		if (s->count)
			put_phase(p, stats_phase_name(stats_phases[i]), s, g->length[ROLE_SERVER].sum);
	}
	buf_char(&p->text, '\n');
}

static void put_group(struct page *p, const struct group *g)
{
	style(p, STYLE_BOLD);
	put_names(p, g, p->c->width);
	style(p, STYLE_NONE);
	buf_lit(&p->text, "\n  ");
	put_requests(p, g);
	buf_lit(&p->text, ", ");
	put_share(p, 0, g->length[ROLE_SERVER].sum, p->all_us);
	buf_lit(&p->text, " of all time\n");
	put_phases(p, g);
	flush(p);
}

/* Where most of the time went, first. */
static int by_time(const void *a, const void *b)
{
	const struct group *x = *(struct group *const *)a, *y = *(struct group *const *)b;
	uint32_t len = x->key_len < y->key_len ? x->key_len : y->key_len;
	uint64_t xs = x->length[ROLE_SERVER].sum, ys = y->length[ROLE_SERVER].sum;
	int order = memcmp(x->key, y->key, len);

	if (xs != ys)
		return xs > ys ? -1 : 1;
	if (x->requests != y->requests)
		return x->requests > y->requests ? -1 : 1;
	return order ? order : (x->key_len > y->key_len) - (x->key_len < y->key_len);
}

/* What is not shown is said, with why. */
static void put_rest(struct page *p, const struct groups *g, uint32_t shown)
{
	uint64_t folded = groups_folded(g);

	if (!g->folded->requests)
		return;
	style(p, STYLE_BOLD);
	if (folded)
		buf_printf(&p->text, "about %" PRIu64 " further groups together\n", g->n - shown + folded);
	else
		buf_printf(&p->text, "%" PRIu32 " further group%s\n", g->n - shown, g->n - shown == 1 ? "" : "s together");
	style(p, STYLE_NONE);
	if (folded)
		buf_printf(&p->text, "  (beyond %d groups, chance decides which are told apart,\n"
				     "  also of large ones; --route, or fewer names in --by,\n"
				     "  make fewer groups)\n", STATS_GROUPS);
	else
		buf_lit(&p->text, "  (--top 0 shows them)\n");
	buf_lit(&p->text, "  ");
	put_requests(p, g->folded);
	buf_lit(&p->text, ", ");
	put_share(p, 0, g->folded->length[ROLE_SERVER].sum, p->all_us);
	buf_lit(&p->text, " of all time\n");
	put_phases(p, g->folded);
	flush(p);
}

/* One that is all has the numbers of the head. */
static void put_groups(struct page *p, const struct groups *g, uint32_t shown)
{
	bool alone = shown == 1 && !g->folded->requests;

	if (alone) {
		buf_lit(&p->text, "all of them: ");
		put_names(p, g->v[0], p->c->width - 13);
		buf_lit(&p->text, "\n\n");
	}
	for (uint32_t i = 0; !alone && i < shown; i++)
		put_group(p, g->v[i]);
	put_rest(p, g, shown);
}

/* ---- what failed --------------------------------------------------------------------------------------------- */

/* A kind of failure in one group. */
struct place {
	const struct failure *f;
	const struct group *g;
	uint64_t total;			/* of its kind, in all groups */
};

static int by_kind(const struct failure *a, const struct failure *b)
{
	size_t len = a->cause.len < b->cause.len ? a->cause.len : b->cause.len;
	int order = len ? memcmp(a->cause.p, b->cause.p, len) : 0;

	if (a->phase != b->phase)
		return a->phase < b->phase ? -1 : 1;
	if (a->status != b->status)
		return a->status < b->status ? -1 : 1;
	if (a->by_server != b->by_server)
		return a->by_server ? -1 : 1;
	return order ? order : (a->cause.len > b->cause.len) - (a->cause.len < b->cause.len);
}

static int places_by_kind(const void *a, const void *b)
{
	return by_kind(((const struct place *)a)->f, ((const struct place *)b)->f);
}

/* The most frequent kind first, and of each the group that has most of it; what has no name is last. */
static int places_by_count(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	int order = by_kind(x->f, y->f);

	if (x->total != y->total)
		return x->total > y->total ? -1 : 1;
	if (order)
		return order;
	if (is_rest(x->g) != is_rest(y->g))
		return is_rest(x->g) ? 1 : -1;
	if (x->f->count != y->f->count)
		return x->f->count > y->f->count ? -1 : 1;
	return by_time(&x->g, &y->g);
}

/* Every kind in every group that is shown, and in the rest; owned by the caller. */
static struct place *places(const struct groups *g, uint32_t shown, size_t *n)
{
	struct place *v;
	size_t first = 0;

	*n = g->folded->nfailures;
	for (uint32_t i = 0; i < shown; i++)
		*n += g->v[i]->nfailures;
	v = calloc(*n + 1, sizeof(*v));
	if (!v)
		abort();
	*n = 0;
	for (uint32_t i = 0; i <= shown; i++) {
		const struct group *in = i < shown ? g->v[i] : g->folded;

		for (uint32_t k = 0; k < in->nfailures; k++)
			v[(*n)++] = (struct place){ &in->failure[k], in, 0 };
	}
	qsort(v, *n, sizeof(*v), places_by_kind);
	for (size_t i = 0; i < *n; i = first) {
		uint64_t total = 0;

		for (; first < *n && by_kind(v[first].f, v[i].f) == 0; first++)
			total += v[first].f->count;
		for (size_t k = i; k < first; k++)
			v[k].total = total;
	}
	qsort(v, *n, sizeof(*v), places_by_count);
	return v;
}

/* tls_handshake_failed is a word of error.type. */
static void put_cause(struct page *p, const struct failure *f)
{
	if (f->status) {
		buf_printf(&p->text, "%-12s", "status");
		buf_printf(&p->text, f->status < 600 ? "%d" : "above 599", f->status);
		buf_slice(&p->text, f->by_server ? SLICE(" from the server") : SLICE(" from HAProxy"));
		return;
	}
	buf_printf(&p->text, "%-12s", f->phase ? stats_phase_name((enum span_role)f->phase).p : "connection");
	for (size_t i = 0; i < f->cause.len; i++)
		buf_char(&p->text, f->cause.p[i] == '_' ? ' ' : f->cause.p[i]);
}

/* Of the `n` places of one kind, those that have most: as many as fit a line, but one. */
static void put_where(struct page *p, const struct place *v, size_t n)
{
	unsigned used = 13;
	size_t i = 0;

	buf_lit(&p->text, "             ");
	for (; i < n && i < STATS_FAILURE_GROUPS; i++) {
		size_t before = p->text.len;

		if (i)
			buf_lit(&p->text, ", ");
		used += 2 + put_names(p, v[i].g, p->c->width - 26);
		used += (unsigned)snprintf(NULL, 0, " %" PRIu64, v[i].f->count);
		buf_printf(&p->text, " %" PRIu64, v[i].f->count);
		if (i && used + 9 > p->c->width) {
			p->text.len = before;
			break;
		}
	}
	if (i < n)
		buf_lit(&p->text, ", …");
	buf_char(&p->text, '\n');
}

static void put_failures(struct page *p, const struct groups *g, uint32_t shown)
{
	size_t n, end, kinds = 0;
	struct place *v = places(g, shown, &n);

	if (n) {
		style(p, STYLE_BOLD);
		buf_lit(&p->text, "What failed");
		style(p, STYLE_NONE);
		buf_char(&p->text, '\n');
	}
	for (size_t i = 0; i < n; i = end, kinds++) {
		for (end = i + 1; end < n && by_kind(v[end].f, v[i].f) == 0; end++)
			;
		if (kinds >= STATS_FAILURES)
			continue;
		style(p, STYLE_RED);
		buf_printf(&p->text, "  %9" PRIu64 "  ", v[i].total);
		put_cause(p, v[i].f);
		style(p, STYLE_NONE);
		buf_char(&p->text, '\n');
		if (shown + (g->folded->requests > 0) > 1)
			put_where(p, v + i, end - i);
	}
	if (kinds > STATS_FAILURES)
		buf_printf(&p->text, "  and %zu more kinds of failures\n", kinds - STATS_FAILURES);
	if (n)
		buf_char(&p->text, '\n');
	free(v);
	flush(p);
}

/* ---- the slowest --------------------------------------------------------------------------------------------- */

/* Where its time went, and which phase failed. Returns the columns. */
static unsigned put_blame(struct page *p, const struct slow *s)
{
	struct slice longest = stats_phase_name((enum span_role)s->phase), failed = stats_phase_name((enum span_role)s->failed);
	unsigned used = (unsigned)longest.len + 1;

	buf_slice(&p->text, longest);
	buf_char(&p->text, ' ');
	used += put_ms(p, 0, s->phase_ns / 1000);
	if (!s->error)
		return used;
	style(p, STYLE_RED);
	if (s->failed && s->failed != s->phase) {
		buf_lit(&p->text, ", ");
		buf_slice(&p->text, failed);
		used += 2 + (unsigned)failed.len;
	}
	buf_lit(&p->text, " failed");
	style(p, STYLE_NONE);
	return used + 7;
}

static void put_slow(struct page *p, const struct slow *s)
{
	unsigned used = 13;
	char date[32];

	buf_lit(&p->text, "  ");
	put_ms(p, 9, s->ns / 1000);
	buf_printf(&p->text, "  %016" PRIx64 "%016" PRIx64, s->id_hi, s->id_lo);
	if (s->start_ns && p->c->width >= DATE_COLUMNS) {
		civil_format(s->start_ns, date);
		buf_printf(&p->text, "  %s UTC", date);
	}
	buf_lit(&p->text, "\n             ");
	used += put_blame(p, s) + 6;
	buf_lit(&p->text, "  ");
	if (s->status)
		buf_printf(&p->text, "%d ", s->status);
	used += term_text(&p->text, slice_of(s->method, s->method_len), SLOW_METHOD);
	if (s->path_len && used + 8 <= p->c->width) {
		buf_char(&p->text, ' ');
		term_text(&p->text, slice_of(s->path, s->path_len), p->c->width - used - 1);
	}
	buf_char(&p->text, '\n');
}

static void put_slowest(struct page *p, const struct stats *st)
{
	if (!st->nslow)
		return;
	style(p, STYLE_BOLD);
	buf_lit(&p->text, "Slowest");
	style(p, STYLE_DIM);
	buf_lit(&p->text, "    ms  trace id\n");
	style(p, STYLE_NONE);
	for (uint32_t i = 0; i < st->nslow; i++)
		put_slow(p, st->slow[i]);
	flush(p);
}

/* ---- all of it ----------------------------------------------------------------------------------------------- */

static void put_head(struct page *p, const struct stats *st, const struct group *all)
{
	char from[32], to[32];

	style(p, STYLE_BOLD);
	put_requests(p, all);
	style(p, STYLE_NONE);
	if (st->last_ns) {
		civil_format(st->first_ns, from);
		civil_format(st->last_ns, to);
		buf_printf(&p->text, "\n  %s to %s UTC", from, to);
	}
	buf_lit(&p->text, "\n  times in ms; quantiles within 1 %, below 128 ms exact");
	for (uint32_t i = 0; i < st->c->nby; i++)
		buf_printf(&p->text, "%s%s", i ? " · " : "\n  by ", stats_group_name(st->c->by[i]));
	buf_char(&p->text, '\n');
	put_phases(p, all);
	flush(p);
}

void stats_print(struct watcher *w)
{
	struct stats *st = &((struct stats_watcher *)w)->all;
	struct page p = { .text = { .max = PIECE_MAX }, .c = st->c };
	struct groups *g = &st->groups;
	struct group all = { 0 };
	uint32_t shown;

	groups_settle(g);
	qsort(g->v, g->n, sizeof(*g->v), by_time);
	shown = st->c->top && g->n > st->c->top ? st->c->top : g->n;
	if (st->c->nby == 0)
		shown = 0;
	for (uint32_t i = 0; i < g->n; i++)
		group_merge(i < shown ? &all : g->folded, g->v[i]);
	group_merge(&all, g->folded);
	p.all_us = all.length[ROLE_SERVER].sum;
	put_head(&p, st, &all);
	if (st->c->nby)
		put_groups(&p, g, shown);
	put_failures(&p, g, shown);
	put_slowest(&p, st);
	group_clear(&all);
	buf_free(&p.text);
}
