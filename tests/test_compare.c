/*
 * Two captures compared: what is slower is found and said, what is the same is not, in whatever parts it was gathered.
 */
#include "parse/format.h"
#include "report/compare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)

static struct format http = { .mode = MODE_HTTP }, error = { .mode = MODE_ERROR };
static uint64_t seed;

static uint64_t any(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

/* 12 ms in the middle, at most 2 away. */
static uint64_t usual(void)
{
	return 10 + any(5);
}

static void span(struct trace *t, enum span_role role, uint64_t ms)
{
	t->span[t->n++] = (struct span){ .role = (uint8_t)role, .start_ns = 5 * MS, .end_ns = (5 + ms) * MS };
}

/* One request to `backend` that waited so long for its response. */
static void request(struct backends *b, void *part, const char *backend, uint64_t ms, bool failed)
{
	static struct record r;
	static struct trace t;

	memset(r.have, 0, sizeof(r.have));
	r.format = &http;
	t.n = 0;
	if (backend)
		record_set_text(&r, SLOT_b, slice_str(backend));
	record_set_num(&r, SLOT_TR, 0);
	record_set_num(&r, SLOT_Tw, 0);
	record_set_num(&r, SLOT_Tc, 1);
	record_set_num(&r, SLOT_Tr, (int64_t)ms);
	span(&t, ROLE_SERVER, ms + 1);
	span(&t, ROLE_CLIENT, ms + 1);
	span(&t, ROLE_CONNECT, 1);
	span(&t, ROLE_RESPONSE, ms);
	t.span[0].status = failed ? STATUS_ERROR : STATUS_UNSET;
	backends_watcher(b)->ops->see(part, &r, &t);
}

static void *part(struct backends *b)
{
	void *p = backends_watcher(b)->ops->part(backends_watcher(b));

	assert_non_null(p);
	return p;
}

static void join(struct backends *b, void *p)
{
	backends_watcher(b)->ops->join(backends_watcher(b), p);
}

/* `n` usual requests, longer by `more` each, of which the first `failures` fail. */
static struct backends *capture(const char *backend, int n, uint64_t more, int failures)
{
	struct backends *b = backends_new();
	void *p = part(b);

	for (int i = 0; i < n; i++)
		request(b, p, backend, usual() + more, i < failures);
	join(b, p);
	return b;
}

static struct arena arena;
static struct result *results;
static uint32_t nresults;

static void against(struct backends *old, struct backends *now)
{
	nresults = compare(old, now, &compare_usual, &arena, &results);
	backends_free(old);
	backends_free(now);
}

static const struct result *of(const char *group)
{
	for (uint32_t i = 0; i < nresults; i++)
		if (slice_eq(results[i].group, slice_str(group)))
			return &results[i];
	fail_msg("no result of %s", group);
	return NULL;
}

static bool says(const struct result *r, const char *text)
{
	bool there = memmem(r->why.p, r->why.len, text, strlen(text)) != NULL;

	if (!there)
		print_error("it says: %.*s\n", (int)r->why.len, r->why.p);
	return there;
}

static int begin(void **state)
{
	(void)state;
	seed = 88172645463325252;
	return 0;
}

static int end(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

/* ---- the sentences ------------------------------------------------------------------------------------- */

static void a_slower_phase_is_found_and_said(void **state)
{
	(void)state;
	against(capture("api", 400, 0, 0), capture("api", 400, 41, 0));
	assert_int_equal(of("api, response")->verdict, RESULT_FAILED);
	assert_int_equal(of("api, response")->severity, SEVERITY_ERROR);
	assert_true(says(of("api, response"), "backend api: response is 41 ms slower at the median (12 → 53 ms; "
			 "Mann-Whitney U, p < 1e-9, A12 1.00), 95th percentile "));
	assert_int_equal(of("api, total")->verdict, RESULT_FAILED);
	assert_true(says(of("api, total"), "the whole request is 41 ms slower at the median (13 → 54 ms; "));
	assert_int_equal(of("api, connect")->verdict, RESULT_PASSED);
	assert_true(says(of("api, connect"), "connect: median 1 → 1 ms, 95th percentile 1 → 1 ms"));
	assert_int_equal(of("api, failures")->verdict, RESULT_PASSED);
	assert_true(says(of("api, failures"), "no request fails, and none did before"));
}

static void what_is_faster_passes(void **state)
{
	(void)state;
	against(capture("api", 400, 41, 20), capture("api", 400, 0, 0));
	for (uint32_t i = 0; i < nresults; i++)
		assert_int_equal(results[i].verdict, RESULT_PASSED);
	assert_true(says(of("api, response"), "response: median 53 → 12 ms"));
	assert_true(says(of("api, failures"), "0 % of requests fail, 5 % did before (0 of 400, 20 of 400; "));
}

static void a_slower_tail_alone_is_found(void **state)
{
	struct backends *old = capture("api", 900, 0, 0), *now = capture("api", 900, 0, 0);
	void *p = part(old), *q = part(now);

	(void)state;
	for (int i = 0; i < 100; i++) {
		request(old, p, "api", usual(), false);
		request(now, q, "api", 300, false);
	}
	join(old, p);
	join(now, q);
	against(old, now);
	assert_int_equal(of("api, response")->verdict, RESULT_FAILED);
	assert_true(says(of("api, response"), "ms slower at the 95th percentile ("));
	assert_true(says(of("api, response"), "→ 300 ms; over "));
	assert_true(says(of("api, response"), "ms 0 % → 10 % of requests; precedence test, p = "));
}

static void more_failures_are_found(void **state)
{
	(void)state;
	against(capture("api", 1000, 0, 1), capture("api", 1000, 0, 30));
	assert_int_equal(of("api, failures")->verdict, RESULT_FAILED);
	assert_true(says(of("api, failures"), "backend api: 3 % of requests fail, 0.1 % did before (30 of 1,000, "
			 "1 of 1,000; Fisher's exact test, p = "));
	assert_int_equal(of("api, response")->verdict, RESULT_PASSED);
}

/* ---- what is no difference ----------------------------------------------------------------------------- */

static void what_is_significant_but_small_passes(void **state)
{
	(void)state;
	/* One millisecond is more than chance in so many requests, and nobody's business. */
	against(capture("api", 20000, 0, 0), capture("api", 20000, 1, 0));
	assert_int_equal(of("api, response")->verdict, RESULT_PASSED);
	assert_int_equal(of("api, total")->verdict, RESULT_PASSED);
}

static void what_is_large_but_may_be_chance_passes_and_says_so(void **state)
{
	struct backends *old = backends_new(), *now = backends_new();
	void *p = part(old), *q = part(now);

	(void)state;
	for (int i = 0; i < 20; i++) {
		request(old, p, "api", i < 11 ? 10 : 500, false);
		request(now, q, "api", i < 9 ? 10 : 500, false);
	}
	join(old, p);
	join(now, q);
	against(old, now);
	assert_int_equal(of("api, response")->verdict, RESULT_PASSED);
	assert_true(says(of("api, response"), "median 10 → 500 ms (not to be told from noise: Mann-Whitney U, p = "));
}

static void noise_is_no_difference(void **state)
{
	int failed = 0;

	(void)state;
	for (int i = 0; i < 200; i++) {
		against(capture("api", 50 + i, 0, i % 5), capture("api", 50 + i, 0, i % 5));
		for (uint32_t k = 0; k < nresults; k++)
			failed += results[k].verdict != RESULT_PASSED;
	}
	assert_int_equal(failed, 0);
}

/* ---- too few ------------------------------------------------------------------------------------------- */

static void too_few_requests_are_said_and_pass(void **state)
{
	struct backends *old = capture("api", 100, 0, 0), *now = capture("api", 100, 0, 0);
	void *p = part(old), *q = part(now);

	(void)state;
	for (int i = 0; i < 30; i++)
		request(old, p, "gone", 10, false);
	for (int i = 0; i < COMPARE_FEW - 1; i++)
		request(now, q, "new", 10, false);
	join(old, p);
	join(now, q);
	against(old, now);
	assert_int_equal(of("gone, requests")->verdict, RESULT_EMPTY);
	assert_int_equal(of("gone, requests")->severity, SEVERITY_WARNING);
	assert_true(says(of("gone, requests"), "not compared: 30 requests in the baseline, 0 now; fewer than 20 tell"));
	assert_int_equal(of("new, requests")->verdict, RESULT_EMPTY);
	assert_int_equal(of("new, requests")->severity, SEVERITY_NOTE);
	assert_int_equal(of("api, response")->verdict, RESULT_PASSED);
}

static void nothing_to_compare_fails(void **state)
{
	(void)state;
	against(capture("api", 10, 0, 0), capture("web", 1000, 0, 0));
	assert_int_equal(of("all")->verdict, RESULT_EMPTY);
	assert_int_equal(of("all")->severity, SEVERITY_ERROR);
	against(backends_new(), backends_new());
	assert_int_equal(nresults, 1);
	assert_int_equal(of("all")->severity, SEVERITY_ERROR);
}

/* ---- gathering ----------------------------------------------------------------------------------------- */

static void no_backend_has_a_name_of_its_own(void **state)
{
	(void)state;
	against(capture(NULL, 400, 0, 0), capture(NULL, 400, 41, 0));
	assert_true(says(of("no backend, response"), "no backend: response is 41 ms slower"));
}

static void a_hostile_name_is_masked(void **state)
{
	(void)state;
	against(capture("a\033[31m\xe2\x80\xae<b>\xff", 100, 0, 0), capture("a\033[31m\xe2\x80\xae<b>\xff", 100, 0, 0));
	assert_non_null(of("a?[31m?<b>?, response"));
}

/* Errors before a request have no length: they are no quick requests. */
static void a_failed_handshake_has_no_times(void **state)
{
	struct backends *b = capture("api", 100, 0, 0);
	struct backend *const *rows;
	struct record r = { .format = &error };
	struct trace t = { .n = 1, .span[0] = { .role = ROLE_SERVER, .status = STATUS_ERROR } };
	void *p = part(b);

	(void)state;
	backends_watcher(b)->ops->see(p, &r, &t);
	join(b, p);
	assert_int_equal(backends_rows(b, &rows), 2);
	assert_int_equal(rows[0]->name.len, 0);
	assert_int_equal(rows[0]->requests, 1);
	assert_int_equal(rows[0]->failed, 1);
	assert_int_equal(rows[0]->time[TIMED_TOTAL].count, 0);
	backends_free(b);
}

/* More backends than there is room for, gathered in one part and in seven, in other orders. */
static struct backends *many(int parts, int count, int step)
{
	struct backends *b = backends_new();
	void *p[7];
	char name[32];

	for (int i = 0; i < parts; i++)
		p[i] = part(b);
	for (int i = 0, k = 0; i < count; i++, k = (k + step) % count) {
		snprintf(name, sizeof(name), "backend-%d", k % 1000);
		request(b, p[i * 31 % parts], name, (uint64_t)(k % 77), k % 10 == 0);
	}
	for (int i = parts - 1; i >= 0; i--)
		join(b, p[i]);
	return b;
}

static void rows_are_the_same_in_whatever_parts(void **state)
{
	struct backends *one = many(1, 30011, 1), *seven = many(7, 30011, 17);
	struct backend *const *a, *const *b;
	uint32_t n = backends_rows(one, &a);
	uint64_t requests = 0;

	(void)state;
	assert_int_equal(n, COMPARE_BACKENDS_MAX + 1);
	assert_int_equal(backends_rows(seven, &b), n);
	for (uint32_t i = 0; i < n; i++) {
		assert_true(slice_eq(a[i]->name, b[i]->name));
		assert_int_equal(a[i]->requests, b[i]->requests);
		assert_int_equal(a[i]->failed, b[i]->failed);
		assert_int_equal(a[i]->rest, i == n - 1);
		for (int k = 0; k < TIMED_MAX; k++) {
			assert_int_equal(a[i]->time[k].count, b[i]->time[k].count);
			assert_int_equal(a[i]->time[k].sum, b[i]->time[k].sum);
		}
		requests += a[i]->requests;
	}
	assert_int_equal(requests, 30011);
	against(one, seven);
	assert_int_equal(of("further backends, response")->verdict, RESULT_PASSED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(a_slower_phase_is_found_and_said),
		TEST(what_is_faster_passes),
		TEST(a_slower_tail_alone_is_found),
		TEST(more_failures_are_found),
		TEST(what_is_significant_but_small_passes),
		TEST(what_is_large_but_may_be_chance_passes_and_says_so),
		TEST(noise_is_no_difference),
		TEST(too_few_requests_are_said_and_pass),
		TEST(nothing_to_compare_fails),
		TEST(no_backend_has_a_name_of_its_own),
		TEST(a_hostile_name_is_masked),
		TEST(a_failed_handshake_has_no_times),
		TEST(rows_are_the_same_in_whatever_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
