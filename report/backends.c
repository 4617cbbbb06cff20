#include "report/backends.h"

#include "core/hash.h"
#include "parse/format.h"

#include <stdlib.h>

#define NS_PER_US 1000
#define US_PER_MS 1000

/* One worker's rows, and in the end those of all: in order of hash and name, the rest behind them. */
struct rows {
	struct backend *row[COMPARE_BACKENDS_MAX + 1];
	uint32_t n;
	struct backend *last;	/* the backend of the request before this one: most often it is the same */
	struct backend rest;
};

struct backends {
	struct watcher watcher;
	struct rows all;
};

const char *timed_name(enum timed t)
{
	static const char *const names[TIMED_MAX] = { "request", "queue", "connect", "response", "data", "total" };

	return names[t];
}

/* ---- rows ---------------------------------------------------------------------------------------------- */

static int compare_names(struct slice a, struct slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int d = n ? memcmp(a.p, b.p, n) : 0;

	return d ? d : (a.len > b.len) - (a.len < b.len);
}

static int compare_row(const struct backend *r, uint64_t hash, struct slice name)
{
	return r->hash != hash ? (r->hash > hash ? 1 : -1) : compare_names(r->name, name);
}

static uint32_t place_of(const struct rows *rows, uint64_t hash, struct slice name)
{
	uint32_t lo = 0, hi = rows->n;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (compare_row(rows->row[mid], hash, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void row_free(struct backend *r)
{
	for (int k = 0; k < TIMED_MAX; k++)
		sketch_free(&r->time[k]);
	free(r);
}

static void row_merge(struct backend *to, const struct backend *from)
{
	to->requests += from->requests;
	to->failed += from->failed;
	for (int k = 0; k < TIMED_MAX; k++)
		sketch_merge(&to->time[k], &from->time[k]);
}

/* With the name behind it. NULL: no memory. */
static struct backend *row_new(uint64_t hash, struct slice name)
{
	struct backend *r = calloc(1, sizeof(*r) + name.len);

	if (!r)
		return NULL;
	r->hash = hash;
	if (name.len)
		memcpy(r + 1, name.p, name.len);
	r->name = slice_of((const char *)(r + 1), name.len);
	return r;
}

/* A new row at `at`; it may be displaced at once, and so may another one: what they have goes to the rest. */
static struct backend *insert(struct rows *rows, uint32_t at, uint64_t hash, struct slice name)
{
	struct backend *r = at < COMPARE_BACKENDS_MAX ? row_new(hash, name) : NULL;

	if (!r)
		return &rows->rest;
	memmove(rows->row + at + 1, rows->row + at, (rows->n - at) * sizeof(rows->row[0]));
	rows->row[at] = r;
	if (rows->n++ == COMPARE_BACKENDS_MAX) {
		struct backend *out = rows->row[--rows->n];

		row_merge(&rows->rest, out);
		rows->last = rows->last == out ? NULL : rows->last;
		row_free(out);
	}
	return r;
}

static struct backend *row_of(struct rows *rows, struct slice name)
{
	uint64_t hash;
	uint32_t at;

	if (name.len > COMPARE_NAME_MAX)
		name.len = COMPARE_NAME_MAX;
	if (rows->last && slice_eq(rows->last->name, name))
		return rows->last;
	hash = XXH3_64bits(name.len ? name.p : "", name.len);
	at = place_of(rows, hash, name);
	if (at < rows->n && compare_row(rows->row[at], hash, name) == 0)
		return rows->last = rows->row[at];
	return insert(rows, at, hash, name);
}

/* ---- one request --------------------------------------------------------------------------------------- */

/*
 * How long a phase took that is not drawn: nothing as a rule, but with --phases none. -1: it was not reached. The data
 * phase, for which most formats have no timer, is what is left of the total; nobody sees it then.
 */
static int64_t undrawn(const struct record *r, enum timed t)
{
	static const enum slot slots[TIMED_TOTAL] = { SLOT_TR, SLOT_Tw, SLOT_Tc, SLOT_Tr, SLOT_Td };
	bool tcp = r->format->mode == MODE_TCP;
	int64_t ms = record_num(r, t == TIMED_REQUEST && !record_has(r, SLOT_TR) ? SLOT_Tq : slots[t], -1);

	if (tcp && (t == TIMED_REQUEST || t == TIMED_RESPONSE))
		return -1;
	if (tcp && t == TIMED_QUEUE)
		return ms - (ms > 0);	/* as reconstruct/timers.c */
	if (t == TIMED_DATA && !record_has(r, SLOT_Td))
		return record_num(r, tcp ? SLOT_Tc : SLOT_Tr, -1) >= 0 ? 0 : -1;
	return ms;
}

static void see_times(struct backend *row, const struct record *rec, const struct trace *trace)
{
	static const int8_t timed_of[ROLE_MAX] = {
		[ROLE_SERVER] = TIMED_TOTAL, [ROLE_REQUEST] = TIMED_REQUEST, [ROLE_QUEUE] = TIMED_QUEUE,
		[ROLE_TARPIT] = -1, [ROLE_CLIENT] = -1, [ROLE_CONNECT] = TIMED_CONNECT,
		[ROLE_RESPONSE] = TIMED_RESPONSE, [ROLE_DATA] = TIMED_DATA,
	};
	unsigned seen = 0;
	int64_t ms;

	for (uint32_t i = 0; i < trace->n; i++) {
		const struct span *s = &trace->span[i];
		int t = timed_of[s->role];

		if (t < 0)
			continue;
		sketch_add(&row->time[t], (s->end_ns - s->start_ns) / NS_PER_US);
		seen |= 1U << t;
	}
	for (enum timed t = 0; t < TIMED_TOTAL; t++)
		if (!(seen >> t & 1) && (ms = undrawn(rec, t)) >= 0)
			sketch_add(&row->time[t], (uint64_t)ms * US_PER_MS);
}

static void see(void *part, const struct record *rec, const struct trace *trace)
{
	struct backend *row = row_of(part, record_text(rec, SLOT_b));

	row->requests++;
	row->failed += trace->span[0].status == STATUS_ERROR;
	/* A connection that failed before its request has no length. */
	if (rec->format->mode != MODE_ERROR && !(rec->flags & RECORD_SESSION_ERROR))
		see_times(row, rec, trace);
}

/* ---- the watcher --------------------------------------------------------------------------------------- */

static void rows_free(struct rows *rows)
{
	for (uint32_t i = 0; i < rows->n; i++)
		row_free(rows->row[i]);
	for (int k = 0; k < TIMED_MAX; k++)
		sketch_free(&rows->rest.time[k]);
}

static void *part_new(struct watcher *w)
{
	struct rows *rows = calloc(1, sizeof(*rows));

	(void)w;
	if (rows)
		rows->rest.rest = true;
	return rows;
}

static void join(struct watcher *w, void *part)
{
	struct rows *all = &((struct backends *)w)->all, *rows = part;

	for (uint32_t i = 0; i < rows->n; i++)
		row_merge(row_of(all, rows->row[i]->name), rows->row[i]);
	row_merge(&all->rest, &rows->rest);
	rows_free(rows);
	free(rows);
}

struct backends *backends_new(void)
{
	static const struct watcher_ops ops = { part_new, see, join };
	struct backends *c = calloc(1, sizeof(*c));

	if (c) {
		c->watcher.ops = &ops;
		c->all.rest.rest = true;
	}
	return c;
}

struct watcher *backends_watcher(struct backends *c)
{
	return &c->watcher;
}

static int by_name(const void *a, const void *b)
{
	return compare_names((*(struct backend *const *)a)->name, (*(struct backend *const *)b)->name);
}

uint32_t backends_rows(struct backends *c, struct backend *const **rows)
{
	qsort(c->all.row, c->all.n, sizeof(c->all.row[0]), by_name);
	*rows = c->all.row;
	if (!c->all.rest.requests)
		return c->all.n;
	c->all.row[c->all.n] = &c->all.rest;
	return c->all.n + 1;
}

void backends_free(struct backends *c)
{
	if (!c)
		return;
	rows_free(&c->all);
	free(c);
}
