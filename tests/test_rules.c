/*
 * Rules of `haspan check`: what they mean, what they refuse and where, what is gathered in whatever order.
 */
#include "export/tree.h"
#include "report/rules.h"
#include "report/rules_private.h"

#include "lines.h"

static struct lines l;
static struct arena arena;
static struct expr_names names;

static const char *const usual[] = {
	"10.0.0.1:4000 [21/Nov/2026:08:15:44.900] fe api/s1 5/3/2/250/300 503 1234 - - SH-- 9/8/7/6/+2 4/3 "
	"{00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01} \"GET /api/orders HTTP/1.1\"",
	"10.0.0.1:4001 [21/Nov/2026:08:15:45.000] fe api/s1 0/0/1/20/22 200 10 - - ---- 9/8/7/6/0 0/0 {} \"GET /api/a HTTP/1.1\"",
	"10.0.0.1:4002 [21/Nov/2026:08:15:46.000] fe web/s2 0/1/1/40/44 200 20 - - ---- 9/8/7/6/0 0/0 {} \"GET / HTTP/1.1\"",
	"10.0.0.1:4003 [21/Nov/2026:08:15:47.000] fe web/<NOSRV> 0/500/-1/-1/500 503 0 - - sQ-- 9/8/7/6/0 1/0 {} "
	"\"GET /static/x HTTP/1.1\"",
	/* the client went away before it had a status */
	"10.0.0.1:4004 [21/Nov/2026:08:15:48.000] fe fe/<NOSRV> -1/-1/-1/-1/9 -1 0 - - CR-- 9/8/7/6/0 0/0 {} \"<BADREQ>\"",
};

static int setup(void **state)
{
	(void)state;
	lines_init(&l);
	lines_captures(&l, CAPTURE_REQUEST, "traceparent");
	lines_format(&l, "httplog");
	lines_start(&l, "UTC");
	names = (struct expr_names){ .format = l.formats.v, .nformats = l.formats.n };
	tree_setup(false, 100);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_free(&arena);
	lines_free(&l);
	return 0;
}

/* ---- what is refused --------------------------------------------------------------------------------------- */

static bool reads(const char *text, struct err *err)
{
	struct ruleset *s = ruleset_new(&names, &arena);
	bool ok = ruleset_add(s, slice_str(text), "rules", err) && ruleset_close(s, 0, false, err);

	ruleset_free(s);
	return ok;
}

#define LONG_RULE "status not in (500, 501, 502, 503, 504, 505, 506, 507, 508, 509, 510, 511, 512, 513, 514, 515, 516, 517, 518, " \
		  "519, 52"

static void what_the_documents_say_is_understood(void **state)
{
	static const char *const good[] = {
		"status < 500", "no phase failed where path ~ \"^/api\"", "p99(Tr) < 200ms where backend == \"api\"",
		"rate(status >= 500) < 0.1%", "count > 1000", "max(Tw) < 1s", "every request has parent", "every span has parent",
		"rejected == 0", "p95(duration) < 300ms by route", "name: status < 500", "name [warning]: status < 500",
		"a name with words [note] : status < 500 # why", "[warning]: status < 500", "x: status<500", "  x :\tcount>1",
		"count(status >= 500) == 0, may be empty", "count(status >= 500) == 0 may be empty",
		"p99.99(Tr) < 1.5s by backend where path ~ \"where by\", may be empty", "p50(Tr) < 1",
		"may be: status < 500 may be empty where method == 'POST'", "mean(bytes) >= 0", "avg(Ta) < 1h", "sum(bytes) < 1000",
		"min(Tr) >= 0", "median(Tr) < 1m", "not (status >= 500)", "every request has server", "rate(failed) <= 0.5",
		"p100(Tc) != 17us", "not failed where backend in (\"a#b\", 'c') # comment, don't mind",
		"status < 500 by status", "count == 0 where not backend", "p99(Tr) < 15000000000000000ms",
		"mean(Tr) < 999999999999999999h",
		/* without names, and alike as far as a name goes */
		LONG_RULE "1)\n" LONG_RULE "2)\n" LONG_RULE "3)",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		struct err err = { 0 };

		if (!reads(good[i], &err))
			fail_msg("%s: column %u: %s", good[i], err.column, err.text);
	}
}

static void a_mistake_has_its_line_and_column(void **state)
{
	static const struct { const char *text; unsigned line, column; const char *says; } bad[] = {
		{ "", 0, 0, "there is no rule" },
		{ "# nothing\n\n", 0, 0, "there is no rule" },
		{ "x: stats < 500", 1, 4, "did you mean status?" },
		{ "\n\nx: status < 500 where backnd == \"a\"", 3, 23, "did you mean backend?" },
		{ "x [eror]: status < 500", 1, 4, "expected a severity" },
		{ "x [note] [error]: status < 500", 1, 8, "one severity" },
		{ "count > 1000000000000000000", 1, 9, "999999999999999999 at most" },
		{ LONG_RULE "1)\n" LONG_RULE "1)", 2, 0, "is called so already" },
		{ "x:", 1, 3, "expected a rule" },
		{ "p999(Tr) < 1s", 1, 1, "no such measure" },
		{ "p101(Tr) < 1s", 1, 1, "no such measure" },
		{ "p99(path) < 1s", 1, 5, "this is a text" },
		{ "p99(Tr < 1s", 1, 12, "expected ')'" },
		{ "p99(Tr) 200ms", 1, 9, "expected <, <=" },
		{ "p99(Tr) < ", 1, 10, "expected a time" },
		{ "p99(Tr) < 200 parsec", 1, 15, "expected us, ms, s" },
		{ "p99(Tr) < 200ms and status < 500", 1, 17, "expected `where`, `by`, `may be empty`" },
		{ "p99(bytes) < 200ms", 1, 17, "without a unit" },
		{ "rate(status >= 500) < 1ms", 1, 24, "expected %" },
		{ "rate(status >= 500) < x", 1, 23, "expected a share" },
		{ "count > many", 1, 9, "expected a number" },
		{ "status < 500 where", 1, 19, "expected a test" },
		{ "status < 500 by", 1, 16, "expected a name" },
		{ "status < 500 may be", 1, 14, "expected `may be empty`" },
		{ "status < 500 where path == '/' where method == 'GET'", 1, 32, "a second `where`" },
		{ "status < 500 by route by backend", 1, 26, "a second `by`" },
		{ "rejected == 0 where path == '/'", 1, 15, "a number of the whole run" },
		{ "every reqest has parent", 1, 7, "expected `every request has NAME`" },
		{ "every request has parents", 1, 19, "no such name" },
		{ "no phase fails", 1, 4, "expected `every request" },
		{ "every span has parent now", 1, 23, "expected `where`" },
		{ "a: status < 500\nb: count > 1\na: count > 2", 3, 0, "is called so already" },
		{ "status < 500\nstatus < 500", 2, 0, "is called so already" },
		{ "path == \"open", 1, 9, "no end" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct err err = { 0 };

		if (reads(bad[i].text, &err))
			fail_msg("taken: %s", bad[i].text);
		if (err.code != EXIT_CONFIG || err.line != bad[i].line || err.column != bad[i].column || !strstr(err.text, bad[i].says))
			fail_msg("%s: line %u, column %u: %s", bad[i].text, err.line, err.column, err.text);
	}
}

/* ---- verdicts ---------------------------------------------------------------------------------------------- */

static struct results results;

/* The lines `at`, for each worker in turn, then all parts joined. */
static void judge(struct ruleset *s, const size_t *at, size_t n, unsigned workers)
{
	struct run_counts run = { .lines = n, .requests = n, .rejected = 0 };
	void *part[8];

	for (unsigned w = 0; w < workers; w++)
		assert_non_null(part[w] = rules_ops.part(&s->watcher));
	for (size_t i = 0; i < n; i++) {
		lines_request(&l, usual[at[i]]);
		rules_ops.see(part[i % workers], &l.parser.rec, &l.trace);
	}
	for (unsigned w = workers; w-- > 0;)
		rules_ops.join(&s->watcher, part[w]);
	results = (struct results){ 0 };
	ruleset_judge(s, &run, &results);
}

static struct ruleset *rules_of(const char *text)
{
	struct ruleset *s = ruleset_new(&names, &arena);
	struct err err = { 0 };

	if (!ruleset_add(s, slice_str(text), "rules", &err) || !ruleset_close(s, 0, false, &err))
		fail_msg("%s: %s", text, err.text);
	return s;
}

static void verdicts_follow_from_the_lines(void **state)
{
	static const struct { const char *text; enum verdict_of_rule verdict; uint64_t seen, violating; double value; } cases[] = {
		/* of five requests one has no status: it is not looked at */
		{ "status < 500", RESULT_FAILED, 4, 2, 0 },
		{ "status < 504", RESULT_PASSED, 4, 0, 0 },
		{ "not (status >= 500)", RESULT_FAILED, 4, 2, 0 },
		{ "status < 500 or backend == 'web'", RESULT_FAILED, 4, 1, 0 },
		{ "status < 500 and backend == 'x'", RESULT_FAILED, 5, 5, 0 },
		{ "every request has status", RESULT_FAILED, 5, 1, 0 },
		{ "no phase failed", RESULT_FAILED, 5, 3, 0 },
		{ "no phase failed where path ~ '^/api/a'", RESULT_PASSED, 1, 0, 0 },
		{ "every request has parent", RESULT_FAILED, 5, 4, 0 },
		{ "every request has parent where path ~ '^/api/o'", RESULT_PASSED, 1, 0, 0 },
		{ "status < 500 where backend == 'none'", RESULT_EMPTY, 0, 0, 0 },
		{ "status < 500 where backend == 'none', may be empty", RESULT_PASSED, 0, 0, 0 },
		{ "count > 4", RESULT_PASSED, 5, 5, 5 },
		{ "count == 0 where backend == 'none'", RESULT_PASSED, 0, 0, 0 },
		{ "count > 0 where backend == 'none'", RESULT_FAILED, 0, 0, 0 },
		{ "count(status >= 500) <= 2", RESULT_PASSED, 5, 2, 2 },
		{ "count(status >= 500) == 0 where backend == 'none'", RESULT_EMPTY, 0, 0, 0 },
		{ "rate(status >= 500) < 40%", RESULT_FAILED, 5, 2, 0.4 },
		{ "rate(status >= 500) <= 40%", RESULT_PASSED, 5, 2, 0.4 },
		{ "rate(status >= 500) == 0.4", RESULT_PASSED, 5, 2, 0.4 },
		{ "max(Tr) < 250ms", RESULT_FAILED, 3, 1, 250000 },
		{ "max(Tr) <= 250ms", RESULT_PASSED, 3, 0, 250000 },
		{ "max(Tr) < 250.001ms", RESULT_PASSED, 3, 0, 250000 },
		{ "min(Tr) >= 20", RESULT_PASSED, 3, 0, 20000 },
		{ "mean(Tr) < 0.2s", RESULT_PASSED, 3, 1, 310000 / 3.0 },
		{ "median(Tr) == 40ms", RESULT_PASSED, 3, 2, 40000 },
		{ "p99.9(Tr) == 250ms", RESULT_PASSED, 3, 2, 250000 },
		{ "sum(bytes) == 1264", RESULT_PASSED, 5, 5, 1264 },
		{ "max(Tw) < 1s where backend == 'web'", RESULT_PASSED, 2, 0, 500000 },
		{ "rejected == 0", RESULT_PASSED, 5, 0, 0 },
		{ "requests >= 6", RESULT_FAILED, 5, 0, 5 },
	};
	static const size_t all[] = { 0, 1, 2, 3, 4 };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct ruleset *s = rules_of(cases[i].text);
		const struct result *v;

		judge(s, all, 5, 2);
		v = &results.v[0];
		if (v->verdict != cases[i].verdict || v->seen != cases[i].seen || v->violating != cases[i].violating ||
		    (v->measured && (v->value < cases[i].value - 1e-6 || v->value > cases[i].value + 1e-6)))
			fail_msg("%s: %s, %d of %d, %f: %.*s", cases[i].text, verdict_name(v->verdict), (int)v->violating,
				 (int)v->seen, v->value, (int)v->why.len, v->why.p);
		assert_true(v->why.len > 0);
		ruleset_free(s);
	}
}

static void spans_are_counted_one_by_one(void **state)
{
	static const size_t all[] = { 0, 1 };
	struct ruleset *s = rules_of("every span has parent");

	(void)state;
	judge(s, all, 2, 1);
	assert_int_equal(results.v[0].violating, 1);
	assert_true(results.v[0].seen > 4);
	ruleset_free(s);
}

static void severities_say_what_fails(void **state)
{
	static const size_t all[] = { 0 };
	struct ruleset *s = rules_of("a [warning]: status < 500\nb [note]: status < 500\nc: status < 600");

	(void)state;
	judge(s, all, 1, 1);
	assert_true(results.passed);
	assert_int_equal(results.broken, 0);
	assert_int_equal(results.count[RESULT_FAILED], 2);
	ruleset_free(s);
	s = rules_of("a [error]: status < 500");
	judge(s, all, 1, 1);
	assert_false(results.passed);
	ruleset_free(s);
}

/* The same by any number of workers, in any order: also which requests are the worst, and the text of all. */
static void order_does_not_matter(void **state)
{
	static const size_t orders[][6] = { { 0, 1, 2, 3, 4, 1 }, { 4, 3, 1, 2, 1, 0 }, { 1, 0, 4, 1, 2, 3 } };
	static const char text[] = "a: status < 500\nb: p50(Tr) < 1ms by backend\nc: max(duration) < 1us\nd: rate(failed) < 1% by path\n"
				   "e: count(status < 300) > 9 by status";
	char *first = NULL;

	(void)state;
	for (size_t i = 0; i < COUNT(orders); i++)
		for (unsigned workers = 1; workers <= 4; workers++) {
			struct ruleset *s = rules_of(text);
			char *said = NULL;
			size_t size = 0;
			FILE *out = open_memstream(&said, &size);

			judge(s, orders[i], 6, workers);
			results.version = "";
			report_json(out, &results);
			fclose(out);
			if (first)
				assert_string_equal(first, said);
			else
				first = strdup(said);
			free(said);
			ruleset_free(s);
		}
	free(first);
}

static void the_worst_come_first(void **state)
{
	static const size_t all[] = { 1, 2, 0, 3, 4 };
	struct ruleset *s = rules_of("max(Tr) < 1ms\nlow: min(Tr) > 1s");

	(void)state;
	judge(s, all, 5, 1);
	assert_int_equal(results.v[0].nworst, 3);
	assert_true(results.v[0].worst[0].value == 250000 && results.v[0].worst[2].value == 20000);
	assert_true(results.v[1].worst[0].value == 20000 && results.v[1].worst[2].value == 250000);
	assert_non_null(memmem(results.v[0].worst[0].tree.p, results.v[0].worst[0].tree.len, "/api/orders", 11));
	ruleset_free(s);
}

/* A thousand and more groups: the same ones have a verdict of their own in any order, and none is lost. */
static void groups_beyond_the_bound_are_one(void **state)
{
	enum { KEYS = 5 * RULE_GROUPS_ALL };
	uint64_t kept[2] = { 0 }, seen, rest;

	(void)state;
	for (int backwards = 0; backwards < 2; backwards++) {
		struct ruleset *s = rules_of("count > 0 by path");
		struct run_counts run = { .lines = KEYS };
		void *part[2];

		for (int w = 0; w < 2; w++)
			part[w] = rules_ops.part(&s->watcher);
		for (int i = 0; i < KEYS; i++) {
			int key = backwards ? KEYS - 1 - i : i;
			char line[300];

			snprintf(line, sizeof(line), "10.0.0.1:4001 [21/Nov/2026:08:15:45.000] fe api/s1 0/0/1/20/22 200 10 - - ---- "
				 "9/8/7/6/0 0/0 {} \"GET /%d HTTP/1.1\"", key);
			lines_request(&l, line);
			rules_ops.see(part[i % 2], &l.parser.rec, &l.trace);
		}
		rules_ops.join(&s->watcher, part[backwards]);
		rules_ops.join(&s->watcher, part[!backwards]);
		results = (struct results){ 0 };
		ruleset_judge(s, &run, &results);
		seen = rest = 0;
		for (uint32_t i = 0; i < results.n; i++) {
			if (results.v[i].by.len == 0)
				continue;
			seen += results.v[i].seen;
			if (results.v[i].rest)
				rest = results.v[i].folded;
			for (size_t k = 0; !results.v[i].rest && k < results.v[i].group.len; k++)
				kept[backwards] = kept[backwards] * 31 + (unsigned char)results.v[i].group.p[k];
		}
		assert_int_equal(results.n, RULE_GROUPS_ALL + 2);	/* the rest, and haspan's own rule */
		assert_int_equal(seen, KEYS);
		if (RULE_GROUPS_ALL > 100)
			assert_in_range(rest, KEYS - RULE_GROUPS_ALL - KEYS / 5, KEYS - RULE_GROUPS_ALL + KEYS / 5);
		ruleset_free(s);
	}
	assert_true(kept[0] == kept[1]);
}

static void values_read_as_people_write_them(void **state)
{
	static const struct { enum unit unit; double value; const char *text; } cases[] = {
		{ UNIT_TIME, 231400, "231.4 ms" }, { UNIT_TIME, 12, "0.012 ms" }, { UNIT_TIME, 12345678, "12.346 s" },
		{ UNIT_SHARE, 0.0025, "0.25 %" }, { UNIT_REQUESTS, 1, "1 request" }, { UNIT_REQUESTS, 1234567, "1,234,567 requests" },
		{ UNIT_NUMBER, -1234.5, "-1,234.5" }, { UNIT_LINES, 0, "0 lines" }, { UNIT_SPANS, 999, "999 spans" },
	};
	struct buf out = { .max = 1000 };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		out.len = 0;
		result_value(&out, cases[i].unit, cases[i].value);
		buf_char(&out, '\0');
		assert_string_equal(out.p, cases[i].text);
	}
	buf_free(&out);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_documents_say_is_understood),
		cmocka_unit_test(a_mistake_has_its_line_and_column),
		cmocka_unit_test(verdicts_follow_from_the_lines),
		cmocka_unit_test(spans_are_counted_one_by_one),
		cmocka_unit_test(severities_say_what_fails),
		cmocka_unit_test(order_does_not_matter),
		cmocka_unit_test(the_worst_come_first),
		cmocka_unit_test(groups_beyond_the_bound_are_one),
		cmocka_unit_test(values_read_as_people_write_them),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
