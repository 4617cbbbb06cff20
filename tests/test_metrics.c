/*
 * Histograms, and numbers for people.
 */
#include "core/metrics.h"
#include "core/units.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* behind those */
#include <cmocka.h>

static void bounds_grow_and_a_value_is_counted_below_its_own(void **state)
{
	static const enum metric ids[] = { METRIC_sink_batch_spans, METRIC_sink_batch_bytes, METRIC_sink_latency_seconds };

	(void)state;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		struct histogram h = { 0 };
		const uint64_t *bounds;
		double per_unit;
		unsigned n = metric_bounds(ids[i], &bounds, &per_unit);

		assert_in_range(n, 1, HISTOGRAM_BOUNDS);
		assert_true(per_unit >= 1);
		for (unsigned k = 0; k < n; k++) {
			assert_true(k == 0 || bounds[k] > bounds[k - 1]);
			histogram_add(&h, ids[i], bounds[k]);
			assert_int_equal(h.bucket[k], k ? 2 : 1);
			histogram_add(&h, ids[i], bounds[k] + 1);
			assert_int_equal(h.bucket[k + 1], 1);
		}
		histogram_add(&h, ids[i], UINT64_MAX / 2);
		assert_int_equal(h.bucket[n], 2);
	}
}

static void bytes_have_the_unit_that_shows_them(void **state)
{
	static const struct {
		uint64_t n;
		const char *text;
	} cases[] = {
		{ 0, "0 bytes" },	  { 312, "312 bytes" },	   { 999, "999 bytes" },	  { 1000, "1.0 KB" },
		{ 4100, "4.1 KB" },	  { 999949, "999.9 KB" },  { 999950, "1.0 MB" },	  { 123456789, "123.5 MB" },
		{ 3000000000, "3.0 GB" }, { 5000000000000, "5000.0 GB" },
	};
	char out[32];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(units_bytes(cases[i].n, out), cases[i].text);
	units_bytes(UINT64_MAX, out);
	assert_true(strlen(out) < sizeof(out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bounds_grow_and_a_value_is_counted_below_its_own),
		cmocka_unit_test(bytes_have_the_unit_that_shows_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
