/*
 * report/github.c - what a check found, as workflow commands of GitHub Actions: an annotation for each result that does
 * not hold, beside its rule, errors first. A command is one line, in which the runner takes %0A for a line's end: so
 * nothing begins a line but commands of haspan's own.
 */
#include "core/limits.h"
#include "report/result.h"

#include <inttypes.h>

/* As actions/toolkit's escapeData and escapeProperty. */
static void escape(struct buf *out, struct slice s, const char *also)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '%' || c < 0x20 || strchr(also, c))
			buf_printf(out, "%%%02X", c);
		else
			buf_char(out, (char)c);
	}
}

static void data(struct buf *out, struct slice s)
{
	escape(out, s, "");
}

static void property(struct buf *out, const char *name, struct slice s)
{
	buf_printf(out, "%s=", name);
	escape(out, s, ":,");
}

static void trees(struct buf *out, const struct result *v)
{
	struct buf plain = { .max = 2 * WORST_TREE_MAX };

	for (uint32_t i = 0; i < v->nworst; i++) {
		plain.len = 0;
		result_plain(&plain, v->worst[i].tree);
		buf_lit(out, "%0A");
		data(out, slice_of(plain.p, plain.len));
	}
	buf_free(&plain);
}

static void annotation(struct buf *out, const struct result *v)
{
	static const char *const commands[SEVERITY_MAX] = { "notice", "warning", "error" };
	struct buf name = { .max = CHECK_LINE_MAX };

	result_name(&name, v);
	buf_printf(out, "::%s ", commands[v->severity]);
	if (v->file.len) {
		property(out, "file", v->file);
		buf_printf(out, ",line=%u,", v->line);
	}
	property(out, "title", slice_of(name.p, name.len));
	buf_lit(out, "::");
	data(out, v->why);
	if (v->text.len) {
		buf_lit(out, "%0A");
		data(out, v->text);
	}
	trees(out, v);
	buf_char(out, '\n');
	buf_free(&name);
}

static void total(struct buf *out, const struct results *r)
{
	buf_printf(out, "::%s title=haspan check::%s%s: ", r->passed ? "notice" : "error",
		   r->passed ? "passed" : "failed", r->interrupted ? ", interrupted" : r->unreadable ? ", input unreadable" : "");
	result_value(out, UNIT_REQUESTS, (double)r->requests);
	buf_lit(out, " of ");
	result_value(out, UNIT_LINES, (double)r->lines);
	buf_printf(out, ", %" PRIu64 " not understood; %u of %u results passed\n", r->rejected,
		   r->count[RESULT_PASSED], r->n);
}

void report_github(FILE *out, const struct results *r)
{
	struct buf text = { .max = OUTPUT_RESULT_MAX };

	for (int severity = SEVERITY_MAX; severity-- > 0;)
		for (uint32_t i = 0; i < r->n; i++) {
			if (r->v[i].verdict == RESULT_PASSED || (int)r->v[i].severity != severity)
				continue;
			annotation(&text, &r->v[i]);
			fwrite(text.p, 1, text.len, out);
			text.len = 0;
		}
	total(&text, r);
	fwrite(text.p, 1, text.len, out);
	buf_free(&text);
}
