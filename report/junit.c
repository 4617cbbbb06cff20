/*
 * report/junit.c - what a check found, as JUnit XML: a rules file is a test suite, a rule (or a group of one) a test
 * case. Valid by the schemas of Jenkins' xUnit plugin and of windyroad/JUnit-Schema, which disagree: what only one of
 * them knows is left out, and so `testsuites` has no attributes.
 */
#include "core/limits.h"
#include "core/utf8.h"
#include "report/result.h"

#include <inttypes.h>
#include <time.h>

struct junit {
	FILE *out;
	const struct results *r;
	struct buf text;
};

/* What the results of one suite add up to. */
struct suite {
	struct slice file;
	uint32_t from, to;		/* results */
	uint32_t failures, errors, skipped;
};

/* ---- XML ------------------------------------------------------------------------------------------------ */

/* Not in XML 1.0, not even escaped: control characters, U+FFFE and U+FFFF, and what is no UTF-8. */
static bool is_xml(const unsigned char *p, size_t n)
{
	if (n == 1)
		return p[0] >= 0x20 ? p[0] != 0x7f : p[0] == '\n' || p[0] == '\t';
	return n > 1 && !(n == 3 && p[0] == 0xef && p[1] == 0xbf && p[2] >= 0xbe);
}

/* Inside an element or an attribute: whatever it is, it ends neither of them, and no CDATA section begins or ends. */
static void xml(struct buf *out, struct slice s)
{
	for (size_t at = 0, n; at < s.len; at += n) {
		const unsigned char *p = (const unsigned char *)s.p + at;

		n = utf8_sequence(p, s.len - at);
		if (!is_xml(p, n))
			buf_char(out, '?');
		else if (*p == '&')
			buf_lit(out, "&amp;");
		else if (*p == '<')
			buf_lit(out, "&lt;");
		else if (*p == '>')
			buf_lit(out, "&gt;");
		else if (*p == '"')
			buf_lit(out, "&quot;");
		else
			buf_add(out, s.p + at, n);
		n += !n;
	}
}

static void attribute(struct buf *out, const char *name, struct slice value)
{
	buf_printf(out, " %s=\"", name);
	xml(out, value);
	buf_char(out, '"');
}

static void property(struct buf *out, const char *name, uint64_t n)
{
	buf_printf(out, "      <property name=\"%s\" value=\"%" PRIu64 "\"/>\n", name, n);
}

static void flush(struct junit *j)
{
	fwrite(j->text.p, 1, j->text.len, j->out);
	j->text.len = 0;
}

/* ---- test cases ----------------------------------------------------------------------------------------- */

/* Only an error breaks a build: what is less is shown as skipped, with its reason. */
static const char *element_of(const struct result *v)
{
	if (v->severity != SEVERITY_ERROR)
		return "skipped";
	return v->verdict == RESULT_ERROR ? "error" : "failure";
}

static void trees(struct buf *out, const struct result *v)
{
	struct buf plain = { .max = 2 * WORST_TREE_MAX };

	for (uint32_t i = 0; i < v->nworst; i++) {
		buf_char(out, '\n');
		plain.len = 0;
		result_plain(&plain, v->worst[i].tree);
		xml(out, slice_of(plain.p, plain.len));
	}
	buf_free(&plain);
}

static void reason(struct buf *out, const struct result *v)
{
	const char *element = element_of(v);

	buf_printf(out, "      <%s message=\"", element);
	if (v->severity != SEVERITY_ERROR)
		buf_printf(out, "%s: ", severity_name(v->severity));
	xml(out, v->why);
	buf_char(out, '"');
	if (v->severity == SEVERITY_ERROR)
		attribute(out, "type", slice_str(verdict_name(v->verdict)));
	buf_char(out, '>');
	if (v->file.len) {
		xml(out, v->file);
		buf_printf(out, ":%u: ", v->line);
	}
	xml(out, v->text);
	buf_char(out, '\n');
	xml(out, v->why);
	buf_char(out, '\n');
	trees(out, v);
	buf_printf(out, "</%s>\n", element);
}

static void test_case(struct junit *j, const struct result *v)
{
	struct buf *out = &j->text, name = { .max = CHECK_LINE_MAX };

	result_name(&name, v);
	buf_lit(out, "    <testcase");
	attribute(out, "name", slice_of(name.p, name.len));
	buf_lit(out, " classname=\"haspan.check\" time=\"0\"");
	if (v->verdict == RESULT_PASSED) {
		buf_lit(out, "/>\n");
	} else {
		buf_lit(out, ">\n");
		reason(out, v);
		buf_lit(out, "    </testcase>\n");
	}
	buf_free(&name);
	flush(j);
}

/* ---- suites --------------------------------------------------------------------------------------------- */

/* The results from `from` on that are of one file. */
static struct suite next_suite(const struct results *r, uint32_t from)
{
	struct suite s = { .file = r->v[from].file, .from = from, .to = from };

	for (; s.to < r->n && slice_eq(r->v[s.to].file, s.file); s.to++) {
		const struct result *v = &r->v[s.to];
		bool broken = v->verdict != RESULT_PASSED;

		s.skipped += broken && v->severity != SEVERITY_ERROR;
		s.errors += broken && v->severity == SEVERITY_ERROR && v->verdict == RESULT_ERROR;
		s.failures += broken && v->severity == SEVERITY_ERROR && v->verdict != RESULT_ERROR;
	}
	return s;
}

static void suite_open(struct junit *j, const struct suite *s, uint32_t id)
{
	struct buf *out = &j->text;
	time_t when = (time_t)j->r->when_s;
	struct tm tm;
	char text[32];

	gmtime_r(&when, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	buf_lit(out, "  <testsuite");
	attribute(out, "name", s->file.len ? s->file : SLICE("haspan"));
	buf_printf(out, " package=\"haspan\" id=\"%u\" timestamp=\"%s\" hostname=\"localhost\"", id, text);
	buf_printf(out, " tests=\"%u\" failures=\"%u\" errors=\"%u\" skipped=\"%u\" time=\"%.3f\">\n", s->to - s->from,
		   s->failures, s->errors, s->skipped, id == 0 ? j->r->elapsed_s : 0);
	buf_lit(out, "    <properties>\n");
	property(out, "lines", j->r->lines);
	property(out, "requests", j->r->requests);
	property(out, "rejected", j->r->rejected);
	property(out, "spans", j->r->spans);
	buf_lit(out, "    </properties>\n");
}

/* Both schemas want these two, in this order. */
static void suite_close(struct junit *j)
{
	buf_lit(&j->text, "    <system-out/>\n    <system-err/>\n  </testsuite>\n");
	flush(j);
}

/* No rule says that not all was read: a test case of its own does. */
static void incomplete(struct junit *j, uint32_t id)
{
	const struct result v = {
		.name = { "all was read", 12 }, .text = { "the whole capture", 17 }, .severity = SEVERITY_ERROR,
		.verdict = RESULT_ERROR, .why = slice_str(result_incomplete(j->r)),
	};

	suite_open(j, &(struct suite){ .to = 1, .errors = 1 }, id);
	test_case(j, &v);
	suite_close(j);
}

void report_junit(FILE *out, const struct results *r)
{
	struct junit j = { .out = out, .r = r, .text = { .max = OUTPUT_RESULT_MAX } };
	uint32_t id = 0;

	buf_lit(&j.text, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
	for (uint32_t at = 0; at < r->n; id++) {
		struct suite s = next_suite(r, at);

		suite_open(&j, &s, id);
		for (; at < s.to; at++)
			test_case(&j, &r->v[at]);
		suite_close(&j);
	}
	if (result_incomplete(r))
		incomplete(&j, id);
	buf_lit(&j.text, "</testsuites>\n");
	flush(&j);
	buf_free(&j.text);
}
