/*
 * Trace context in its five spellings. The W3C rows are those of the specification's own harness
 * (w3c/trace-context, test/test.py and test/tracecontext/), as far as a header's value can show
 * them; the number in front is the harness's case.
 */
#include "core/hex.h"
#include "lines.h"
#include "reconstruct/context.h"

#define T "12345678901234567890123456789012"
#define P "1234567890123456"
#define Z16 "0000000000000000"
#define Z32 Z16 Z16

/* ---- traceparent ----------------------------------------------------------------------------- */

static void traceparent_follows_the_w3c_harness(void **state)
{
	static const struct {
		int row;
		const char *value;
		bool accept;
		uint8_t flags;
	} t[] = {
		{ 1, "", false, 0 },
		{ 2, "00-" T "-" P "-01", true, 1 },
		/* 3: two headers, joined as HTTP joins them (RFC 9110 section 5.3) */
		{ 3, "00-" T "-" P "-01,00-" T "-" P "-01", false, 0 },
		{ 3, "00-" T "-" P "-01, 00-" T "-" P "-01", false, 0 },
		{ 6, "00-" T "-" P "-01.", false, 0 },
		{ 6, "00-" T "-" P "-01-what-the-future-will-be-like", false, 0 },
		{ 7, "cc-" T "-" P "-01", true, 1 },
		{ 7, "cc-" T "-" P "-01-what-the-future-will-be-like", true, 1 },
		{ 7, "cc-" T "-" P "-01-", true, 1 },
		{ 8, "cc-" T "-" P "-01.what-the-future-will-be-like", false, 0 },
		{ 9, "ff-" T "-" P "-01", false, 0 },
		{ 10, ".0-" T "-" P "-01", false, 0 },
		{ 10, "0.-" T "-" P "-01", false, 0 },
		{ 10, "000-" T "-" P "-01", false, 0 },
		{ 10, "0000-" T "-" P "-01", false, 0 },
		{ 10, "0-" T "-" P "-01", false, 0 },
		{ 11, "00-" Z32 "-" P "-01", false, 0 },
		{ 12, "00-.2345678901234567890123456789012-" P "-01", false, 0 },
		{ 12, "00-1234567890123456789012345678901.-" P "-01", false, 0 },
		{ 13, "00-" T "3-" P "-01", false, 0 },
		{ 13, "00-1234567890123456789012345678901-" P "-01", false, 0 },
		{ 14, "00-" T "-" Z16 "-01", false, 0 },
		{ 15, "00-" T "-.234567890123456-01", false, 0 },
		{ 15, "00-" T "-123456789012345.-01", false, 0 },
		{ 15, "00-" T "-" P "7-01", false, 0 },
		{ 15, "00-" T "-123456789012345-01", false, 0 },
		{ 16, "00-" T "-" P "-.0", false, 0 },
		{ 16, "00-" T "-" P "-0.", false, 0 },
		{ 16, "00-" T "-" P "-001", false, 0 },
		{ 16, "00-" T "-" P "-1", false, 0 },
		{ 17, " 00-" T "-" P "-01", true, 1 },
		{ 17, "\t00-" T "-" P "-01", true, 1 },
		{ 17, "00-" T "-" P "-01 ", true, 1 },
		{ 17, "00-" T "-" P "-01\t", true, 1 },
		{ 17, "\t 00-" T "-" P "-01 \t", true, 1 },
		{ 18, "00-" T "-" P "-02", true, 2 },
		/* level 2, section 2.2.2: lower case only, every separator a '-' */
		{ 0, "00-" T "-" P "-03", true, 3 },
		{ 0, "00-ABCDEF7890123456789012345678901A-" P "-01", false, 0 },
		{ 0, "00-" T "-ABCDEF789012345A-01", false, 0 },
		{ 0, "00-" T "-" P "-0A", false, 0 },
		{ 0, "CC-" T "-" P "-01", false, 0 },
		{ 0, "00_" T "-" P "-01", false, 0 },
		{ 0, "00-" T "_" P "-01", false, 0 },
		{ 0, "00-" T "-" P "_01", false, 0 },
		{ 0, "00-" T "-" P "-", false, 0 },
		{ 0, "cc-" T "-" P "-0", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		struct context c = { .hi = 1, .lo = 2, .parent = 3, .flags = 0xee };
		bool got = context_traceparent(slice_str(t[i].value), &c);

		if (got != t[i].accept)
			fail_msg("row %d: %s", t[i].row, t[i].value);
		if (got) {
			assert_int_equal(c.hi, UINT64_C(0x1234567890123456));
			assert_int_equal(c.lo, UINT64_C(0x7890123456789012));
			assert_int_equal(c.parent, UINT64_C(0x1234567890123456));
			assert_int_equal(c.flags, t[i].flags);
			assert_int_equal(c.decision,
					 t[i].flags & 1 ? DECISION_KEEP : DECISION_DROP);
		} else {
			assert_true(c.hi == 1 && c.lo == 2 && c.parent == 3 && c.flags == 0xee);
		}
	}
}

/* Row 20: the harness's unit tests. */
static void every_version_but_ff_and_every_flag_is_read(void **state)
{
	char text[64];
	struct context c;

	(void)state;
	for (unsigned v = 0; v < 256; v++) {
		snprintf(text, sizeof(text), "%02x-" T "-" P "-01", v);
		assert_int_equal(context_traceparent(slice_str(text), &c), v != 255);
		snprintf(text, sizeof(text), "%02x-" T "-" P "-01-x", v);
		assert_int_equal(context_traceparent(slice_str(text), &c), v != 255 && v != 0);
	}
	for (unsigned f = 0; f < 256; f++) {
		snprintf(text, sizeof(text), "00-" T "-" P "-%02x", f);
		assert_true(context_traceparent(slice_str(text), &c));
		assert_int_equal(c.flags, f & 3);
		assert_int_equal(c.decision, f & 1 ? DECISION_KEEP : DECISION_DROP);
	}
	assert_false(context_traceparent(slice_str("00-" T "-" P "-100"), &c));
	assert_false(context_traceparent(slice_str("100-" T "-" P "-01"), &c));
	assert_false(context_traceparent(slice_str("-1-" T "-" P "-01"), &c));
}

/* A value that ends where the buffer does: nothing is read behind it. */
static void a_short_traceparent_is_never_read_beyond_its_end(void **state)
{
	static const char whole[] = "cc-" T "-" P "-01-future";
	struct context c;

	(void)state;
	for (size_t n = 0; n < sizeof(whole); n++) {
		char *exact = malloc(n + 1);

		assert_non_null(exact);
		memcpy(exact + 1, whole, n); /* not aligned either */
		assert_int_equal(context_traceparent(slice_of(exact + 1, n), &c),
				 n == 55 || (n > 55 && n < sizeof(whole)));
		free(exact);
	}
}

/* ---- tracestate ------------------------------------------------------------------------------ */

#define Z256                                                                                       \
	"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz" \
	"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz" \
	"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"
#define T240                                                                                       \
	"tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt"         \
	"tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt"         \
	"tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt"
#define KEYS "abcdefghijklmnopqrstuvwxyz0123456789_-*/"
#define VALUES                                                                                     \
	" !\"#$%&'()*+-./"                                                                         \
	"0123456789:;<>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"

static void tracestate_follows_the_w3c_harness(void **state)
{
	static const struct {
		int row;
		const char *value, *kept; /* NULL: discarded */
	} t[] = {
		{ 22, "foo=1,bar=2", "foo=1,bar=2" },
		{ 25, "", "" },
		{ 25, " \t ", "" },
		{ 25, "foo=1,", "foo=1" },
		{ 25, ",foo=1", "foo=1" },
		{ 25, "foo=1, ,\t,bar=2", "foo=1,bar=2" },
		{ 26, "foo=1,bar=2,rojo=1,congo=2,baz=3", "foo=1,bar=2,rojo=1,congo=2,baz=3" },
		{ 27, "foo=1,foo=1", "foo=1,foo=1" },
		{ 27, "foo=1,foo=2", "foo=1,foo=2" },
		{ 28, KEYS "=" VALUES, KEYS "=" VALUES },
		{ 28, KEYS "@a-z0-9_-*/=" VALUES, KEYS "@a-z0-9_-*/=" VALUES },
		{ 29, "foo=1 \t , \t bar=2, \t baz=3", "foo=1,bar=2,baz=3" },
		{ 29, "foo=1\t \t,\t \tbar=2,\t \tbaz=3", "foo=1,bar=2,baz=3" },
		{ 29, " foo=1", "foo=1" },
		{ 29, "\tfoo=1", "foo=1" },
		{ 29, "foo=1 ", "foo=1" },
		{ 29, "foo=1\t", "foo=1" },
		{ 29, "\t foo=1 \t", "foo=1" },
		{ 30, "foo =1", NULL },
		{ 30, "FOO=1", NULL },
		{ 30, "foo.bar=1", NULL },
		{ 30, "bar=2,foo.bar=1", NULL },
		{ 31, "foo@=1,bar=2", "foo@=1,bar=2" },
		{ 31, "foo@@bar=1,bar=2", "foo@@bar=1,bar=2" },
		{ 31, "foo@bar@baz=1,bar=2", "foo@bar@baz=1,bar=2" },
		{ 32, "@foo=1,bar=2", NULL },
		{ 34, "foo=1," Z256 "=1", "foo=1," Z256 "=1" },
		{ 34, "foo=1," Z256 "z=1", NULL },
		{ 35, "foo=1," T240 "t@vvvvvvvvvvvvvv=1", "foo=1," T240 "t@vvvvvvvvvvvvvv=1" },
		{ 35, "foo=1," T240 "t@vvvvvvvvvvvvvvv=1", NULL },
		{ 35, "foo=1," T240 "tt@v=1", "foo=1," T240 "tt@v=1" },
		{ 35, "foo=1,t@vvvvvvvvvvvvvvv=1", "foo=1,t@vvvvvvvvvvvvvvv=1" },
		{ 36, "foo=bar=baz", NULL },
		{ 36, "foo=,bar=3", NULL },
		{ 36, "foo= ,bar=3", NULL },
		{ 37, "foo=" Z256, "foo=" Z256 },
		{ 37, "foo=" Z256 "z", NULL },
		/* The harness's class calls more than 512 bytes invalid; the specification asks to
		 * carry at least 512, so more is kept. */
		{ 37, "foo=" Z256 ",bar=" Z256, "foo=" Z256 ",bar=" Z256 },
		/* section 3.3.1.3: blanks in front belong to the value, and may stand inside */
		{ 0, "foo=  a b", "foo=  a b" },
		{ 0, "foo", NULL },
		{ 0, "=1", NULL },
		{ 0, "foo=1;bar", "foo=1;bar" },
		{ 0, "foo=\x7f", NULL },
		{ 0, "foo=a\tb", NULL },
		{ 0, "foo=\xc3\xa9", NULL },
		{ 0, "_foo=1", NULL },
		{ 0, "0foo=1", "0foo=1" },
	};
	char scratch[2048];

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		struct slice out = SLICE("untouched"), in = slice_str(t[i].value);
		bool got = context_tracestate(in, scratch, &out);

		assert_true(in.len <= sizeof(scratch));
		if (got != (t[i].kept != NULL))
			fail_msg("row %d: %s", t[i].row, t[i].value);
		assert_text(out, got ? t[i].kept : "untouched");
	}
}

/* Row 33. */
static void tracestate_holds_32_members_and_not_one_more(void **state)
{
	char value[512] = "", scratch[512];
	struct slice out;
	size_t n = 0;

	(void)state;
	for (int i = 1; i <= 33; i++) {
		bool fits = i <= 32;

		n += (size_t)snprintf(value + n, sizeof(value) - n, "%sbar%02d=%02d",
				      i > 1 ? "," : "", i, i);
		assert_int_equal(context_tracestate(slice_str(value), scratch, &out), fits);
		if (fits)
			assert_text(out, value);
	}
}

/* ---- the same in a log line ------------------------------------------------------------------ */

#define HEAD                                                                                       \
	"192.0.2.1:4000 [21/Nov/2026:08:15:44.900] fe be/app 0/0/1/20/22 200 68 - - ---- "         \
	"1/1/0/0/0 0/0"
#define TAIL " \"GET / HTTP/1.1\""

static const struct span *rebuilt(struct lines *l, const char *names, const char *captures)
{
	char line[4096];

	lines_init(l);
	if (names)
		lines_captures(l, CAPTURE_REQUEST, names);
	lines_format(l, "httplog");
	lines_start(l, "UTC");
	snprintf(line, sizeof(line), HEAD "%s%s" TAIL, *captures ? " " : "", captures);
	lines_request(l, line);
	return &l->trace.span[0];
}

static bool continued(const struct lines *l)
{
	return l->trace.id_hi == UINT64_C(0x1234567890123456) &&
	       l->trace.id_lo == UINT64_C(0x7890123456789012);
}

/* Rows 4 and 5. */
static void a_header_counts_by_its_name_whatever_the_case(void **state)
{
	static const struct {
		const char *name;
		bool accept;
	} t[] = {
		{ "traceparent", true },    { "TraceParent", true },   { "TrAcEpArEnT", true },
		{ "TRACEPARENT", true },    { "trace-parent", false }, { "trace.parent", false },
		{ "x-traceparent", false },
	};
	struct lines l;

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		const struct span *s = rebuilt(&l, t[i].name, "{00-" T "-" P "-01}");

		assert_int_equal(continued(&l), t[i].accept);
		assert_int_equal(s->parent, t[i].accept ? UINT64_C(0x1234567890123456) : 0);
		assert_int_equal(s->parent_remote, t[i].accept);
		assert_true(s->id != UINT64_C(0x1234567890123456) && s->id != 0);
		assert_int_equal(l.rebuilder.invalid_contexts, 0);
		lines_free(&l);
	}
}

/* Rows 21, 23 and 24. */
static void tracestate_needs_its_name_and_a_traceparent(void **state)
{
	static const struct {
		const char *names, *captures, *kept;
	} t[] = {
		{ "traceparent,tracestate", "{|foo=1}", "" },
		{ "traceparent,tracestate", "{|foo=1,bar=2}", "" },
		{ "traceparent,tracestate", "{00-" T "-" P "-00x|foo=1}", "" },
		{ "traceparent,tracestate", "{00-" T "-" P "-01|foo=1,bar=2}", "foo=1,bar=2" },
		{ "traceparent,trace-state", "{00-" T "-" P "-01|foo=1}", "" },
		{ "traceparent,trace.state", "{00-" T "-" P "-01|foo=1}", "" },
		{ "traceparent,TraceState", "{00-" T "-" P "-01|foo=1}", "foo=1" },
		{ "traceparent,TrAcEsTaTe", "{00-" T "-" P "-01|foo=1}", "foo=1" },
		{ "tracestate,TRACEPARENT", "{foo=1|00-" T "-" P "-01}", "foo=1" },
		{ "traceparent,TRACESTATE", "{00-" T "-" P "-01|foo=1}", "foo=1" },
		/* what tracestate is must not touch traceparent */
		{ "traceparent,tracestate", "{00-" T "-" P "-01|foo=}", "" },
		/* HAProxy writes ", #, {, | and } as #XX in captures: all values of row 28 */
		{ "traceparent,tracestate",
		  "{00-" T "-" P "-01|k= !#22#23$%&'()*+-./09:;<>?@AZ[\\]^_`az#7B#7C#7D~}",
		  "k= !\"#$%&'()*+-./09:;<>?@AZ[\\]^_`az{|}~" },
	};
	struct lines l;

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		rebuilt(&l, t[i].names, t[i].captures);
		assert_text(l.trace.state, t[i].kept);
		assert_int_equal(continued(&l), strstr(t[i].captures, P "-01") != NULL);
		lines_free(&l);
	}
}

/* Rows 2 and 19: SERVER never takes its parent's id, and no two requests share one. */
static void requests_of_one_parent_share_its_trace_and_no_span_id(void **state)
{
	uint64_t ids[3];
	struct lines l;

	(void)state;
	lines_init(&l);
	lines_captures(&l, CAPTURE_REQUEST, "traceparent");
	lines_format(&l, "httplog");
	lines_start(&l, "UTC");
	for (int i = 0; i < 3; i++) {
		char line[512];

		snprintf(line, sizeof(line),
			 "192.0.2.1:400%d [21/Nov/2026:08:15:44.900] fe be/app 0/0/1/20/22 200 68 "
			 "- - ---- "
			 "1/1/0/0/0 0/0 {00-" T "-" P "-01}" TAIL,
			 i);
		lines_request(&l, line);
		assert_true(continued(&l));
		ids[i] = l.trace.span[0].id;
		assert_true(ids[i] != UINT64_C(0x1234567890123456));
		for (int k = 0; k < i; k++)
			assert_true(ids[i] != ids[k]);
	}
	lines_free(&l);
}

static void flags_are_carried_bit_by_bit(void **state)
{
	static const struct {
		const char *captures;
		bool sampled;
		uint8_t flags;
	} t[] = {
		{ "{00-" T "-" P "-01}", true, 1 },
		{ "{00-" T "-" P "-03}", true, 3 },
		{ "{00-" T "-" P "-00}", false, 0 },
		{ "{00-" T "-" P "-02}", false, 0 },
		{ "{cc-" T "-" P "-ff-more}", true, 3 },
		{ "{00-" T "-" P "-fd}", true, 1 },
		{ "{}", true, 1 },
	};
	struct lines l;

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		rebuilt(&l, "traceparent", t[i].captures);
		assert_int_equal(l.sampled, t[i].sampled);
		assert_int_equal(l.trace.flags, t[i].flags);
		lines_free(&l);
	}
}

static void among_captures_without_names_only_a_valid_traceparent_is_taken(void **state)
{
	static const struct {
		const char *captures;
		bool accept;
	} t[] = {
		{ "{00-" T "-" P "-01}", true },
		{ "{example.org|00-" T "-" P "-01|curl} {3}", true },
		{ "{example.org|ff-" T "-" P "-01|curl} {3}", false },
		{ "{example.org} {00-" T "-" P "-01}", false }, /* a server's answer is no parent */
		{ "{" T "-" P "-1}", false },			/* B3 has no shape of its own */
		{ "{" T ":" P ":0:1}", false },
		{ "", false },
	};
	struct lines l;

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		rebuilt(&l, NULL, t[i].captures);
		assert_int_equal(continued(&l), t[i].accept);
		assert_int_equal(l.rebuilder.invalid_contexts, 0);
		lines_free(&l);
	}
}

/* ---- B3 -------------------------------------------------------------------------------------- */

static void b3_single_has_four_forms(void **state)
{
	static const struct {
		const char *value;
		bool accept, wide;
		enum decision decision;
	} t[] = {
		{ T "-" P, true, true, DECISION_NONE },
		{ T "-" P "-1", true, true, DECISION_KEEP },
		{ T "-" P "-0", true, true, DECISION_DROP },
		{ T "-" P "-d", true, true, DECISION_KEEP },
		{ T "-" P "-1-05e3ac9a4f6e3b90", true, true, DECISION_KEEP },
		{ "7890123456789012-" P "-1", true, false, DECISION_KEEP },
		{ "7890123456789012-" P, true, false, DECISION_NONE },
		{ " " T "-" P "-1\t", true, true, DECISION_KEEP },
		/* a decision alone names no parent */
		{ "0", false, false, 0 },
		{ "1", false, false, 0 },
		{ "d", false, false, 0 },
		{ "", false, false, 0 },
		{ T, false, false, 0 },
		{ T "-", false, false, 0 },
		{ Z32 "-" P "-1", false, false, 0 },
		{ Z16 "-" P "-1", false, false, 0 },
		{ T "-" Z16 "-1", false, false, 0 },
		{ T "-" P "-2", false, false, 0 },
		{ T "-" P "-", false, false, 0 },
		{ T "-" P "-11", false, false, 0 },
		{ T "-" P "-true", false, false, 0 },
		{ T "-" P "-1-", false, false, 0 },
		{ T "-" P "-1-05e3ac9a4f6e3b9", false, false, 0 },
		{ T "-" P "-1-05e3ac9a4f6e3b9x", false, false, 0 },
		{ T "-" P "-1-05e3ac9a4f6e3b90-1", false, false, 0 },
		{ "2345678901234567890123456789012-" P "-1", false, false, 0 },
		{ T "-234567890123456-1", false, false, 0 },
		{ "ABCDEF78901234567890123456789012-" P "-1", false, false, 0 },
		{ T "-ABCDEF7890123456-1", false, false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		struct context c = { .hi = 7 };

		if (context_b3(slice_str(t[i].value), &c) != t[i].accept)
			fail_msg("%s", t[i].value);
		if (!t[i].accept) {
			assert_true(c.hi == 7 && c.lo == 0);
			continue;
		}
		assert_int_equal(c.hi, t[i].wide ? UINT64_C(0x1234567890123456) : 0);
		assert_int_equal(c.lo, UINT64_C(0x7890123456789012));
		assert_int_equal(c.parent, UINT64_C(0x1234567890123456));
		assert_int_equal(c.decision, t[i].decision);
		assert_int_equal(c.flags, t[i].decision == DECISION_KEEP);
	}
}

static void b3_multi_reads_its_decision_from_two_headers(void **state)
{
	static const struct {
		const char *trace, *span, *sampled, *flags;
		bool accept;
		enum decision decision;
	} t[] = {
		{ T, P, "", "", true, DECISION_NONE },
		{ T, P, "1", "", true, DECISION_KEEP },
		{ T, P, "0", "", true, DECISION_DROP },
		{ T, P, "true", "", true, DECISION_KEEP },
		{ T, P, "True", "", true, DECISION_KEEP },
		{ T, P, "false", "", true, DECISION_DROP },
		{ T, P, "FALSE", "", true, DECISION_DROP },
		{ T, P, "", "1", true, DECISION_KEEP },
		{ T, P, "0", "1", true, DECISION_KEEP }, /* debug implies sampled */
		{ T, P, "1", "0", true, DECISION_KEEP },
		{ T, P, "d", "", true, DECISION_NONE },
		{ T, P, "yes", "2", true, DECISION_NONE },
		{ " " T "\t", " " P " ", " 1 ", "", true, DECISION_KEEP },
		{ "7890123456789012", P, "1", "", true, DECISION_KEEP },
		{ T, "", "1", "", false, 0 },
		{ "", P, "1", "", false, 0 },
		{ Z32, P, "1", "", false, 0 },
		{ T, Z16, "1", "", false, 0 },
		{ T "0", P, "1", "", false, 0 },
		{ T, P "0", "1", "", false, 0 },
		{ "x" T, P, "1", "", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		struct context c = { .hi = 7 };

		if (context_b3_multi(slice_str(t[i].trace), slice_str(t[i].span),
				     slice_str(t[i].sampled), slice_str(t[i].flags),
				     &c) != t[i].accept)
			fail_msg("%s %s %s %s", t[i].trace, t[i].span, t[i].sampled, t[i].flags);
		if (!t[i].accept) {
			assert_true(c.hi == 7 && c.lo == 0);
			continue;
		}
		assert_int_equal(c.hi, t[i].trace[0] == '7' ? 0 : UINT64_C(0x1234567890123456));
		assert_int_equal(c.lo, UINT64_C(0x7890123456789012));
		assert_int_equal(c.parent, UINT64_C(0x1234567890123456));
		assert_int_equal(c.decision, t[i].decision);
	}
}

/* ---- Jaeger and X-Ray ------------------------------------------------------------------------ */

static void jaeger_ids_are_of_any_length_and_may_be_url_encoded(void **state)
{
	static const struct {
		const char *value;
		bool accept;
		uint64_t hi, lo, parent;
		enum decision decision;
	} t[] = {
		{ T ":" P ":0:1", true, 0x1234567890123456, 0x7890123456789012, 0x1234567890123456,
		  DECISION_KEEP },
		{ T "%3A" P "%3A0%3A1", true, 0x1234567890123456, 0x7890123456789012,
		  0x1234567890123456, DECISION_KEEP },
		{ T "%3a" P "%3a0%3a0", true, 0x1234567890123456, 0x7890123456789012,
		  0x1234567890123456, DECISION_DROP },
		{ T ":" P ":7c1d7a2b3c4d5e6f:3", true, 0x1234567890123456, 0x7890123456789012,
		  0x1234567890123456, DECISION_KEEP },
		{ "abc:def:0:1", true, 0, 0xabc, 0xdef, DECISION_KEEP },
		{ "ABC:DEF:0:01", true, 0, 0xabc, 0xdef, DECISION_KEEP },
		{ "1:2::0", true, 0, 1, 2, DECISION_DROP },
		{ "123456789abcdef01:2:0:0", true, 1, 0x23456789abcdef01, 2, DECISION_DROP },
		{ " 1:2:0:1 ", true, 0, 1, 2, DECISION_KEEP },
		{ "0:2:0:1", false, 0, 0, 0, 0 },
		{ "1:0:0:1", false, 0, 0, 0, 0 },
		{ "1:2:0", false, 0, 0, 0, 0 },
		{ "1:2:0:", false, 0, 0, 0, 0 },
		{ "1:2:0:1:9", false, 0, 0, 0, 0 },
		{ ":2:0:1", false, 0, 0, 0, 0 },
		{ "1::0:1", false, 0, 0, 0, 0 },
		{ "1:2:x:1", false, 0, 0, 0, 0 },
		{ "1:2:0:x", false, 0, 0, 0, 0 },
		{ "1:2:0:100", false, 0, 0, 0, 0 },
		{ T "1:2:0:1", false, 0, 0, 0, 0 },
		{ "1:" P "7:0:1", false, 0, 0, 0, 0 },
		{ "1%3", false, 0, 0, 0, 0 },
		{ "", false, 0, 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		struct context c = { .hi = 7 };

		if (context_jaeger(slice_str(t[i].value), &c) != t[i].accept)
			fail_msg("%s", t[i].value);
		if (!t[i].accept) {
			assert_true(c.hi == 7 && c.lo == 0);
			continue;
		}
		assert_int_equal(c.hi, t[i].hi);
		assert_int_equal(c.lo, t[i].lo);
		assert_int_equal(c.parent, t[i].parent);
		assert_int_equal(c.decision, t[i].decision);
	}
}

#define ROOT "Root=1-12345678-901234567890123456789012"

static void xray_keys_stand_in_any_order_and_the_parent_is_optional(void **state)
{
	static const struct {
		const char *value;
		bool accept;
		uint64_t parent;
		enum decision decision;
	} t[] = {
		{ ROOT ";Parent=" P ";Sampled=1", true, 0x1234567890123456, DECISION_KEEP },
		{ ROOT ";Parent=" P ";Sampled=0", true, 0x1234567890123456, DECISION_DROP },
		{ ROOT ";Parent=" P ";Sampled=?", true, 0x1234567890123456, DECISION_NONE },
		{ ROOT ";Parent=" P, true, 0x1234567890123456, DECISION_NONE },
		{ "Sampled=1;Parent=" P ";" ROOT, true, 0x1234567890123456, DECISION_KEEP },
		{ "Self=1-67891234-12456789abcdef012345678a;" ROOT, true, 0, DECISION_NONE },
		{ ROOT, true, 0, DECISION_NONE },
		{ ROOT ";Sampled=1", true, 0, DECISION_KEEP },
		{ ROOT " ; Parent=" P " ;Sampled=1; Foo=bar", true, 0x1234567890123456,
		  DECISION_KEEP },
		{ ROOT ";Lineage=a87bd80c:1|68fd508a:5;", true, 0, DECISION_NONE },
		{ "", false, 0, 0 },
		{ "Parent=" P ";Sampled=1", false, 0, 0 },
		{ "Root=2-12345678-901234567890123456789012", false, 0, 0 },
		{ "Root=1-12345678-90123456789012345678901", false, 0, 0 },
		{ "Root=1-1234567-8901234567890123456789012", false, 0, 0 },
		{ "Root=1-00000000-000000000000000000000000", false, 0, 0 },
		{ "Root=1-12345678-90123456789012345678901x", false, 0, 0 },
		{ ROOT ";Parent=" Z16, false, 0, 0 },
		{ ROOT ";Parent=123", false, 0, 0 },
		{ "Root=" T, false, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		struct context c = { .hi = 7 };

		if (context_xray(slice_str(t[i].value), &c) != t[i].accept)
			fail_msg("%s", t[i].value);
		if (!t[i].accept) {
			assert_true(c.hi == 7 && c.lo == 0);
			continue;
		}
		assert_int_equal(c.hi, UINT64_C(0x1234567890123456));
		assert_int_equal(c.lo, UINT64_C(0x7890123456789012));
		assert_int_equal(c.parent, t[i].parent);
		assert_int_equal(c.decision, t[i].decision);
	}
}

/* ---- several at once ------------------------------------------------------------------------- */

static void nobody_looks_for_a_traceparent_that_was_not_asked_for(void **state)
{
	struct err err = { 0 };
	struct lines l;

	(void)state;
	lines_init(&l);
	assert_true(propagators_parse(SLICE("b3,jaeger"), &l.rules, &err));
	lines_format(&l, "httplog");
	lines_start(&l, "UTC");
	lines_request(&l, HEAD " {00-" T "-" P "-00}" TAIL);
	assert_false(continued(&l));
	assert_true(l.sampled);
	lines_free(&l);
}

static void the_first_valid_propagator_wins_and_invalid_ones_are_counted(void **state)
{
	static const struct {
		const char *propagators, *names, *captures;
		uint64_t id_lo; /* 0: made here */
		uint64_t invalid;
		bool sampled;
	} t[] = {
		{ "tracecontext,b3", "traceparent,b3",
		  "{00-" T "-" P "-01|" Z16 "000000000000000a-000000000000000b}",
		  0x7890123456789012, 0, true },
		{ "b3,tracecontext", "traceparent,b3",
		  "{00-" T "-" P "-01|" Z16 "000000000000000a-000000000000000b-0}", 0xa, 0, false },
		{ "tracecontext,b3", "traceparent,b3",
		  "{00-" T "-" P "-1|000000000000000a-000000000000000b}", 0xa, 1, true },
		{ "tracecontext,b3", "traceparent,b3", "{00-" T "-" P "-1|junk}", 0, 2, true },
		{ "b3,b3multi", "b3,x-b3-traceid,x-b3-spanid,x-b3-sampled",
		  "{|000000000000000a|000000000000000b|0}", 0xa, 0, false },
		{ "b3,b3multi", "b3,X-B3-TraceId,X-B3-SpanId,X-B3-Sampled,X-B3-Flags",
		  "{000000000000000c-000000000000000b-1|000000000000000a|000000000000000b|0|}", 0xc,
		  0, true },
		{ "b3,b3multi", "b3,x-b3-traceid,x-b3-spanid,x-b3-flags",
		  "{0|000000000000000a|000000000000000b|1}", 0xa, 0, true },
		/* a decision alone is valid, but no parent */
		{ "b3", "b3", "{0}", 0, 0, true },
		{ "b3", "b3", "{ d }", 0, 0, true },
		{ "b3", "b3", "{x}", 0, 1, true },
		{ "b3", "b3", "{ }", 0, 1, true },
		{ "b3multi", "x-b3-traceid", "{000000000000000a}", 0, 1, true },
		{ "jaeger", "uber-trace-id", "{a:b:0:0}", 0xa, 0, false },
		{ "jaeger", "Uber-Trace-Id", "{a:b}", 0, 1, true },
		{ "xray", "x-amzn-trace-id", "{" ROOT ";Parent=" P ";Sampled=1}",
		  0x7890123456789012, 0, true },
		{ "xray", "X-Amzn-Trace-Id", "{" ROOT ";Sampled=0}", 0x7890123456789012, 0, false },
		/* who was not asked is not heard */
		{ "b3", "traceparent", "{00-" T "-" P "-00}", 0, 0, true },
		{ "none", "traceparent,b3", "{00-" T "-" P "-00|a}", 0, 0, true },
		/* a bad tracestate is counted too, and ignored */
		{ "tracecontext", "traceparent,tracestate", "{00-" T "-" P "-01|FOO=1}",
		  0x7890123456789012, 1, true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		struct err err = { 0 };
		struct lines l;
		char line[2048];

		lines_init(&l);
		assert_true(propagators_parse(slice_str(t[i].propagators), &l.rules, &err));
		lines_captures(&l, CAPTURE_REQUEST, t[i].names);
		lines_format(&l, "httplog");
		lines_start(&l, "UTC");
		snprintf(line, sizeof(line), HEAD " %s" TAIL, t[i].captures);
		lines_request(&l, line);
		if (t[i].id_lo)
			assert_int_equal(l.trace.id_lo, t[i].id_lo);
		else
			assert_true(!continued(&l) && l.trace.id_hi && l.trace.id_lo != 0xa);
		assert_int_equal(l.rebuilder.invalid_contexts, t[i].invalid);
		assert_int_equal(l.sampled, t[i].sampled);
		lines_free(&l);
	}
}

static void an_xray_root_without_parent_continues_the_trace_as_a_root(void **state)
{
	struct lines l;
	const struct span *s;

	(void)state;
	s = rebuilt(&l, "x-amzn-trace-id", "{" ROOT ";Sampled=1}");
	assert_true(continued(&l));
	assert_int_equal(s->parent, 0);
	assert_int_equal(s->parent_remote, 0);
	lines_free(&l);
}

static void propagators_have_the_names_of_the_specification(void **state)
{
	static const struct {
		const char *list;
		uint32_t n; /* UINT32_MAX: refused */
		size_t column;
		uint8_t first;
	} t[] = {
		{ "tracecontext", 1, 0, PROPAGATOR_W3C },
		{ "tracecontext,baggage", 1, 0, PROPAGATOR_W3C },
		{ "b3,b3multi,b3", 2, 0, PROPAGATOR_B3 },
		{ " jaeger , xray ", 2, 0, PROPAGATOR_JAEGER },
		{ "none", 0, 0, 0 },
		{ "baggage", 0, 0, 0 },
		{ "b3,ottrace", UINT32_MAX, 4, 0 },
		{ "w3c", UINT32_MAX, 1, 0 },
		{ "", UINT32_MAX, 1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		struct rules rules = { .npropagators = 9 };
		struct err err = { 0 };

		if (propagators_parse(slice_str(t[i].list), &rules, &err) != (t[i].n != UINT32_MAX))
			fail_msg("%s", t[i].list);
		if (t[i].n == UINT32_MAX) {
			assert_int_equal(err.code, EXIT_USAGE);
			assert_int_equal(err.column, t[i].column);
			continue;
		}
		assert_int_equal(rules.npropagators, t[i].n);
		if (t[i].n)
			assert_int_equal(rules.propagators[0], t[i].first);
	}
}

/* ---- hex ------------------------------------------------------------------------------------- */

static void hex16_takes_lower_case_digits_at_every_place_and_nothing_else(void **state)
{
	static const char digits[] = "0123456789abcdef";

	(void)state;
	for (int at = 0; at < 16; at++)
		for (int c = 0; c < 256; c++) {
			char text[17] = "fedcba9876543210";
			const char *digit = c ? strchr(digits, c) : NULL;
			uint64_t out = 42, want = UINT64_C(0xfedcba9876543210);

			text[at] = (char)c;
			assert_int_equal(hex16(text, &out), digit != NULL);
			if (!digit) {
				assert_int_equal(out, 42);
				continue;
			}
			want &= ~(UINT64_C(15) << (60 - 4 * at));
			want |= (uint64_t)(digit - digits) << (60 - 4 * at);
			assert_int_equal(out, want);
		}
}

static void hex16_reads_back_what_printf_writes(void **state)
{
	uint64_t n = 88172645463325252;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		char text[24];
		uint64_t out;

		n ^= n << 13;
		n ^= n >> 7;
		n ^= n << 17;
		snprintf(text, sizeof(text), "%016llx", (unsigned long long)n);
		assert_true(hex16(text, &out));
		assert_int_equal(out, n);
		assert_true(context_hex(slice_of(text, 16), 16, &out));
		assert_int_equal(out, n);
		assert_true(context_hex(slice_of(text, 3), 3, &out));
		assert_int_equal(out, n >> 52);
		assert_false(context_hex(slice_of(text, 15), 16, &out));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(traceparent_follows_the_w3c_harness),
		cmocka_unit_test(every_version_but_ff_and_every_flag_is_read),
		cmocka_unit_test(a_short_traceparent_is_never_read_beyond_its_end),
		cmocka_unit_test(tracestate_follows_the_w3c_harness),
		cmocka_unit_test(tracestate_holds_32_members_and_not_one_more),
		cmocka_unit_test(a_header_counts_by_its_name_whatever_the_case),
		cmocka_unit_test(tracestate_needs_its_name_and_a_traceparent),
		cmocka_unit_test(requests_of_one_parent_share_its_trace_and_no_span_id),
		cmocka_unit_test(flags_are_carried_bit_by_bit),
		cmocka_unit_test(among_captures_without_names_only_a_valid_traceparent_is_taken),
		cmocka_unit_test(b3_single_has_four_forms),
		cmocka_unit_test(b3_multi_reads_its_decision_from_two_headers),
		cmocka_unit_test(jaeger_ids_are_of_any_length_and_may_be_url_encoded),
		cmocka_unit_test(xray_keys_stand_in_any_order_and_the_parent_is_optional),
		cmocka_unit_test(nobody_looks_for_a_traceparent_that_was_not_asked_for),
		cmocka_unit_test(the_first_valid_propagator_wins_and_invalid_ones_are_counted),
		cmocka_unit_test(an_xray_root_without_parent_continues_the_trace_as_a_root),
		cmocka_unit_test(propagators_have_the_names_of_the_specification),
		cmocka_unit_test(hex16_takes_lower_case_digits_at_every_place_and_nothing_else),
		cmocka_unit_test(hex16_reads_back_what_printf_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
