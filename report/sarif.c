/*
 * report/sarif.c - what a check found, as SARIF 2.1.0: a rule that does not hold is a result at its place in the rules
 * file. Those that hold are none: code scanning would show them as alerts.
 */
#include "core/json.h"
#include "core/limits.h"
#include "report/result.h"

#include <inttypes.h>

/*
 * Text of a message (SARIF 2.1.0, 3.11.5 and 3.11.6): braces are placeholders unless they are doubled, and
 * "[words](target)" is a link, which nobody but haspan may make; it makes none.
 */
static void message(struct buf *out, struct slice s)
{
	struct buf text = { .max = 4 * CHECK_LINE_MAX };

	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '{' || s.p[i] == '}')
			buf_char(&text, s.p[i]);
		else if (s.p[i] == '(' && i && s.p[i - 1] == ']')
			buf_char(&text, ' ');
		buf_char(&text, s.p[i]);
	}
	buf_char(out, '{');
	json_pair(out, "text", slice_of(text.p, text.len));
	buf_char(out, '}');
	buf_free(&text);
}

/* A path as a URI (RFC 3986): an absolute one names its scheme. */
static void uri(struct buf *out, struct slice path)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";

	buf_slice(out, slice_starts(path, SLICE("/")) ? SLICE("\"uri\":\"file://") : SLICE("\"uri\":\""));
	for (size_t i = 0; i < path.len; i++) {
		if (memchr(plain, path.p[i], sizeof(plain) - 1))
			buf_char(out, path.p[i]);
		else
			buf_printf(out, "%%%02X", (unsigned char)path.p[i]);
	}
	buf_char(out, '"');
}

static const char *level(enum severity s)
{
	return severity_name(s);	/* the words are the same */
}

/* ---- rules ---------------------------------------------------------------------------------------------- */

static bool same_rule(const struct result *a, const struct result *b)
{
	return slice_eq(a->name, b->name);
}

static void rule(struct buf *out, const struct result *v)
{
	buf_char(out, '{');
	json_pair(out, "id", v->name);
	buf_lit(out, ",\"shortDescription\":");
	message(out, v->text.len ? v->text : v->name);
	buf_printf(out, ",\"defaultConfiguration\":{\"level\":\"%s\"}}", level(v->severity));
}

/* ---- results -------------------------------------------------------------------------------------------- */

static void location(struct buf *out, const struct result *v, struct slice name)
{
	buf_lit(out, ",\"locations\":[{");
	if (v->file.len) {
		buf_lit(out, "\"physicalLocation\":{\"artifactLocation\":{");
		uri(out, v->file);
		buf_printf(out, "},\"region\":{\"startLine\":%u}},", v->line);
	}
	buf_lit(out, "\"logicalLocations\":[{");
	json_pair(out, "fullyQualifiedName", name);
	buf_lit(out, "}]}]");
}

static void traces(struct buf *out, const struct result *v)
{
	struct buf plain = { .max = 2 * WORST_TREE_MAX };

	buf_lit(out, ",\"traces\":[");
	for (uint32_t i = 0; i < v->nworst; i++) {
		const struct result_trace *t = &v->worst[i];

		plain.len = 0;
		result_plain(&plain, t->tree);
		buf_printf(out, "%s{\"traceId\":\"%016" PRIx64 "%016" PRIx64 "\",", i ? "," : "", t->id_hi,
			   t->id_lo);
		json_pair(out, "tree", slice_of(plain.p, plain.len));
		buf_char(out, '}');
	}
	buf_char(out, ']');
	buf_free(&plain);
}

static void result(struct buf *out, const struct result *v, uint32_t at)
{
	struct buf name = { .max = CHECK_LINE_MAX };
	struct slice full;

	result_name(&name, v);
	full = slice_of(name.p, name.len);
	buf_char(out, '{');
	json_pair(out, "ruleId", v->name);
	buf_printf(out, ",\"ruleIndex\":%u,\"level\":\"%s\",\"message\":", at, level(v->severity));
	message(out, v->why);
	location(out, v, full);
	/* By it a later run knows the same alert again, wherever the rule stands by then. */
	buf_lit(out, ",\"partialFingerprints\":{");
	json_pair(out, "haspanResult/v1", full);
	buf_lit(out, "},\"properties\":{");
	json_pair(out, "verdict", slice_str(verdict_name(v->verdict)));
	buf_printf(out, ",\"seen\":%" PRIu64 ",\"violating\":%" PRIu64, v->seen, v->violating);
	traces(out, v);
	buf_lit(out, "}}");
	buf_free(&name);
}

/* ---- the whole ------------------------------------------------------------------------------------------ */

static void flush(struct buf *b, FILE *out)
{
	fwrite(b->p, 1, b->len, out);
	b->len = 0;
}

static void put_rules(struct buf *b, FILE *out, const struct results *r)
{
	for (uint32_t i = 0; i < r->n; i++) {
		if (i && same_rule(&r->v[i], &r->v[i - 1]))
			continue;
		buf_slice(b, i ? SLICE(",\n") : SLICE("\n"));
		rule(b, &r->v[i]);
		flush(b, out);
	}
}

static void put_results(struct buf *b, FILE *out, const struct results *r)
{
	bool any = false;

	for (uint32_t i = 0, at = 0; i < r->n; i++) {
		at += i && !same_rule(&r->v[i], &r->v[i - 1]);
		if (r->v[i].verdict == RESULT_PASSED)
			continue;
		buf_slice(b, any ? SLICE(",\n") : SLICE("\n"));
		result(b, &r->v[i], at);
		flush(b, out);
		any = true;
	}
}

void report_sarif(FILE *out, const struct results *r)
{
	struct buf b = { .max = OUTPUT_RESULT_MAX };

	buf_lit(&b, "{\"$schema\":\"https://json.schemastore.org/sarif-2.1.0.json\",\"version\":\"2.1.0\",\"runs\":[{"
		    "\"tool\":{\"driver\":{\"name\":\"haspan\",");
	json_pair(&b, "version", slice_str(r->version));
	buf_lit(&b, ",\"rules\":[");
	put_rules(&b, out, r);
	/* Such a run has not looked at everything: consumers must not take alerts for settled. */
	buf_printf(&b, "]}},\n\"invocations\":[{\"executionSuccessful\":%s}],\"properties\":{\"passed\":%s,",
		   result_incomplete(r) ? "false" : "true", r->passed ? "true" : "false");
	buf_printf(&b, "\"lines\":%" PRIu64 ",\"requests\":%" PRIu64, r->lines, r->requests);
	buf_printf(&b, ",\"rejected\":%" PRIu64 ",\"spans\":%" PRIu64 "},\n", r->rejected, r->spans);
	buf_lit(&b, "\"results\":[");
	put_results(&b, out, r);
	buf_lit(&b, "]}]}\n");
	flush(&b, out);
	buf_free(&b);
}
