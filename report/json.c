/*
 * report/json.c - what a check found, as one JSON object (doc/check.md). Times are milliseconds, as HAProxy's are.
 */
#include "core/json.h"
#include "core/limits.h"
#include "report/result.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

static void flag(struct buf *out, const char *key, bool set)
{
	buf_printf(out, "\"%s\":%s", key, set ? "true" : "false");
}

static void count(struct buf *out, const char *key, uint64_t n)
{
	buf_printf(out, ",\"%s\":%" PRIu64, key, n);
}

/* With as many digits as it takes to be read as the same number; a whole one as it is. */
static void number(struct buf *out, const char *key, enum unit unit, double n)
{
	double said = unit == UNIT_TIME ? n / 1000 : n;
	char text[40];
	int digits = 15;

	if (said == floor(said) && fabs(said) < 1e18)
		snprintf(text, sizeof(text), "%.0f", said);
	else
		do
			snprintf(text, sizeof(text), "%.*g", digits, said);
		while (strtod(text, NULL) != said && digits++ < 17);
	buf_printf(out, ",\"%s\":%s", key, text);
}

static const char *unit_name(enum unit unit)
{
	static const char *const names[] = {
		[UNIT_NUMBER] = "1", [UNIT_TIME] = "ms", [UNIT_SHARE] = "share", [UNIT_REQUESTS] = "requests",
		[UNIT_SPANS] = "spans", [UNIT_LINES] = "lines",
	};

	return names[unit];
}

static void trace(struct buf *out, const struct result *v, const struct result_trace *t)
{
	struct buf plain = { .max = 2 * WORST_TREE_MAX };

	buf_printf(out, "{\"trace_id\":\"%016" PRIx64 "%016" PRIx64 "\",\"span_id\":\"%016" PRIx64 "\"", t->id_hi, t->id_lo, t->span);
	if (t->measured)
		number(out, "value", v->unit, t->value);
	result_plain(&plain, t->tree);
	buf_char(out, ',');
	json_pair(out, "tree", slice_of(plain.p, plain.len));
	buf_char(out, '}');
	buf_free(&plain);
}

static void result(struct buf *out, const struct result *v)
{
	buf_char(out, '{');
	json_pair(out, "name", v->name);
	buf_char(out, ',');
	json_pair(out, "rule", v->text);
	buf_printf(out, ",\"severity\":\"%s\",", severity_name(v->severity));
	if (v->file.len) {
		json_pair(out, "file", v->file);
		buf_printf(out, ",\"line\":%u,\"column\":%u,", v->line, v->column);
	}
	if (v->by.len) {
		json_pair(out, "by", v->by);
		buf_char(out, ',');
		if (v->rest)
			buf_printf(out, "\"folded\":%" PRIu64 ",", v->folded);
		else
			json_pair(out, "group", v->group);
		if (!v->rest)
			buf_char(out, ',');
	}
	buf_printf(out, "\"verdict\":\"%s\"", verdict_name(v->verdict));
	count(out, "seen", v->seen);
	count(out, "violating", v->violating);
	if (v->measured) {
		number(out, "value", v->unit, v->value);
		buf_printf(out, ",\"op\":\"%s\"", v->op);
		number(out, "limit", v->unit, v->limit);
		buf_printf(out, ",\"unit\":\"%s\"", unit_name(v->unit));
		if (v->error > 0)
			buf_printf(out, ",\"relative_error\":%.4g", v->error);
	}
	buf_char(out, ',');
	json_pair(out, "why", v->why);
	buf_lit(out, ",\"worst\":[");
	for (uint32_t i = 0; i < v->nworst; i++) {
		if (i)
			buf_char(out, ',');
		trace(out, v, &v->worst[i]);
	}
	buf_lit(out, "]}");
}

static void head(struct buf *out, const struct results *r)
{
	buf_char(out, '{');
	json_pair(out, "haspan", slice_str(r->version));
	buf_char(out, ',');
	flag(out, "passed", r->passed);
	buf_char(out, ',');
	flag(out, "interrupted", r->interrupted);
	buf_char(out, ',');
	flag(out, "unreadable", r->unreadable);
	count(out, "lines", r->lines);
	count(out, "requests", r->requests);
	count(out, "merged", r->merged);
	count(out, "other", r->other);
	count(out, "rejected", r->rejected);
	count(out, "lost", r->lost);
	count(out, "spans", r->spans);
	buf_printf(out, ",\"elapsed_s\":%.3f", r->elapsed_s);
	count(out, "rules", r->rules);
	buf_lit(out, ",\"verdicts\":{");
	for (int v = 0; v < RESULT_MAX; v++)
		buf_printf(out, "%s\"%s\":%u", v ? "," : "", verdict_name((enum verdict_of_rule)v), r->count[v]);
	buf_lit(out, "},\"results\":[");
}

void report_json(FILE *out, const struct results *r)
{
	struct buf b = { .max = 4 * 1024 * 1024 };

	head(&b, r);
	for (uint32_t i = 0; i < r->n; i++) {
		buf_slice(&b, i ? SLICE(",\n") : SLICE("\n"));
		result(&b, &r->v[i]);
		fwrite(b.p, 1, b.len, out);
		b.len = 0;
	}
	buf_lit(&b, "\n]}\n");
	fwrite(b.p, 1, b.len, out);
	buf_free(&b);
}
