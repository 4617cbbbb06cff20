/*
 * The joiner: which requests leave, when, why, and with which lines. What their lines make together is tested with
 * real ones (tests/steps.py).
 */
#include "reconstruct/join.h"

#include "parse/format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define ALL (1 << STEP_ACCEPT | 1 << STEP_REQUEST | 1 << STEP_CONNECT | 1 << STEP_RESPONSE)

static struct joiner *j;
static struct buf out = { .max = (size_t)64 << 20 };
static size_t at;		/* how far `out` was read */
static uint64_t seq;		/* the block of the next line */
static int64_t now;		/* of the next line */

static void begin(uint32_t max_open, int64_t max_age_us)
{
	struct err err = { 0 };

	j = joiner_new(max_open, max_age_us, &err);
	assert_non_null(j);
	out.len = at = 0;
	now = 1000000;
}

static void end(void)
{
	joiner_free(j);
	j = NULL;
}

/* A line of request `key`; the message is what it says. */
static bool line_of(uint64_t key, enum step step, unsigned flags, size_t len)
{
	static char msg[LINE_MAX_BYTES];
	struct part p = {
		.key = { key, ~key }, .moment_us = now, .time_us = now, .len = (uint32_t)len, .host_len = 3,
		.step = (uint8_t)step, .flags = (uint8_t)flags, .seq = seq,
	};

	now++;
	memset(msg, 'a' + (int)(key % 26), len);
	if (step == STEP_CLOSE || step == STEP_ERROR)
		p.flags |= PART_FINAL;
	if (p.flags & PART_FINAL)
		p.need = ALL;
	return joiner_take(j, &p, &(struct part_bytes){ msg, "lb1", NULL }, &out);
}

static bool line(uint64_t key, enum step step)
{
	return line_of(key, step, 0, 40);
}

/* The key of the next request that left, 0 when none did; all of it in `r`. */
static uint64_t left(struct joined *r)
{
	static struct joined mine;

	r = r ? r : &mine;
	if (!joined_next(&out, &at, r))
		return 0;
	for (uint32_t i = 0; i < r->n; i++) {
		assert_int_equal(r->part[i].key[0], r->part[0].key[0]);
		assert_memory_equal(r->bytes[i] + r->part[i].len, "lb1", 3);
		for (uint32_t k = 0; k < r->part[i].len; k++)
			assert_int_equal(r->bytes[i][k], 'a' + (int)(r->part[i].key[0] % 26));
		for (size_t k = 1; k <= BLOCK_PAD; k++)
			assert_int_equal(r->bytes[i][-(ptrdiff_t)k] | r->bytes[i][r->part[i].len + 2 + k], 0);
	}
	return r->part[0].key[0];
}

static void whole(uint64_t key)
{
	static const enum step steps[] = { STEP_ACCEPT, STEP_REQUEST, STEP_CONNECT, STEP_RESPONSE, STEP_CLOSE };

	for (size_t i = 0; i < COUNT(steps); i++)
		assert_int_equal(line(key, steps[i]), i == 0);
}

/* ---- whole ones ------------------------------------------------------------------------------ */

static void a_request_leaves_with_the_line_that_makes_it_whole(void **state)
{
	static const enum step last[] = { STEP_ACCEPT, STEP_REQUEST, STEP_CONNECT, STEP_RESPONSE, STEP_CLOSE };
	struct joined r;

	(void)state;
	begin(10, 1000000);
	for (size_t i = 0; i < COUNT(last); i++) {
		for (enum step s = STEP_ACCEPT; s <= STEP_CLOSE; s++)
			if (s != last[i])
				line(i + 1, s);
		assert_int_equal(left(&r), 0);
		assert_false(line(i + 1, last[i]));
		assert_int_equal(left(&r), i + 1);
		assert_int_equal(r.n, 5);
		assert_int_equal(r.reason, REASON_NONE);
		assert_int_equal(r.dropped, 0);
	}
	assert_false(joiner_end(j, &out));
	end();
}

static void requests_between_each_other_are_told_apart(void **state)
{
	struct joined r;

	(void)state;
	begin(100, 1000000);
	for (enum step s = STEP_ACCEPT; s <= STEP_CLOSE; s++)
		for (uint64_t key = 1; key <= 60; key++)
			assert_int_equal(line_of(key, s, 0, 30 + key * 17), s == STEP_ACCEPT);
	for (uint64_t key = 1; key <= 60; key++) {
		assert_int_equal(left(&r), key);
		assert_int_equal(r.n, 5);
	}
	end();
}

static void keys_that_share_a_bucket_are_told_apart(void **state)
{
	struct joined r;

	(void)state;
	begin(40, 1000000);
	/* The low bits choose the bucket: all the same. Some leave, so that the others move up. */
	for (uint64_t key = 1; key <= 40; key++)
		assert_true(line(key << 40 | 5, STEP_ACCEPT));
	for (uint64_t key = 1; key <= 200; key++)
		assert_int_equal(line(key << 40 | 5, STEP_REQUEST), key > 40);
	for (uint64_t key = 161; key <= 200; key++)
		assert_false(line(key << 40 | 5, STEP_CONNECT));
	for (uint64_t key = 1; key <= 160; key++) {
		assert_int_equal(left(&r), key << 40 | 5);
		assert_int_equal(r.reason, REASON_MAX_OPEN);
		assert_int_equal(r.n, key <= 40 ? 2 : 1);
	}
	assert_int_equal(left(&r), 0);
	end();
}

static void a_line_without_a_key_leaves_at_once(void **state)
{
	struct joined r;

	(void)state;
	begin(1, 1000000);
	for (int i = 0; i < 3; i++) {
		assert_true(line_of(7, STEP_ERROR, PART_ALONE, 20));
		assert_int_equal(left(&r), 7);
		assert_int_equal(r.n, 1);
	}
	assert_false(joiner_end(j, &out));
	end();
}

/* ---- those that are not ---------------------------------------------------------------------- */

static void a_final_line_waits_for_so_many_lines(void **state)
{
	struct joined r;

	(void)state;
	begin(2000, 1000000);
	line(1, STEP_ACCEPT);
	line(1, STEP_CLOSE);
	for (uint64_t key = 2; key < 2 + LINGER_LINES - 1; key++)
		line(key, STEP_ACCEPT);
	assert_int_equal(left(&r), 0);
	line(5000, STEP_ACCEPT);
	assert_int_equal(left(&r), 1);
	assert_int_equal(r.reason, REASON_NONE);
	assert_int_equal(r.n, 2);
	end();
}

static void a_final_line_waits_for_so_much_time(void **state)
{
	(void)state;
	begin(10, 10 * LINGER_US);
	line(1, STEP_CLOSE);
	now += LINGER_US - 3;
	line(2, STEP_ACCEPT);
	assert_int_equal(left(NULL), 0);
	now += 3;
	line(3, STEP_ACCEPT);
	assert_int_equal(left(NULL), 1);
	end();
}

static void steps_that_the_stream_never_showed_are_not_waited_for(void **state)
{
	(void)state;
	begin(2000, 1000000);
	for (uint64_t key = 1; key <= LINGER_LINES; key++)
		line(key, STEP_CLOSE);
	assert_int_equal(left(NULL), 0);
	line(9000, STEP_CLOSE);
	assert_int_equal(left(NULL), 9000);
	assert_int_equal(left(NULL), 1);
	/* A request step: from now on it may come. */
	line(9001, STEP_REQUEST);
	line(9002, STEP_CLOSE);
	while (left(NULL))
		;
	line(9002, STEP_REQUEST);
	assert_int_equal(left(NULL), 9002);
	end();
}

static void do_log_lines_are_waited_for_where_there_were_some(void **state)
{
	struct joined r;

	(void)state;
	begin(100, 1000000);
	whole(1);
	assert_int_equal(left(&r), 1);
	assert_false(line(1, STEP_OTHER));	/* too late: nobody knew that there would be one */
	assert_int_equal(left(&r), 0);
	whole(2);
	assert_int_equal(left(&r), 0);
	assert_false(line(2, STEP_OTHER));
	assert_int_equal(left(&r), 2);
	assert_int_equal(r.n, 6);
	end();
}

static void the_oldest_leaves_when_there_are_too_many(void **state)
{
	struct joined r;

	(void)state;
	begin(3, 1000000);
	for (uint64_t key = 1; key <= 5; key++)
		assert_true(line(key, STEP_ACCEPT));
	for (uint64_t key = 1; key <= 2; key++) {
		assert_int_equal(left(&r), key);
		assert_int_equal(r.reason, REASON_MAX_OPEN);
	}
	/* One that has its final line goes first, and is no case of too many. */
	line(4, STEP_CLOSE);
	line(6, STEP_ACCEPT);
	assert_int_equal(left(&r), 4);
	assert_int_equal(r.reason, REASON_NONE);
	assert_true(joiner_end(j, &out));
	for (uint64_t key = 3; key <= 6; key += key == 3 ? 2 : 1) {
		assert_int_equal(left(&r), key);
		assert_int_equal(r.reason, REASON_END);
	}
	assert_false(joiner_end(j, &out));
	end();
}

static void the_clock_of_the_log_ends_those_that_are_too_old(void **state)
{
	struct joined r;

	(void)state;
	begin(10, 5000000);
	line(1, STEP_ACCEPT);
	now += 4000000;
	line(2, STEP_ACCEPT);
	assert_int_equal(left(&r), 0);
	now += 1000000;
	line(2, STEP_REQUEST);
	assert_int_equal(left(&r), 1);
	assert_int_equal(r.reason, REASON_MAX_AGE);
	/* A clock that goes back ends nobody. */
	now -= 100000000;
	line(3, STEP_ACCEPT);
	assert_int_equal(left(&r), 0);
	end();
}

/* A line of request `key` that came from `host` (three letters) with the date `time_us`. */
static void dated(uint64_t key, const char *host, int64_t time_us)
{
	struct part p = { .key = { key, ~key }, .time_us = time_us, .len = 1, .host_len = 3, .step = STEP_ACCEPT };

	joiner_take(j, &p, &(struct part_bytes){ "a", host, NULL }, &out);
}

#define MINUTE (INT64_C(60) * 1000000)
#define HOUR (60 * MINUTE)
#define FUTURE INT64_C(4102444800000000)

/* How many left, all of them by max_age. */
static uint32_t too_old(void)
{
	struct joined r;
	uint32_t n = 0;

	for (; joined_next(&out, &at, &r); n++)
		assert_int_equal(r.reason, REASON_MAX_AGE);
	return n;
}

static void a_line_from_the_future_ends_nobody_and_the_clock_goes_on(void **state)
{
	const int64_t t = 20 * 365 * 24 * HOUR;

	(void)state;
	for (int first = 0; first < 2; first++) {
		begin(1000, HOUR);
		if (first)
			dated(999, "lb1", FUTURE);
		dated(1, "lb1", t);
		for (uint64_t k = 0; k < CLOCK_PROOF; k++) {
			dated(100 + k, "lb1", t + (int64_t)k);
			if (k + 1 < CLOCK_PROOF)
				dated(200 + k, "lb1", first ? t : FUTURE + (int64_t)k);
		}
		assert_int_equal(too_old(), 0);
		for (int64_t k = 1; k <= 5; k++)
			dated(2, "lb1", t + k * 10 * MINUTE);
		assert_int_equal(too_old(), 0);
		for (int64_t k = 51; k <= 61; k++)
			dated(2, "lb1", t + k * MINUTE);
		assert_int_equal(too_old(), 2 * CLOCK_PROOF + first);
		end();
	}
}

static void one_host_whose_clock_is_wrong_ends_nobody(void **state)
{
	const int64_t t = 20 * 365 * 24 * HOUR;

	(void)state;
	begin(2000, HOUR);
	for (uint64_t k = 0; k < 1000; k++) {
		bool wrong = k / 50 % 2;

		dated(k + 1, wrong ? "lb2" : "lb1", t + (int64_t)k + (wrong ? 2 * HOUR : 0));
	}
	assert_int_equal(too_old(), 0);
	end();
}

static void lines_in_a_row_prove_that_time_has_passed(void **state)
{
	const int64_t t = 20 * 365 * 24 * HOUR;

	(void)state;
	begin(1000, HOUR);
	dated(1, "lb1", t);
	for (uint64_t k = 1; k < CLOCK_PROOF; k++)
		dated(100 + k, "lb1", t + 14 * HOUR);
	assert_int_equal(too_old(), 0);
	/* Those that were open before; not those whose lines prove it. */
	dated(200, "lb1", FUTURE);
	assert_int_equal(too_old(), 1);
	/* And back: nobody is older by that, and from there on time passes again. */
	for (uint64_t k = 0; k < CLOCK_PROOF; k++)
		dated(300 + k, "lb1", t + (int64_t)k);
	assert_int_equal(too_old(), 0);
	for (int64_t k = 1; k < 6; k++)
		dated(400, "lb1", t + k * 10 * MINUTE);
	assert_int_equal(too_old(), 0);
	for (int64_t k = 51; k <= 61; k++)
		dated(400, "lb1", t + k * MINUTE);
	assert_int_equal(too_old(), 2 * CLOCK_PROOF);
	end();
}

static void dates_out_of_all_bounds_are_harmless(void **state)
{
	static const int64_t dates[] = { INT64_MIN, -1, 0, 1, INT64_MAX };

	(void)state;
	begin(100, INT64_C(1000000000) * 1000000);
	for (uint64_t k = 0; k < 100000; k++)
		dated(k + 1, "lb1", dates[k / 40 % 5]);
	end();
}

static void later_lines_of_those_that_left_make_nothing(void **state)
{
	(void)state;
	begin(2, 1000000);
	for (uint64_t key = 1; key <= 4; key++)
		line(key, STEP_ACCEPT);
	assert_int_equal(left(NULL), 1);
	assert_int_equal(left(NULL), 2);
	assert_false(line(1, STEP_CLOSE));
	assert_false(line(2, STEP_CLOSE));
	assert_int_equal(left(NULL), 0);
	/* As long as there is room to remember them. */
	for (uint64_t key = 5; key <= 9; key++)
		line(key, STEP_ACCEPT);
	assert_true(line(1, STEP_CLOSE));
	end();
}

static void counters_that_begin_anew_are_other_requests(void **state)
{
	(void)state;
	begin(10, 1000000);
	for (enum step s = STEP_ACCEPT; s <= STEP_CLOSE; s++)
		line_of(1, s, PART_WEAK, 20);
	assert_int_equal(left(NULL), 1);
	assert_false(line_of(1, STEP_RESPONSE, PART_WEAK, 20));
	now += LINGER_US + 10;
	for (enum step s = STEP_ACCEPT; s <= STEP_CLOSE; s++)
		assert_int_equal(line_of(1, s, PART_WEAK, 20), s == STEP_ACCEPT);
	assert_int_equal(left(NULL), 1);
	/* But one that was cut has lines to come, however late. */
	line_of(2, STEP_ACCEPT, PART_WEAK, 20);
	now += 2000000;
	line(3, STEP_ACCEPT);
	assert_int_equal(left(NULL), 2);
	now += 2000000;
	assert_false(line_of(2, STEP_CLOSE, PART_WEAK, 20));
	end();
}

/* ---- bounds ---------------------------------------------------------------------------------- */

static void lines_of_one_request_are_bounded_but_for_the_final_one(void **state)
{
	struct joined r;

	(void)state;
	begin(10, 1000000);
	for (int i = 0; i < 1000; i++)
		line(1, STEP_OTHER);
	for (int i = 0; i < 1000; i++)
		line(1, STEP_CONNECT);
	line(1, STEP_CLOSE);
	assert_int_equal(left(&r), 1);
	assert_int_equal(r.n, PARTS_MAX);
	assert_int_equal(r.dropped, 2001 - PARTS_MAX);
	assert_int_equal(r.part[PARTS_MAX - 1].step, STEP_CLOSE);
	assert_int_equal(r.reason, REASON_NONE);
	end();
}

static void bytes_of_one_request_are_bounded_but_for_the_final_one(void **state)
{
	struct joined r;

	(void)state;
	begin(1, 1000000);
	for (int i = 0; i < 10; i++)
		line_of(1, STEP_CONNECT, 0, 60000);
	line_of(1, STEP_CLOSE, 0, LINE_MAX_BYTES);
	assert_true(joiner_end(j, &out));
	assert_int_equal(left(&r), 1);
	assert_int_equal(r.n, 3);
	assert_int_equal(r.dropped, 8);
	end();
}

static void the_store_is_bounded(void **state)
{
	struct joined r;
	uint64_t first = 1;

	(void)state;
	begin(8, 1000000);		/* fewer bytes than eight of the largest need */
	for (uint64_t key = 1; key <= 400; key++) {
		line_of(key, STEP_ACCEPT, 0, 66000);
		line_of(key, STEP_REQUEST, 0, 60000);
		for (; left(&r); first++) {
			assert_int_equal(r.part[0].key[0], first);
			assert_int_equal(r.reason, REASON_MAX_OPEN);
		}
		assert_true(key - first < 8);
		out.len = at = 0;
	}
	end();
}

/* What leaves for a block of lines is bounded by what came: a worker's buffers do not grow with --max-open. */
static void many_that_are_due_at_once_leave_by_and_by(void **state)
{
	size_t most = 0;
	uint32_t n = 0;

	(void)state;
	begin(20000, 1000000);
	for (uint64_t key = 1; key <= 20000; key++)
		line_of(key, STEP_ACCEPT, 0, 500);
	assert_int_equal(left(NULL), 0);
	now += 2000000;
	for (uint64_t key = 1; key <= 20000; key++) {
		line_of(100000 + key, STEP_ACCEPT, 0, 500);
		most = out.len > most ? out.len : most;
		for (; left(NULL); n++)
			;
		out.len = at = 0;
	}
	assert_int_equal(n, 20000);
	assert_true(most < (size_t)2 << 20);
	end();
}

/* ---- input without an end ---------------------------------------------------------------------- */

static void when_nothing_comes_those_with_a_final_line_leave(void **state)
{
	struct joined r;
	uint32_t final;

	(void)state;
	begin(10, 1000000);
	line(1, STEP_ACCEPT);
	line(2, STEP_CLOSE);
	assert_int_equal(joiner_open(j, &final), 2);
	assert_int_equal(final, 1);
	assert_true(joiner_idle(j, false, &out));
	assert_int_equal(left(&r), 2);
	assert_int_equal(r.reason, REASON_NONE);
	assert_false(joiner_idle(j, false, &out));
	assert_true(joiner_idle(j, true, &out));
	assert_int_equal(left(&r), 1);
	assert_int_equal(r.reason, REASON_MAX_AGE);
	assert_int_equal(joiner_open(j, &final), 0);
	whole(3);
	assert_int_equal(left(NULL), 3);
	end();
}

static void it_is_known_from_which_block_on_lines_are_needed(void **state)
{
	(void)state;
	begin(10, 1000000);
	assert_int_equal(joiner_open_since(j), UINT64_MAX);
	seq = 5;
	line(1, STEP_ACCEPT);
	seq = 6;
	line(2, STEP_ACCEPT);
	line(1, STEP_CLOSE);		/* waits for its other lines, and is still the oldest */
	assert_int_equal(joiner_open_since(j), 5);
	assert_int_equal(joiner_left_since(j), UINT64_MAX);
	seq = 7;
	joiner_idle(j, false, &out);
	assert_int_equal(joiner_open_since(j), 6);
	assert_int_equal(joiner_left_since(j), 5);
	assert_int_equal(joiner_left_since(j), UINT64_MAX);
	joiner_end(j, &out);
	assert_int_equal(joiner_open_since(j), UINT64_MAX);
	assert_int_equal(joiner_left_since(j), 6);
	seq = 0;
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_leaves_with_the_line_that_makes_it_whole),
		cmocka_unit_test(requests_between_each_other_are_told_apart),
		cmocka_unit_test(keys_that_share_a_bucket_are_told_apart),
		cmocka_unit_test(a_line_without_a_key_leaves_at_once),
		cmocka_unit_test(a_final_line_waits_for_so_many_lines),
		cmocka_unit_test(a_final_line_waits_for_so_much_time),
		cmocka_unit_test(steps_that_the_stream_never_showed_are_not_waited_for),
		cmocka_unit_test(do_log_lines_are_waited_for_where_there_were_some),
		cmocka_unit_test(the_oldest_leaves_when_there_are_too_many),
		cmocka_unit_test(the_clock_of_the_log_ends_those_that_are_too_old),
		cmocka_unit_test(a_line_from_the_future_ends_nobody_and_the_clock_goes_on),
		cmocka_unit_test(one_host_whose_clock_is_wrong_ends_nobody),
		cmocka_unit_test(lines_in_a_row_prove_that_time_has_passed),
		cmocka_unit_test(dates_out_of_all_bounds_are_harmless),
		cmocka_unit_test(later_lines_of_those_that_left_make_nothing),
		cmocka_unit_test(counters_that_begin_anew_are_other_requests),
		cmocka_unit_test(lines_of_one_request_are_bounded_but_for_the_final_one),
		cmocka_unit_test(bytes_of_one_request_are_bounded_but_for_the_final_one),
		cmocka_unit_test(the_store_is_bounded),
		cmocka_unit_test(many_that_are_due_at_once_leave_by_and_by),
		cmocka_unit_test(when_nothing_comes_those_with_a_final_line_leave),
		cmocka_unit_test(it_is_known_from_which_block_on_lines_are_needed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
