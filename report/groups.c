#include "report/groups.h"

#include "core/hash.h"
#include "core/log.h"

#include <stdlib.h>

#define ROOM ((uint32_t)2 * STATS_GROUPS)
#define PLACES ((uint32_t)2 * ROOM)

static void *need(void *p, size_t n)
{
	if (!p) {
		log_error("out of memory: %zu bytes for statistics", n);
		abort();
	}
	return p;
}

static struct group *group_new(uint64_t hash, struct slice key)
{
	struct group *g = need(calloc(1, sizeof(*g) + key.len), sizeof(*g) + key.len);

	g->hash = hash;
	g->key_len = (uint32_t)key.len;
	if (key.len)
		memcpy(g->key, key.p, key.len);
	return g;
}

void group_clear(struct group *g)
{
	for (int i = 0; i < ROLE_MAX; i++)
		sketch_free(&g->length[i]);
	free(g->failure);
	g->failure = NULL;
	g->nfailures = 0;
}

static void group_free(struct group *g)
{
	if (g)
		group_clear(g);
	free(g);
}

bool groups_init(struct groups *g)
{
	*g = (struct groups){ .v = calloc(ROOM, sizeof(struct group *)), .place = calloc(PLACES, sizeof(uint32_t)),
			      .limit = UINT64_MAX, .folded = calloc(1, sizeof(struct group)) };
	if (g->v && g->place && g->folded)
		return true;
	groups_free(g);
	return false;
}

void groups_free(struct groups *g)
{
	for (uint32_t i = 0; i < g->n; i++)
		group_free(g->v[i]);
	group_free(g->folded);
	free(g->v);
	free(g->place);
	*g = (struct groups){ 0 };
}

/* ---- which are told apart ----------------------------------------------------------------------------------- */

static struct slice key_of(const struct group *g)
{
	return slice_of(g->key, g->key_len);
}

/* By hash; those of the same hash by key. */
static int by_hash(const void *a, const void *b)
{
	const struct group *x = *(struct group *const *)a, *y = *(struct group *const *)b;
	uint32_t len = x->key_len < y->key_len ? x->key_len : y->key_len;
	int order = memcmp(x->key, y->key, len);

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return order ? order : (x->key_len > y->key_len) - (x->key_len < y->key_len);
}

static void place(struct groups *g, uint32_t i)
{
	uint32_t at = (uint32_t)(g->v[i]->hash % PLACES);

	while (g->place[at])
		at = (at + 1) % PLACES;
	g->place[at] = i + 1;
}

void groups_settle(struct groups *g)
{
	if (g->n <= STATS_GROUPS)
		return;
	qsort(g->v, g->n, sizeof(struct group *), by_hash);
	while (g->n > STATS_GROUPS) {
		group_merge(g->folded, g->v[--g->n]);
		group_free(g->v[g->n]);
	}
	g->limit = g->v[g->n - 1]->hash;
	memset(g->place, 0, PLACES * sizeof(uint32_t));
	for (uint32_t i = 0; i < g->n; i++)
		place(g, i);
}

static struct group *find(struct groups *g, uint64_t hash, struct slice key)
{
	uint32_t at = (uint32_t)(hash % PLACES);

	for (; g->place[at]; at = (at + 1) % PLACES) {
		struct group *there = g->v[g->place[at] - 1];

		if (there->hash == hash && slice_eq(key_of(there), key))
			return there;
	}
	if (hash > g->limit)
		return g->folded;
	if (g->n == ROOM) {
		groups_settle(g);
		return find(g, hash, key);
	}
	g->v[g->n] = group_new(hash, key);
	place(g, g->n);
	return g->v[g->n++];
}

struct group *groups_find(struct groups *g, struct slice key)
{
	return find(g, XXH3_64bits(key.p, key.len), key);
}

uint64_t groups_folded(const struct groups *g)
{
	double all = (double)(STATS_GROUPS - 1) / ((double)g->limit / 0x1p64);

	return g->limit == UINT64_MAX ? 0 : all <= STATS_GROUPS ? 1 : (uint64_t)all - STATS_GROUPS;
}

/* ---- one of them -------------------------------------------------------------------------------------------- */

static bool alike(const struct failure *a, const struct failure *b)
{
	return a->phase == b->phase && a->status == b->status && a->by_server == b->by_server && slice_eq(a->cause, b->cause);
}

/* Few requests fail, and in few ways: those that the tables know. */
void group_failed(struct group *to, const struct failure *f)
{
	uint32_t n = to->nfailures, i = 0;

	while (i < n && !alike(&to->failure[i], f))
		i++;
	if (i < n) {
		to->failure[i].count += f->count;
		return;
	}
	if ((n & (n - 1)) == 0) {	/* at powers of two */
		size_t size = (n ? 2 * n : 1) * sizeof(*f);

		to->failure = need(realloc(to->failure, size), size);
	}
	to->failure[to->nfailures++] = *f;
}

void group_merge(struct group *to, const struct group *from)
{
	to->requests += from->requests;
	to->failed += from->failed;
	for (int i = 0; i < ROLE_MAX; i++)
		sketch_merge(&to->length[i], &from->length[i]);
	for (uint32_t i = 0; i < from->nfailures; i++)
		group_failed(to, &from->failure[i]);
}

/* Where `from` has folded, groups above its limit are not whole; there are more than enough below it, so they fold too. */
void groups_merge(struct groups *to, const struct groups *from)
{
	if (from->limit < to->limit)
		to->limit = from->limit;
	for (uint32_t i = 0; i < from->n; i++)
		group_merge(find(to, from->v[i]->hash, key_of(from->v[i])), from->v[i]);
	group_merge(to->folded, from->folded);
}

bool group_name(const struct group *g, uint32_t *at, struct slice *name)
{
	if (*at >= g->key_len)
		return false;
	*name = slice_of(g->key + *at + 1, (unsigned char)g->key[*at]);
	*at += 1 + (uint32_t)name->len;
	return true;
}
