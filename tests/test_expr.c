/*
 * Expressions: what they mean, what they refuse and how they say so; --keep and --drop; sampling and what it writes into
 * tracestate.
 */
#include "reconstruct/expr.h"
#include "reconstruct/sample.h"

#include "lines.h"

#include <time.h>

static struct lines l;
static struct expr_memo memo[64];

#define LINE "10.0.0.1:4000 [21/Nov/2026:08:15:44.900] fe~ api/s1 5/3/2/250/300 503 1234 - - SH-- 9/8/7/6/+2 4/3 " \
	     "{www.example.com|it's} {text/html} \"GET /api/orders?id=7&sig=x HTTP/1.1\""

static void read_line(const char *line)
{
	lines_init(&l);
	lines_map(&l, "var(txn.team)", "team.name");
	lines_captures(&l, CAPTURE_REQUEST, "host,x-note");
	lines_captures(&l, CAPTURE_RESPONSE, "content-type");
	l.rules.routes[l.rules.nroutes++] = SLICE("/api/{what}");
	lines_format(&l, "httplog");
	lines_format(&l, "%ci %tr %TR/%Tw/%Tc/%Tr/%Ta %ST %[var(txn.team)] %(shard:sint)[var(txn.shard)]");
	lines_start(&l, "UTC");
	lines_request(&l, line);
	memset(memo, 0, sizeof(memo));
}

static struct expr *compile(const char *text, struct err *err)
{
	struct expr_names names = { .format = l.formats.v, .nformats = l.formats.n };
	uint32_t nmemos = 0;
	struct expr *e = expr_compile(slice_str(text), &names, &nmemos, &l.arena, err);

	assert_true(nmemos <= COUNT(memo));
	return e;
}

static bool truth(const char *text)
{
	struct err err = { 0 };
	struct expr *e = compile(text, &err);

	if (!e)
		fail_msg("%s: column %u: %s", text, err.column, err.text);
	memset(memo, 0, sizeof(memo));
	return expr_true(e, &l.parser.rec, &l.trace, memo);
}

static void true_and_false(const char *const *yes, const char *const *no)
{
	for (; *yes; yes++)
		if (!truth(*yes))
			fail_msg("not true: %s", *yes);
	for (; *no; no++)
		if (truth(*no))
			fail_msg("true: %s", *no);
}

static void every_kind_of_value_can_be_asked_for(void **state)
{
	static const char *const yes[] = {
		"status == 503", "status >= 500", "ST=503", "http.response.status_code != 200", "method == \"GET\"",
		"path == '/api/orders'", "path ~ \"^/api/\"", "path !~ '^/web'", "path ~ 'orders$'", "path ~ '^/api/orders$'", "path ~ 'pi/or'", "path ~ ''",
		"path ~ '^/api/(orders|carts)$'", "path ~ '\\\\.|/'", "path ~ '(?i)ORDERS'", "route == '/api/{what}'", "frontend == 'fe'",
		"tls", "backend in ('web', 'api')", "server not in ('s2')", "haproxy.server.name == 's1'", "b == 'api'",
		"Tr == 250", "Tr == 250ms", "Tr == 0.25s", "Tr < 0.0001h", "Tr > 0.00006h", "Tr > 249999us", "Ta <= 0.3s", "duration == 300ms", "Tc < 1s",
		"retries == 2", "redispatched", "termination_state == 'SH--'", "tsc ~ '^S'", "failed == 'response'", "failed",
		"error", "client == '10.0.0.1'", "host == 'www.example.com'", "http.request.header.host ~ 'example'",
		"http.request.header.X-Note == \"it's\"", "http.response.header.content-type == 'text/html'", "B > 1000",
		"bytes == 1234", "bytes < 999999999999999", "query ~ 'id=7'", "version == '1.1'", "scheme == 'https'", "sq == 4",
		NULL };
	static const char *const no[] = {
		"status == 200", "method != 'GET'", "path !~ '^/api'", "path ~ '^api'", "path ~ '^/api/orders/$'", "path ~ 'order$'", "path ~ '^/api$'",
		"path ~ 'ORDERS'", "server == 's2'", "Tr > 250ms", "Tr == 0.2504s", "Tr > 0.0001h", "failed == 'connect'",
		"truncated", "http.request.header.host == 'WWW.EXAMPLE.COM'", "query ~ 'sig=x'", "backend not in ('api')", NULL };

	(void)state;
	read_line(LINE);
	true_and_false(yes, no);
	lines_free(&l);
}

static void what_is_absent_makes_every_test_false(void **state)
{
	static const char *const yes[] = { "not team.name", "not (team.name == 'a')", "not (shard > 1)", "not CC", NULL };
	static const char *const no[] = { "team.name", "team.name == 'a'", "team.name != 'a'", "team.name !~ 'a'",
					  "team.name not in ('a')", "shard != 5", "Td >= 0", "http.request.header.none != 'x'",
					  NULL };

	(void)state;
	read_line(LINE);
	true_and_false(yes, no);
	lines_free(&l);
}

static void fields_that_a_format_names_itself_are_known(void **state)
{
	static const char *const yes[] = { "team.name == 'red'", "`var(txn.team)` ~ '^r'", "shard == 12", "shard == '12'",
					   "shard > 11", "shard in (11, 12)", "Tc == 2", NULL };
	static const char *const no[] = { "team.name == 'blue'", "shard < 12", "backend", "Tw >= 0", NULL };

	(void)state;
	read_line("10.0.0.1 21/Nov/2026:08:15:44.900 5/-1/2/250/300 200 red 12");
	true_and_false(yes, no);
	lines_free(&l);
}

/* Members of lines whose format nobody knows: only in backquotes, so that a mistyped name is one. */
static void members_stand_in_backquotes(void **state)
{
	static const char *const yes[] = { "`tenant` == 'blue'", "status == 200", "not `other`", NULL }, *const no[] = { NULL };
	struct err err = { 0 };

	(void)state;
	lines_init(&l);
	assert_true(formats_add_auto(&l.formats, &l.naming, &err));
	lines_start(&l, "UTC");
	lines_request(&l, "{\"ci\":\"10.0.0.1\",\"tr\":\"21/Nov/2026:08:15:44.900\",\"Ta\":5,\"ST\":200,\"tenant\":\"blue\"}");
	true_and_false(yes, no);
	assert_null(compile("tenant == 'blue'", &err));
	err = (struct err){ 0 };
	assert_null(compile("stats >= 500", &err));
	assert_non_null(strstr(err.text, "did you mean status?"));
	lines_free(&l);
}

static void and_or_not_bind_as_everywhere(void **state)
{
	static const char *const yes[] = {
		"status == 503 or status == 1 and status == 2", "not status == 1", "not not status == 503",
		"(status == 503 or status == 1) and not status == 2", "not (status == 1 or status == 2)",
		"not (status == 503 and status == 2)", "status==503&&!(status==1||status==2)", "status == 1 or status == 2 or failed",
		"not status == 1 and not status == 2", NULL };
	static const char *const no[] = {
		"(status == 503 or status == 1) and status == 2", "not status == 503", "not (status == 1 or status == 503)",
		"status == 503 and not failed", "not failed or not tls", NULL };

	(void)state;
	read_line(LINE);
	true_and_false(yes, no);
	lines_free(&l);
}

/* All programs of up to four tests over three truths, against their meaning. */
static void random_expressions_mean_what_they_say(void **state)
{
	static const char *const atoms[] = { "status == 503", "status == 1", "failed", "not CC", "truncated" };
	static const bool truths[] = { true, false, true, true, false };

	(void)state;
	read_line(LINE);
	srand(11);
	for (int round = 0; round < 2000; round++) {
		char text[512] = "";
		bool all = false, row = true;
		size_t n = 0;

		/* a sum of products, with turned and doubled parentheses */
		for (int k = 0, terms = 1 + rand() % 5; k < terms; k++) {
			int a = rand() % 5, turn = rand() % 2;
			bool first = k == 0, and = rand() % 2, value = truths[a] != turn;

			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s((%s))", first ? "" : and ? " and " : " or ",
					      turn ? "not " : "", atoms[a]);
			if (!first && !and) {
				all |= row;
				row = true;
			}
			row &= value;
		}
		if (truth(text) != (all | row))
			fail_msg("%s", text);
	}
	lines_free(&l);
}

static void a_wrong_one_points_at_its_place(void **state)
{
	static const struct { const char *text; unsigned column; const char *says; } t[] = {
		{ "", 1, "expected a name" },
		{ "stats == 500", 1, "did you mean status?" },
		{ "backand == 'x'", 1, "did you mean backend?" },
		{ "http.respons.status_code == 1", 1, "did you mean http.response.status_code?" },
		{ "xyzzy_unheard_of == 1", 1, "no such name" },
		{ "status == ", 11, "expected a number" },
		{ "status == 'a'", 11, "this is a number" },
		{ "Ta > 'a'", 6, "this is a time" },
		{ "status > 5ms", 10, "this is no time" },
		{ "Ta > 5min", 6, "unknown unit" },
		{ "Ta > 5days", 6, "expected a number" },
		{ "status > 5.5", 10, "whole number" },
		{ "status == 200.0004", 11, "whole number" },
		{ "Ta > 0.5us", 6, "whole microseconds" },
		{ "Ta > 0.0000000001h", 6, "nine decimals" },
		{ "Ta > 99999999999999h", 6, "too long" },
		{ "backend == 5", 12, "this is a text" },
		{ "backend > 'a'", 11, "texts have no order" },
		{ "status ~ '5..'", 8, "this is no text" },
		{ "path ~ '^(/api'", 15, "parenthesis" },
		{ "path ~ /api/", 8, "put quotes around it" },
		{ "path == /foo", 9, "put quotes around it" },
		{ "backend == api", 12, "expected a string: put quotes around it" },
		{ "backend in (api)", 13, "expected a string: put quotes around it" },
		{ "path == \"/api", 9, "closing quote" },
		{ "(status == 1", 13, "')'" },
		{ "status == 1)", 12, "expected `and`, `or` or the end" },
		{ "status == 1 status == 2", 13, "expected `and`, `or` or the end" },
		{ "status in 5", 11, "expected '('" },
		{ "status in (1, 'a')", 15, "this is a number" },
		{ "status in (1 2)", 14, "expected ',' or ')'" },
		{ "status not 5", 12, "expected `in`" },
		{ "tls == 1", 5, "true or false" },
		{ "status == 99999999999999999999", 11, "999999999999999 at most" },
		{ "Ta < 1000000000000000us", 6, "too large" },
		{ "t > 5", 1, "no such name" },
		{ "status @ 5", 8, "expected a name, a number" },
	};

	(void)state;
	read_line(LINE);
	for (size_t i = 0; i < COUNT(t); i++) {
		struct err err = { 0 };

		if (compile(t[i].text, &err))
			fail_msg("accepted: %s", t[i].text);
		if (err.column != t[i].column || !strstr(err.text, t[i].says) || err.code != EXIT_USAGE)
			fail_msg("%s: column %u: %s", t[i].text, err.column, err.text);
	}
	lines_free(&l);
}

static void size_and_depth_are_bounded(void **state)
{
	static char text[200000];
	struct err err = { 0 };
	size_t n = 0;

	(void)state;
	read_line(LINE);
	for (int i = 0; i < EXPR_TESTS_MAX; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%sstatus == %d", i ? " or " : "", i + 1);
	assert_true(truth(text));
	snprintf(text + n, sizeof(text) - n, " or status == 1");
	assert_null(compile(text, &err));
	assert_non_null(strstr(err.text, "too many tests"));
	memset(text, '(', 5000);
	text[5000] = '\0';
	err = (struct err){ 0 };
	assert_null(compile(text, &err));
	assert_non_null(strstr(err.text, "too many parentheses"));
	lines_free(&l);
}

/* ---- --keep and --drop ----------------------------------------------------------------------------------- */

static enum verdict verdict_of(const char *sampler, const char *rules)
{
	struct expr_names names = { .format = l.formats.v, .nformats = l.formats.n };
	struct slice rest = slice_str(rules);
	struct err err = { 0 };
	enum verdict v;

	l.rules.nrules = l.rules.nmemos = 0;
	while (rest.len) {
		struct slice text = slice_cut(&rest, ';');
		struct rule *r = &l.rules.rule[l.rules.nrules++];

		r->keep = *text.p == '+';
		r->expr = expr_compile(slice_skip(text, 1), &names, &l.rules.nmemos, &l.arena, &err);
		assert_non_null(r->expr);
	}
	assert_true(sampler_parse(slice_str(sampler), slice_of("", 0), &l.rules.sampler, &err));
	rebuilder_free(&l.rebuilder);
	assert_true(rebuilder_init(&l.rebuilder, &l.rules, SLICE("UTC"), &err));
	v = rebuild(&l.rebuilder, &l.parser.rec, &l.frame, &l.trace);
	return v;
}

static void the_first_rule_that_is_true_decides(void **state)
{
	(void)state;
	read_line(LINE);
	assert_int_equal(verdict_of("always_off", ""), VERDICT_UNSAMPLED);
	assert_int_equal(verdict_of("always_off", "+status >= 500"), VERDICT_KEPT);
	assert_int_equal(l.trace.flags & 1, 1);
	assert_int_equal(l.rebuilder.decided, 0);
	assert_int_equal(verdict_of("always_off", "+status < 500"), VERDICT_UNSAMPLED);
	assert_int_equal(l.rebuilder.decided, RULE_NONE);
	assert_int_equal(verdict_of("always_on", "-path ~ '^/api'"), VERDICT_FILTERED);
	assert_int_equal(l.trace.flags & 1, 0);
	assert_int_equal(verdict_of("always_on", "+failed;-path ~ '^/api'"), VERDICT_KEPT);
	assert_int_equal(verdict_of("always_on", "-path ~ '^/api';+failed"), VERDICT_FILTERED);
	assert_int_equal(l.rebuilder.decided, 0);
	assert_int_equal(verdict_of("always_on", "-path ~ '^/b';+failed"), VERDICT_KEPT);
	assert_int_equal(l.rebuilder.decided, 1);
	lines_free(&l);
}

/* ---- thresholds ---------------------------------------------------------------------------------------- */

static struct sampler sampler(const char *name, const char *arg)
{
	struct sampler s;
	struct err err = { 0 };

	assert_true(sampler_parse(slice_str(name), slice_str(arg), &s, &err));
	return s;
}

/* The vectors of OpenTelemetry's specification ("Converting floating-point probability to threshold value"). */
static void thresholds_are_the_specifications(void **state)
{
	static const struct { const char *ratio, *th; } t[] = {
		{ "1", "0" }, { "0.75", "4" }, { "0.5", "8" }, { "0.3333333333333333", "aaab" }, { "0.25", "c" },
		{ "0.1", "e666" }, { "0.05", "f3333" }, { "0.01", "fd70a" }, { "0.001", "ffbe77" }, { "0.0001", "fff9724" },
		{ "0.000001", "ffffef39" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		struct sampler s = sampler("traceidratio", t[i].ratio);
		struct slice out = { "", 0 };
		char buf[64], want[32];

		assert_true(sample(&s, NULL, UINT64_MAX, buf, &out));	/* the most random of all is kept by every ratio */
		snprintf(want, sizeof(want), "ot=th:%s", t[i].th);
		if (out.len != strlen(want) || memcmp(out.p, want, out.len) != 0)
			fail_msg("%s: %.*s", t[i].ratio, (int)out.len, out.p);
	}
}

static void tracestate_says_what_was_sampled(void **state)
{
	static const struct {
		const char *sampler, *arg, *state;
		enum decision parent;
		uint64_t lo;
		bool kept;
		const char *after;	/* NULL: as it was */
	} t[] = {
		/* a root's threshold; randomness of the trace id, or of rv */
		{ "traceidratio", "0.5", "", DECISION_NONE, 0x80000000000000, true, "ot=th:8" },
		{ "traceidratio", "0.5", "", DECISION_NONE, 0xff7fffffffffffff, false, NULL },
		{ "traceidratio", "0.5", "ot=rv:80000000000000", DECISION_NONE, 0, true, "ot=th:8;rv:80000000000000" },
		{ "traceidratio", "0.5", "ot=rv:7fffffffffffff", DECISION_NONE, UINT64_MAX, false, NULL },
		/* others' members stay, behind ours */
		{ "traceidratio", "0.5", "a=1,ot=x:y,b=2", DECISION_NONE, UINT64_MAX, true, "ot=th:8;x:y,a=1,b=2" },
		/* who kept less before: stays */
		{ "traceidratio", "0.5", "ot=th:c", DECISION_KEEP, UINT64_MAX, true, NULL },
		{ "traceidratio", "0.25", "ot=th:8", DECISION_KEEP, UINT64_MAX, true, "ot=th:c" },
		{ "traceidratio", "0.25", "ot=th:8", DECISION_KEEP, 0x90000000000000, false, NULL },
		/* parent-based: the caller's word, and its threshold unless it contradicts */
		{ "parentbased_traceidratio", "0.1", "ot=th:8", DECISION_KEEP, 0x90000000000000, true, NULL },
		{ "parentbased_traceidratio", "0.1", "ot=th:8;rv:11111111111111", DECISION_KEEP, UINT64_MAX, true,
		  "ot=rv:11111111111111" },
		{ "parentbased_traceidratio", "0.1", "ot=th:8,a=1", DECISION_KEEP, 0, true, "a=1" },
		{ "parentbased_always_on", "", "ot=th:8", DECISION_KEEP, 0, true, "" },
		{ "parentbased_always_on", "", "ot=th:8", DECISION_DROP, 0, false, NULL },
		{ "parentbased_always_on", "", "a=1", DECISION_KEEP, 0, true, NULL },
		{ "always_on", "", "ot=th:8", DECISION_DROP, 0x90000000000000, true, NULL },
		/* nonsense is no threshold */
		{ "traceidratio", "0.5", "ot=th:xyz", DECISION_NONE, UINT64_MAX, true, "ot=th:8" },
		{ "traceidratio", "0.5", "ot=th:123456789abcdef0", DECISION_NONE, UINT64_MAX, true, "ot=th:8" },
		{ "traceidratio", "0.5", "ot=rv:8", DECISION_NONE, UINT64_MAX, true, "ot=th:8;rv:8" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		struct sampler s = sampler(t[i].sampler, t[i].arg);
		struct context parent = { .decision = t[i].parent };
		struct slice out = slice_str(t[i].state), want = slice_str(t[i].after ? t[i].after : t[i].state);
		char buf[512];

		if (sample(&s, t[i].parent == DECISION_NONE ? NULL : &parent, t[i].lo, buf, &out) != t[i].kept)
			fail_msg("row %zu: kept", i);
		if (t[i].kept && !slice_eq(out, want))
			fail_msg("row %zu: %.*s", i, (int)out.len, out.p);
	}
}

static void a_full_tracestate_stays_within_its_bounds(void **state)
{
	static char text[LINE_MAX_BYTES], buf[LINE_MAX_BYTES + SAMPLE_STATE_GROWS];
	struct sampler s = sampler("traceidratio", "0.5");
	struct slice out;
	size_t n = 0;
	int members = 1;

	(void)state;
	for (int i = 0; i < TRACESTATE_MEMBERS; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%sm%d=%0256d", i ? "," : "", i, i);
	out = slice_of(text, n);
	assert_true(sample(&s, NULL, UINT64_MAX, buf, &out));
	for (size_t i = 0; i < out.len; i++)
		members += out.p[i] == ',';
	assert_int_equal(members, TRACESTATE_MEMBERS);
	/* a value of its own that would grow beyond what is allowed */
	n = (size_t)snprintf(text, sizeof(text), "ot=a:%0250d", 7);
	out = slice_of(text, n);
	assert_true(sample(&s, NULL, UINT64_MAX, buf, &out));
	assert_true(slice_eq(out, SLICE("ot=th:8")));
}

static bool as_said(const char *op, int64_t a, int64_t b)
{
	return strcmp(op, "==") == 0 ? a == b : strcmp(op, "!=") == 0 ? a != b : strcmp(op, "<") == 0 ? a < b :
	       strcmp(op, "<=") == 0 ? a <= b : strcmp(op, ">") == 0 ? a > b : a >= b;
}

/* A comparison is a range in the field's units: against its meaning, at and beside every bound. */
static void ranges_are_what_the_operators_say(void **state)
{
	static const char *const ops[] = { "==", "!=", "<", "<=", ">", ">=" };
	static const int64_t us[] = { -1000001, -1000, -999, -1, 0, 1, 999, 1000, 1001, 299999, 300000, 300001, 9000000000 };
	static const int64_t whole[] = { -2, -1, 0, 1, 502, 503, 504, 999999999999 };
	char text[64];

	(void)state;
	read_line(LINE);
	for (size_t o = 0; o < COUNT(ops); o++) {
		for (size_t i = 0; i < COUNT(us); i++) {
			snprintf(text, sizeof(text), "Ta %s %lldus", ops[o], (long long)us[i]);
			if (truth(text) != as_said(ops[o], 300000, us[i]))
				fail_msg("%s", text);
		}
		for (size_t i = 0; i < COUNT(whole); i++) {
			snprintf(text, sizeof(text), "status %s %lld", ops[o], (long long)whole[i]);
			if (truth(text) != as_said(ops[o], 503, whole[i]))
				fail_msg("%s", text);
		}
	}
	lines_free(&l);
	/* -1 is no time, whatever it is compared with */
	read_line("10.0.0.1:4000 [21/Nov/2026:08:15:44.900] fe fe/<NOSRV> 5/-1/-1/-1/5 400 1 - - PR-- 9/8/7/6/0 0/0 \"GET / HTTP/1.1\"");
	for (size_t o = 0; o < COUNT(ops); o++) {
		snprintf(text, sizeof(text), "Tw %s -1 or Tw %s 0 or Tw", ops[o], ops[o]);
		assert_false(truth(text));
	}
	lines_free(&l);
}

/* Texts are told apart by their first eight bytes: shorter ones, longer ones, and those that differ behind. */
static void texts_are_compared_to_their_end(void **state)
{
	static const char *const paths[] = { "/", "/a", "/abcdef", "/abcdefg", "/abcdefgh", "/abcdefghi", "/abcdefgx",
					     "/abcdefghijklmnop", "/xbcdefg", "/abcdefghijklmnox" };
	char line[256], text[64];

	(void)state;
	for (size_t i = 0; i < COUNT(paths); i++) {
		snprintf(line, sizeof(line), "10.0.0.1:4000 [21/Nov/2026:08:15:44.900] fe be/s1 5/3/2/250/300 200 1 - - ---- "
			 "9/8/7/6/0 4/3 {a|b} {c} \"GET %s HTTP/1.1\"", paths[i]);
		read_line(line);
		for (size_t k = 0; k < COUNT(paths); k++) {
			bool same = i == k, begins = strncmp(paths[i], paths[k], strlen(paths[k])) == 0;

			snprintf(text, sizeof(text), "path == '%s'", paths[k]);
			assert_int_equal(truth(text), same);
			snprintf(text, sizeof(text), "path != '%s'", paths[k]);
			assert_int_equal(truth(text), !same);
			snprintf(text, sizeof(text), "path ~ '^%s'", paths[k]);
			assert_int_equal(truth(text), begins);
			snprintf(text, sizeof(text), "path !~ '^%s'", paths[k]);
			assert_int_equal(truth(text), !begins);
			snprintf(text, sizeof(text), "path ~ '^%s$'", paths[k]);
			assert_int_equal(truth(text), same);
			snprintf(text, sizeof(text), "path !~ '^%s$'", paths[k]);
			assert_int_equal(truth(text), !same);
		}
		lines_free(&l);
	}
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Not a test of speed: it prints what three usual rules cost, as the least of many short runs: others may be at work. */
static void three_rules_cost(void **state)
{
	struct err err = { 0 };
	const struct expr *e[3];
	volatile bool any = false;
	double least = 1e9;

	(void)state;
	read_line(LINE);
	e[0] = compile("status >= 500 and backend == 'web'", &err);
	e[1] = compile("Ta > 500ms", &err);
	e[2] = compile("path ~ '^/healthz'", &err);
	for (int round = 0; round < 200; round++) {
		double from = now_ns(), took;

		for (int i = 0; i < 10000; i++)
			for (int k = 0; k < 3; k++)
				any |= expr_true(e[k], &l.parser.rec, &l.trace, memo);
		took = (now_ns() - from) / 10000;
		least = took < least ? took : least;
	}
	print_message("three rules: %.1f ns a line\n", least);
	assert_false(any);
	lines_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_value_can_be_asked_for),
		cmocka_unit_test(what_is_absent_makes_every_test_false),
		cmocka_unit_test(fields_that_a_format_names_itself_are_known),
		cmocka_unit_test(members_stand_in_backquotes),
		cmocka_unit_test(and_or_not_bind_as_everywhere),
		cmocka_unit_test(random_expressions_mean_what_they_say),
		cmocka_unit_test(a_wrong_one_points_at_its_place),
		cmocka_unit_test(size_and_depth_are_bounded),
		cmocka_unit_test(the_first_rule_that_is_true_decides),
		cmocka_unit_test(thresholds_are_the_specifications),
		cmocka_unit_test(tracestate_says_what_was_sampled),
		cmocka_unit_test(a_full_tracestate_stays_within_its_bounds),
		cmocka_unit_test(ranges_are_what_the_operators_say),
		cmocka_unit_test(texts_are_compared_to_their_end),
		cmocka_unit_test(three_rules_cost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
