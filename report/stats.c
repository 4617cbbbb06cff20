#include "report/stats_private.h"

#include "core/cut.h"
#include "parse/format.h"

#include <stdio.h>
#include <stdlib.h>

static const struct { struct slice name; enum slot slot; } known[] = {
#define GROUP(name, slot) { { name, sizeof(name) - 1 }, SLOT_##slot },
#include "formats/groups.def"
#undef GROUP
};

#define KNOWN (sizeof(known) / sizeof(known[0]))

const enum span_role stats_phases[SPANS_MAX - 1] = {
	ROLE_REQUEST, ROLE_QUEUE, ROLE_TARPIT, ROLE_CONNECT, ROLE_RESPONSE, ROLE_DATA, ROLE_SERVER,
};

struct slice stats_phase_name(enum span_role role)
{
	static const struct slice names[ROLE_MAX] = {
		[ROLE_SERVER] = { "total", 5 },	    [ROLE_REQUEST] = { "request", 7 }, [ROLE_QUEUE] = { "queue", 5 },
		[ROLE_TARPIT] = { "tarpit", 6 },    [ROLE_CLIENT] = { "client", 6 },   [ROLE_CONNECT] = { "connect", 7 },
		[ROLE_RESPONSE] = { "response", 8 }, [ROLE_DATA] = { "data", 4 },
	};

	return names[role];
}

const char *stats_group_name(uint8_t by)
{
	return known[by].name.p;
}

/* ---- --by ---------------------------------------------------------------------------------------------------- */

static bool no_such_name(struct slice list, struct slice name, struct err *err)
{
	char names[256];
	size_t n = 0;

	for (size_t i = 0; i < KNOWN; i++)
		n += (size_t)snprintf(names + n, sizeof(names) - n, "%s, ", known[i].name.p);
	return err_at(err, EXIT_USAGE, list.p, list.len, (size_t)(name.p - list.p), "expected %sor none", names);
}

bool stats_by(struct stats_config *c, struct slice list, struct err *err)
{
	struct slice rest = list;

	c->nby = 0;
	if (slice_eq(list, SLICE("none")))
		return true;
	while (rest.p) {
		struct slice name = slice_trim(slice_cut(&rest, ','));
		uint8_t i = 0;

		while (i < KNOWN && !slice_eq(known[i].name, name))
			i++;
		if (i == KNOWN)
			return no_such_name(list, name, err);
		if (c->nby == STATS_BY_MAX || memchr(c->by, i, c->nby))
			return err_at(err, EXIT_USAGE, list.p, list.len, (size_t)(name.p - list.p),
				      "expected each name once, and at most %d", STATS_BY_MAX);
		c->by[c->nby++] = i;
	}
	return true;
}

bool stats_names(const struct stats_config *c, const char *name)
{
	for (uint32_t i = 0; i < c->nby; i++)
		if (strcmp(known[c->by[i]].name.p, name) == 0)
			return true;
	return false;
}

/* ---- what a request is grouped by ---------------------------------------------------------------------------- */

/* A number as text in `room`; formats tell its slot's type. */
static struct slice name_of(const struct record *r, enum slot s, char room[24])
{
	if (s != SLOT_x_status)
		return record_text(r, s);
	return slice_of(room, record_has(r, s) ? (size_t)snprintf(room, 24, "%lld", (long long)r->v[s].num) : 0);
}

/* At most `max` bytes, and no half of a character at its end. */
static size_t cut(struct slice s, size_t max)
{
	size_t n = s.len < max ? s.len : max;

	while (n < s.len && n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n--;
	return n;
}

static struct slice key_of(const struct stats_config *c, const struct record *r, char key[STATS_BY_MAX * (STATS_NAME_MAX + 1)])
{
	char room[24];
	size_t at = 0;

	for (uint32_t i = 0; i < c->nby; i++) {
		size_t n = cut_name(key + at + 1, STATS_NAME_MAX, name_of(r, known[c->by[i]].slot, room));

		key[at] = (char)n;
		at += 1 + n;
	}
	return slice_of(key, at);
}

/* ---- what failed --------------------------------------------------------------------------------------------- */

/* The phase and why; or the status, where no phase did; or why a connection never made a request (formats/conn_errors.def). */
static void failed(struct group *g, const struct record *r, const struct trace *t)
{
	struct failure f = { .count = 1, .phase = t->failed };
	int64_t status = record_num(r, SLOT_x_status, 0);

	g->failed++;
	if (t->failed)
		f.cause = t->words;
	else if (t->span[0].error_type.p == t->code)
		f.status = (uint16_t)(status < 600 ? status : 600);
	else
		f.cause = t->span[0].error_type;
	f.by_server = f.status && record_has(r, SLOT_x_status_server);
	group_failed(g, &f);
}

/* ---- the slowest --------------------------------------------------------------------------------------------- */

/* Nothing but what the request itself says decides: the slower first, then the earlier, then by ids. */
static int slower(const struct slow *a, const struct slow *b)
{
	const uint64_t x[] = { b->ns, a->start_ns, a->id_hi, a->id_lo, a->span };
	const uint64_t y[] = { a->ns, b->start_ns, b->id_hi, b->id_lo, b->span };

	for (size_t i = 0; i < sizeof(x) / sizeof(x[0]); i++)
		if (x[i] != y[i])
			return x[i] < y[i] ? -1 : 1;
	return 0;
}

/* `*s`, if it is among the `max` slowest; it is copied. */
static void slow_add(struct stats *st, const struct slow *s)
{
	uint32_t max = st->c->slowest, at = st->nslow;
	struct slow *copy;

	while (at > 0 && slower(s, st->slow[at - 1]) < 0)
		at--;
	if (at == max)
		return;
	copy = st->slow[st->nslow < max ? st->nslow++ : max - 1];
	memmove(st->slow + at + 1, st->slow + at, (st->nslow - 1 - at) * sizeof(*st->slow));
	*copy = *s;
	st->slow[at] = copy;
}

/* The longest phase; of several as long the last, which may have failed. */
static void blame(struct slow *s, const struct trace *t)
{
	for (int role = ROLE_REQUEST; role < ROLE_MAX; role++)
		if (t->reached >> role & 1 && (!s->phase || t->length_ns[role] >= t->length_ns[s->phase]))
			s->phase = (uint8_t)role;
	s->phase_ns = t->length_ns[s->phase];
}

static void slow_make(struct stats *st, const struct record *r, const struct trace *t)
{
	const struct span *root = &t->span[0];
	struct slice method = record_text(r, SLOT_x_method), path = record_text(r, SLOT_x_path);
	struct slow s = { .ns = t->length_ns[ROLE_SERVER], .start_ns = root->start_ns, .id_hi = t->id_hi, .id_lo = t->id_lo,
			  .span = root->id, .failed = t->failed, .error = root->status == STATUS_ERROR,
			  .status = (uint16_t)record_num(r, SLOT_x_status, 0) };

	if (record_has(r, SLOT_x_method_original))
		method = record_text(r, SLOT_x_method_original);
	if (!method.len)
		method = root->name;
	s.method_len = (uint8_t)cut(method, SLOW_METHOD);
	s.path_len = (uint8_t)cut(path, SLOW_PATH);
	memcpy(s.method, method.p, s.method_len);
	if (s.path_len)
		memcpy(s.path, path.p, s.path_len);
	blame(&s, t);
	slow_add(st, &s);
}

/* ---- the watcher --------------------------------------------------------------------------------------------- */

static void gone(struct stats *st)
{
	groups_free(&st->groups);
	for (uint32_t i = 0; st->slow && i < st->c->slowest; i++)
		free(st->slow[i]);
	free(st->slow);
}

static bool begin(struct stats *st, const struct stats_config *c)
{
	bool ok;

	*st = (struct stats){ .c = c, .first_ns = UINT64_MAX };
	st->slow = calloc(c->slowest + 1, sizeof(*st->slow));
	ok = groups_init(&st->groups) && st->slow;
	for (uint32_t i = 0; ok && i < c->slowest; i++)
		ok = (st->slow[i] = malloc(sizeof(struct slow))) != NULL;
	if (!ok)
		gone(st);
	return ok;
}

static void *stats_part(struct watcher *w)
{
	struct stats_watcher *s = (struct stats_watcher *)w;
	struct stats *st = malloc(sizeof(*st));

	if (st && begin(st, &s->c))
		return st;
	free(st);
	return NULL;
}

static void stats_see(void *part, const struct record *r, const struct trace *t)
{
	char key[STATS_BY_MAX * (STATS_NAME_MAX + 1)];
	struct stats *st = part;
	struct group *g = groups_find(&st->groups, key_of(st->c, r, key));
	const struct span *root = &t->span[0];

	g->requests++;
	for (uint32_t rest = t->reached; rest; rest &= rest - 1) {
		int role = __builtin_ctz(rest);

		sketch_add(&g->length[role], t->length_ns[role] / 1000);
	}
	if (root->status == STATUS_ERROR)
		failed(g, r, t);
	if (root->start_ns && root->start_ns < st->first_ns)
		st->first_ns = root->start_ns;
	if (root->start_ns && root->end_ns > st->last_ns)
		st->last_ns = root->end_ns;
	if (st->c->slowest && t->reached &&
	    (st->nslow < st->c->slowest || t->length_ns[ROLE_SERVER] >= st->slow[st->nslow - 1]->ns))
		slow_make(st, r, t);
}

static void stats_join(struct watcher *w, void *part)
{
	struct stats *all = &((struct stats_watcher *)w)->all, *st = part;

	groups_merge(&all->groups, &st->groups);
	for (uint32_t i = 0; i < st->nslow; i++)
		slow_add(all, st->slow[i]);
	if (st->first_ns < all->first_ns)
		all->first_ns = st->first_ns;
	if (st->last_ns > all->last_ns)
		all->last_ns = st->last_ns;
	gone(st);
	free(st);
}

static const struct watcher_ops stats_ops = { stats_part, stats_see, stats_join };

struct watcher *stats_new(const struct stats_config *c)
{
	struct stats_watcher *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->watcher.ops = &stats_ops;
	s->c = *c;
	if (begin(&s->all, &s->c))
		return &s->watcher;
	free(s);
	return NULL;
}

void stats_free(struct watcher *w)
{
	if (w)
		gone(&((struct stats_watcher *)w)->all);
	free(w);
}
