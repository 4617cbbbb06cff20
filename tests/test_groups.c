/*
 * Groups: which are told apart, and all their numbers, are the same whatever the order of the requests and however they
 * were parted, also when there are many more groups than room; and nothing is lost.
 */
#include "report/groups.h"

#include "core/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define PARTS 4

/* What `key` stands for: the first k requests of a run are of so many different ones. */
struct run {
	uint32_t requests, keys;
	uint32_t step;			/* another order of the same requests */
	uint32_t parts;
};

static uint64_t key_hash(uint32_t key)
{
	char text[256];
	int n = snprintf(text, 32, "%c/path/%u", 0, key);

	text[0] = (char)(n - 1);
	return XXH3_64bits(text, (size_t)n);
}

static void see(struct groups *g, uint32_t i, uint32_t key)
{
	struct failure f = { .count = 1, .cause = i % 2 ? SLICE("one") : SLICE("other"), .phase = ROLE_QUEUE };
	char text[256];
	int n = snprintf(text, 32, "%c/path/%u", 0, key);
	struct group *to;

	text[0] = (char)(n - 1);
	to = groups_find(g, slice_of(text, (size_t)n));
	to->requests++;
	sketch_add(&to->length[ROLE_SERVER], i);
	if (i % 7)
		return;
	to->failed++;
	group_failed(to, &f);
}

static void gather(struct groups *all, struct run run)
{
	struct groups part[PARTS];

	assert_true(groups_init(all));
	for (uint32_t k = 0; k < run.parts; k++)
		assert_true(groups_init(&part[k]));
	for (uint64_t i = 0; i < run.requests; i++) {
		uint32_t at = (uint32_t)(i * run.step % run.requests);

		see(&part[(at / 50) % run.parts], at, at % run.keys);
	}
	for (uint32_t k = run.parts; k-- > 0; ) {
		groups_merge(all, &part[k]);
		groups_free(&part[k]);
	}
	groups_settle(all);
}

static int by_key(const void *a, const void *b)
{
	const struct group *x = *(struct group *const *)a, *y = *(struct group *const *)b;

	return x->key_len != y->key_len ? (x->key_len > y->key_len) - (x->key_len < y->key_len) :
					  memcmp(x->key, y->key, x->key_len);
}

static uint64_t failures(const struct group *g, const char *cause)
{
	for (uint32_t i = 0; i < g->nfailures; i++)
		if (slice_eq(g->failure[i].cause, slice_str(cause)))
			return g->failure[i].count;
	return 0;
}

static void same_group(const struct group *a, const struct group *b)
{
	const struct sketch *x = &a->length[ROLE_SERVER], *y = &b->length[ROLE_SERVER];

	assert_int_equal(by_key(&a, &b), 0);
	assert_true(a->requests == b->requests && a->failed == b->failed);
	assert_true(x->count == y->count && x->sum == y->sum && x->min == y->min && x->max == y->max);
	assert_true(sketch_quantile(x, 500000) == sketch_quantile(y, 500000));
	assert_true(failures(a, "one") == failures(b, "one") && failures(a, "other") == failures(b, "other"));
	assert_true(failures(a, "one") + failures(a, "other") == a->failed);
}

static void same(struct groups *a, struct groups *b)
{
	assert_int_equal(a->n, b->n);
	assert_true(groups_folded(a) == groups_folded(b));
	qsort(a->v, a->n, sizeof(*a->v), by_key);
	qsort(b->v, b->n, sizeof(*b->v), by_key);
	for (uint32_t i = 0; i < a->n; i++)
		same_group(a->v[i], b->v[i]);
	same_group(a->folded, b->folded);
}

/* Against what one finds who counts all of them. */
static void right(const struct groups *g, struct run run)
{
	uint64_t requests = g->folded->requests, below = 0;

	for (uint32_t i = 0; i < g->n; i++)
		requests += g->v[i]->requests;
	assert_true(requests == run.requests);
	assert_int_equal(g->n, run.keys < STATS_GROUPS ? run.keys : STATS_GROUPS);
	if (run.keys <= STATS_GROUPS) {
		assert_true(g->folded->requests == 0 && groups_folded(g) == 0);
		return;
	}
	for (uint32_t key = 0; key < run.keys; key++)
		below += key_hash(key) <= g->limit;
	assert_int_equal(below, STATS_GROUPS);
	for (uint32_t i = 0; i < g->n; i++)
		assert_true(g->v[i]->hash <= g->limit && g->v[i]->requests == run.requests / run.keys);
}

static void neither_order_nor_parts_matter(void **state)
{
	static const struct run runs[] = {
		{ 20 * STATS_GROUPS, 20 * STATS_GROUPS, 1, 1 },	{ 20 * STATS_GROUPS, 2 * STATS_GROUPS, 1, 1 },
		{ 20 * STATS_GROUPS, 5 * STATS_GROUPS / 4, 1, 1 }, { 20 * STATS_GROUPS, STATS_GROUPS, 1, 1 },
		{ 20 * STATS_GROUPS, 5, 1, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		struct groups one, other;
		struct run run = runs[i];

		gather(&one, run);
		right(&one, run);
		for (run.parts = 1; run.parts <= PARTS; run.parts++) {
			run.step = 9973;		/* a prime, and so every request comes once */
			gather(&other, run);
			same(&one, &other);
			groups_free(&other);
		}
		groups_free(&one);
	}
}

static void what_was_folded_is_estimated(void **state)
{
	const struct run run = { 100 * STATS_GROUPS, 100 * STATS_GROUPS, 1, 1 };
	uint64_t folded, want = 99 * STATS_GROUPS;
	struct groups g;

	(void)state;
	gather(&g, run);
	folded = groups_folded(&g);
	assert_true(STATS_GROUPS < 1000 || (folded > want * 9 / 10 && folded < want * 11 / 10));
	groups_free(&g);
}

static void names_come_back(void **state)
{
	const char key[] = "\003one\000\005three";
	struct slice name;
	struct groups g;
	uint32_t at = 0;
	struct group *to;

	(void)state;
	assert_true(groups_init(&g));
	to = groups_find(&g, slice_of(key, sizeof(key) - 1));
	assert_true(to == groups_find(&g, slice_of(key, sizeof(key) - 1)) && g.n == 1);
	assert_true(group_name(to, &at, &name) && slice_eq(name, SLICE("one")));
	assert_true(group_name(to, &at, &name) && name.len == 0);
	assert_true(group_name(to, &at, &name) && slice_eq(name, SLICE("three")));
	assert_false(group_name(to, &at, &name));
	groups_free(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neither_order_nor_parts_matter),
		cmocka_unit_test(what_was_folded_is_estimated),
		cmocka_unit_test(names_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
