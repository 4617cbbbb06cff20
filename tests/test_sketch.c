/*
 * The sketch: counts, sums and ends are exact, quantiles are within the stated error of the sorted numbers, and nothing
 * depends on the order or on how the numbers were parted.
 */
#include "report/sketch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MANY 20000

static const uint32_t asked[] = { 0, 1, 10000, 250000, 500000, 900000, 950000, 990000, 999000, 999999, 1000000 };
static uint64_t seed = 1;

static uint64_t any(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Numbers of all sizes up to `bits`. */
static uint64_t *numbers(size_t n, unsigned bits)
{
	uint64_t *v = calloc(n, sizeof(*v));

	assert_non_null(v);
	for (size_t i = 0; i < n; i++)
		v[i] = any() >> (64 - bits + any() % bits);
	for (size_t i = 0; i < n; i += 1 + any() % 3)
		v[i] -= v[i] % 1000;
	return v;
}

static void fill(struct sketch *s, const uint64_t *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sketch_add(s, v[i]);
}

/* Rank as in the header, in floating point that is wide enough. */
static uint64_t exact(const uint64_t *sorted, size_t n, uint32_t ppm)
{
	size_t rank = (size_t)((unsigned __int128)n * ppm / 1000000);

	rank += (unsigned __int128)n * ppm % 1000000 != 0;
	return sorted[rank ? rank - 1 : 0];
}

static void assert_same(const struct sketch *a, const struct sketch *b)
{
	struct sketch_bin x, y;
	struct sketch_walk i = { 0 }, j = { 0 };

	assert_true(a->count == b->count && a->sum == b->sum && a->min == b->min && a->max == b->max);
	while (sketch_next(a, &i, &x)) {
		assert_true(sketch_next(b, &j, &y));
		assert_memory_equal(&x, &y, sizeof(x));
	}
	assert_false(sketch_next(b, &j, &y));
}

static void check_quantiles(size_t n, unsigned bits, bool thousands)
{
	uint64_t *v = numbers(n, bits);
	struct sketch s = { 0 };

	for (size_t i = 0; thousands && i < n; i++)
		v[i] -= v[i] % 1000;
	fill(&s, v, n);
	qsort(v, n, sizeof(*v), by_size);
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		uint64_t want = exact(v, n, asked[i]), got = sketch_quantile(&s, asked[i]);
		uint64_t off = got > want ? got - want : want - got;

		assert_true((double)off <= SKETCH_ERROR * (double)want);
		assert_true(want >= SKETCH_EXACT || off == 0);
		assert_true(want >= 1000 * SKETCH_EXACT || want % 1000 || !thousands || off == 0);
	}
	assert_true(s.min == v[0] && s.max == v[n - 1] && s.count == n);
	assert_true(sketch_quantile(&s, 0) == s.min && sketch_quantile(&s, 1000000) == s.max);
	sketch_free(&s);
	free(v);
}

static void quantiles_are_within_the_stated_error(void **state)
{
	(void)state;
	for (unsigned bits = 1; bits <= 64; bits++)
		for (size_t n = 1; n < 2000; n = 3 * n + 1)
			check_quantiles(n, bits, n % 2);
	check_quantiles(MANY, 22, false);
	check_quantiles(MANY, 22, true);
	check_quantiles(MANY, 64, false);
}

static void order_and_parts_do_not_matter(void **state)
{
	uint64_t *v = numbers(MANY, 40);
	struct sketch one = { 0 }, sum = { 0 }, part[7] = { 0 };

	(void)state;
	fill(&one, v, MANY);
	for (size_t i = MANY; i--; )
		sketch_add(&part[v[i] % 7], v[i]);
	for (size_t k = 7; k--; ) {
		sketch_merge(&sum, &part[k]);
		sketch_free(&part[k]);
	}
	assert_same(&one, &sum);
	sketch_free(&one);
	sketch_free(&sum);
	free(v);
}

static void every_number_is_near_what_stands_for_it(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 64; bits++) {
		for (int d = -2; d <= 2; d++) {
			uint64_t value = (UINT64_C(1) << bits) + (uint64_t)(int64_t)d;
			struct sketch s = { 0 };
			struct sketch_bin b;
			struct sketch_walk at = { 0 };

			sketch_add(&s, value);
			assert_true(sketch_next(&s, &at, &b) && b.count == 1);
			value = b.value > value ? b.value - value : value - b.value;
			assert_true((double)value <= SKETCH_ERROR * (double)s.min);
			assert_false(sketch_next(&s, &at, &b));
			assert_true(sketch_quantile(&s, 500000) == s.min);
			sketch_free(&s);
		}
	}
}

static void bins_come_in_order_and_hold_everything(void **state)
{
	struct sketch s = { 0 };
	struct sketch_bin b;
	uint64_t last = 0, sum = 0, n = 0;
	struct sketch_walk at = { 0 };

	(void)state;
	for (uint64_t value = 0; value < 1000000; value++)
		sketch_add(&s, value);
	for (; sketch_next(&s, &at, &b); n++) {
		assert_true(b.value >= last);
		last = b.value;
		sum += b.count;
	}
	assert_true(sum == 1000000 && n < 1300);
	sketch_free(&s);
}

static void counts_grow_as_wide_as_they_must(void **state)
{
	struct sketch s = { 0 }, more = { 0 };
	struct sketch_bin b;
	uint64_t want = 0;
	struct sketch_walk at = { 0 };

	(void)state;
	for (size_t i = 0; i < 70000; i++)
		sketch_add(&s, 5);
	sketch_add(&s, 9);
	for (want = 70000; want < UINT64_C(1) << 40; want *= 2) {
		sketch_merge(&more, &s);
		sketch_merge(&s, &more);
		sketch_free(&more);
	}
	assert_true(sketch_next(&s, &at, &b) && b.value == 5 && b.count == want);
	assert_true(sketch_next(&s, &at, &b) && b.value == 9 && b.count == want / 70000);
	assert_true(sketch_quantile(&s, 500000) == 5 && sketch_quantile(&s, 999999) == 9);
	assert_true(s.sum == 5 * want + 9 * (want / 70000));
	sketch_free(&s);
}

static void memory_is_bounded(void **state)
{
	uint64_t *v = numbers(MANY, 64);
	struct sketch s = { 0 };

	(void)state;
	fill(&s, v, MANY);
	sketch_add(&s, 0);
	sketch_add(&s, UINT64_MAX);
	sketch_add(&s, UINT64_MAX);
	assert_true(sketch_size(&s) <= SKETCH_BYTES_MAX + SKETCH_SINGLES_BYTES);
	assert_true(s.sum == UINT64_MAX);
	sketch_free(&s);
	for (uint64_t ms = 0; ms < 3600000; ms += 18000)
		sketch_add(&s, 1000 * ms);
	assert_true(sketch_size(&s) <= 2048);
	sketch_free(&s);
	free(v);
}

/* Few different numbers are told as they were, in whatever parts they came; more are not, and that is known. */
static void few_numbers_are_told_exactly(void **state)
{
	struct sketch s = { 0 }, half[2] = { { 0 } };
	bool exact;

	(void)state;
	for (uint64_t i = 0; i < 1000; i++) {
		sketch_add(&half[i % 2], 5000);
		sketch_add(&half[i % 2], i < 40 ? 2000000 : 1003210 + i % (SKETCH_SINGLES - 2));
	}
	sketch_merge(&s, &half[1]);
	sketch_merge(&s, &half[0]);
	assert_true(sketch_tell(&s, 500000, &exact) == 5000 && exact);
	assert_true(sketch_tell(&s, 500001, &exact) == 1003210 && exact);
	assert_true(sketch_tell(&s, 979000, &exact) == 1003210 + SKETCH_SINGLES - 3 && exact);
	assert_true(sketch_tell(&s, 990000, &exact) == 2000000 && exact);
	assert_true(sketch_quantile(&s, 500001) != 1003210);
	for (uint64_t i = 0; i < 2000; i++)
		sketch_add(&s, 1009001);
	sketch_add(&s, 77);
	assert_true(sketch_tell(&s, 600000, &exact) == sketch_quantile(&s, 600000) && !exact);
	assert_true(sketch_tell(&s, 0, &exact) == 77 && exact);
	assert_true(!s.single && !half[0].many && s.many);
	for (int i = 0; i < 2; i++)
		sketch_free(&half[i]);
	sketch_free(&s);
	for (uint64_t i = 0; i < 100; i++)
		sketch_add(&s, 1000 * i);
	assert_true(sketch_tell(&s, 500000, &exact) == 49000 && exact && s.many);
	sketch_free(&s);
}

static void nothing_is_nothing(void **state)
{
	struct sketch s = { 0 }, none = { 0 };
	struct sketch_bin b;
	struct sketch_walk at = { 0 };

	(void)state;
	sketch_merge(&s, &none);
	assert_true(s.count == 0 && sketch_quantile(&s, 500000) == 0 && !sketch_next(&s, &at, &b) && !sketch_size(&s));
	sketch_add(&s, 7);
	sketch_merge(&none, &s);
	assert_same(&none, &s);
	sketch_free(&s);
	sketch_free(&none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quantiles_are_within_the_stated_error),
		cmocka_unit_test(order_and_parts_do_not_matter),
		cmocka_unit_test(every_number_is_near_what_stands_for_it),
		cmocka_unit_test(bins_come_in_order_and_hold_everything),
		cmocka_unit_test(counts_grow_as_wide_as_they_must),
		cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(few_numbers_are_told_exactly),
		cmocka_unit_test(nothing_is_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
