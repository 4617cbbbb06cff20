/*
 * The ledger: a mark comes out when, and only when, nothing before it can be lost any more.
 */
#include "ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NONE UINT64_MAX

static struct ledger l;

static int begin(void **state)
{
	(void)state;
	return ledger_init(&l) ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	ledger_free(&l);
	return 0;
}

/* A block of source 0 that is read and joined; its mark is ten times its number, and one more. */
static void block(uint64_t seq, uint64_t low, uint64_t open)
{
	ledger_enter(&l, seq, 0, 10 * seq + 1);
	ledger_joined(&l, seq, low, open);
}

/* The news of source 0, or 0. */
static uint64_t news(void)
{
	uint32_t source = 0;
	uint64_t mark = 0;

	return ledger_news(&l, &source, &mark) && source == 0 ? mark : 0;
}

static void marks_come_out_in_order_and_once(void **state)
{
	(void)state;
	for (uint64_t seq = 0; seq < 3; seq++)
		block(seq, NONE, NONE);
	ledger_settle(&l, 0);
	assert_int_equal(news(), 0);
	ledger_settle(&l, 2);
	assert_int_equal(news(), 11);
	assert_int_equal(news(), 0);
	ledger_settle(&l, 3);
	assert_int_equal(news(), 21);
}

static void an_open_request_holds_the_block_of_its_first_line(void **state)
{
	(void)state;
	block(0, NONE, NONE);
	block(1, NONE, 1);		/* a request begins */
	block(2, NONE, 1);
	ledger_settle(&l, 3);
	assert_int_equal(news(), 1);
	block(3, 1, NONE);		/* it leaves here: its spans are in the wires of 3 */
	ledger_settle(&l, 3);
	assert_int_equal(news(), 0);
	ledger_settle(&l, 4);
	assert_int_equal(news(), 31);
}

static void every_source_has_its_own_mark(void **state)
{
	uint32_t source = 0;
	uint64_t mark;

	(void)state;
	ledger_enter(&l, 0, 2, 7);
	ledger_enter(&l, 1, 0, 0);	/* of a socket */
	ledger_enter(&l, 2, 1, 9);
	ledger_settle(&l, 3);
	assert_true(ledger_news(&l, &source, &mark));
	assert_int_equal(source, 1);
	assert_int_equal(mark, 9);
	assert_true(ledger_news(&l, &source, &mark));
	assert_int_equal(source, 2);
	assert_int_equal(mark, 7);
	assert_false(ledger_news(&l, &source, &mark));
}

/* More blocks than it can remember: coarser, and never too early. */
static void a_full_ledger_moves_in_larger_steps(void **state)
{
	uint64_t last = 2 * (uint64_t)LEDGER_MAX;

	(void)state;
	for (uint64_t seq = 0; seq <= last; seq++)
		block(seq, seq == last ? last - 1 : NONE, NONE);
	ledger_settle(&l, LEDGER_MAX - 1);
	assert_int_equal(news(), 10 * (LEDGER_MAX - 2) + 1);
	ledger_settle(&l, last);	/* the rest is one entry, and its last block is not settled */
	assert_int_equal(news(), 0);
	ledger_settle(&l, last + 1);
	assert_int_equal(news(), 10 * last + 1);
}

/* Any order of sources, requests and answers against a slow model that remembers everything. */
static void random_histories_are_never_ahead(void **state)
{
	enum { BLOCKS = 3 * (LEDGER_MAX < 100 ? LEDGER_MAX : 100) };
	static uint64_t low[BLOCKS], since[BLOCKS];
	uint64_t told = 0;

	(void)state;
	srand(7);
	for (int round = 0; round < 200; round++) {
		uint64_t open = NONE, settled = 0;

		end(state);
		begin(state);
		told = 0;
		for (uint64_t seq = 0; seq < BLOCKS; seq++) {
			uint64_t need = NONE, mark;

			low[seq] = NONE;
			if (open != NONE && rand() % 3 == 0) {
				low[seq] = open;
				open = NONE;
			} else if (open == NONE && rand() % 4 == 0) {
				open = seq;
			}
			since[seq] = open;
			block(seq, low[seq], open);
			settled += (uint64_t)rand() % (seq + 2 - settled);
			ledger_settle(&l, settled);
			mark = news();
			for (uint64_t k = settled; k <= seq; k++)
				need = low[k] < need ? low[k] : need;
			need = since[seq] < need ? since[seq] : need;
			need = settled < need ? settled : need;
			assert_true(mark <= 10 * need);
			assert_true(mark == 0 || mark > told);
			told = mark ? mark : told;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
		T(marks_come_out_in_order_and_once),
		T(an_open_request_holds_the_block_of_its_first_line),
		T(every_source_has_its_own_mark),
		T(a_full_ledger_moves_in_larger_steps),
		T(random_histories_are_never_ahead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
