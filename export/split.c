#include "export/split.h"

#include "export/proto/trace.pb-c.h"

#include <jansson.h>
#include <stdlib.h>

/*
 * Where to cut: `at` spans go to the head. Found by walking the spans in order; of all places
 * between two traces the one nearest to the middle is taken.
 */
struct cut {
	size_t n;		/* spans in all */
	size_t seen;		/* so far */
	size_t at;		/* 0: no place yet */
};

static void cut_offer(struct cut *c)
{
	size_t half = c->n / 2, here = c->seen;
	size_t now = here > half ? here - half : half - here;
	size_t best = c->at > half ? c->at - half : half - c->at;

	if (c->at == 0 || now < best)
		c->at = here;
}

/* ---- protobuf -------------------------------------------------------------------------------- */

/* The span in position `i` of a walk over all spans. */
struct at {
	size_t rs, ss, span;
};

static bool at_valid(const Otlp__ExportTraceServiceRequest *q, struct at *a)
{
	for (; a->rs < q->n_resource_spans; a->rs++, a->ss = 0) {
		const Otlp__ResourceSpans *rs = q->resource_spans[a->rs];

		for (; a->ss < rs->n_scope_spans; a->ss++, a->span = 0)
			if (a->span < rs->scope_spans[a->ss]->n_spans)
				return true;
	}
	return false;
}

static const Otlp__Span *at_span(const Otlp__ExportTraceServiceRequest *q, const struct at *a)
{
	return q->resource_spans[a->rs]->scope_spans[a->ss]->spans[a->span];
}

static bool same_trace(const Otlp__Span *a, const Otlp__Span *b)
{
	return slice_eq(slice_of((const char *)a->trace_id.data, a->trace_id.len),
			slice_of((const char *)b->trace_id.data, b->trace_id.len));
}

/* The first span of the tail, or false. */
static bool find_cut(const Otlp__ExportTraceServiceRequest *q, struct cut *c, struct at *where)
{
	const Otlp__Span *before = NULL;

	for (struct at a = { 0 }; at_valid(q, &a); a.span++)
		c->n++;
	for (struct at a = { 0 }; at_valid(q, &a); a.span++, c->seen++) {
		const Otlp__Span *span = at_span(q, &a);

		/* A SERVER span begins a request; many requests may share the trace that their client chose. */
		if (before && (!same_trace(before, span) || span->kind == OTLP__SPAN__SPAN_KIND__SPAN_KIND_SERVER))
			cut_offer(c);
		if (c->at && c->at == c->seen)
			*where = a;
		before = at_span(q, &a);
	}
	return c->at > 0;
}

static void pack(const Otlp__ExportTraceServiceRequest *q, struct buf *out)
{
	size_t n = otlp__export_trace_service_request__get_packed_size(q);

	otlp__export_trace_service_request__pack(q, (uint8_t *)buf_room(out, n));
	out->len += n;
}

/* All before `a`. The message is shortened while it is packed; nothing is copied. */
static void pack_head(Otlp__ExportTraceServiceRequest *q, const struct at *a, struct buf *out)
{
	Otlp__ResourceSpans *rs = q->resource_spans[a->rs];
	Otlp__ScopeSpans *ss = rs->scope_spans[a->ss];
	size_t n_rs = q->n_resource_spans, n_ss = rs->n_scope_spans, n = ss->n_spans;

	ss->n_spans = a->span;
	rs->n_scope_spans = a->ss + (a->span > 0);
	q->n_resource_spans = a->rs + (rs->n_scope_spans > 0);
	pack(q, out);
	ss->n_spans = n;
	rs->n_scope_spans = n_ss;
	q->n_resource_spans = n_rs;
}

/* All from `a` on. */
static void pack_tail(Otlp__ExportTraceServiceRequest *q, const struct at *a, struct buf *out)
{
	Otlp__ResourceSpans *rs = q->resource_spans[a->rs];
	Otlp__ScopeSpans *ss = rs->scope_spans[a->ss];

	ss->spans += a->span, ss->n_spans -= a->span;
	rs->scope_spans += a->ss, rs->n_scope_spans -= a->ss;
	q->resource_spans += a->rs, q->n_resource_spans -= a->rs;
	pack(q, out);
	q->resource_spans -= a->rs, q->n_resource_spans += a->rs;
	rs->scope_spans -= a->ss, rs->n_scope_spans += a->ss;
	ss->spans -= a->span, ss->n_spans += a->span;
}

bool split_protobuf(struct slice in, struct buf *head, struct buf *tail, uint64_t *in_head,
		    uint64_t *in_tail)
{
	Otlp__ExportTraceServiceRequest *q = otlp__export_trace_service_request__unpack(
		NULL, in.len, (const uint8_t *)in.p);
	struct cut c = { 0 };
	struct at where = { 0 };
	bool found = q && find_cut(q, &c, &where);

	if (found) {
		pack_head(q, &where, head);
		pack_tail(q, &where, tail);
		*in_head = c.at;
		*in_tail = c.n - c.at;
	}
	otlp__export_trace_service_request__free_unpacked(q, NULL);
	return found;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void find_cut_in(const json_t *spans, const char **before, struct cut *c)
{
	size_t i;
	json_t *span;

	json_array_foreach(spans, i, span) {
		const char *id = json_string_value(json_object_get(span, "traceId"));

		if (!id)
			id = "";
		if (*before && (strcmp(*before, id) != 0 || json_integer_value(json_object_get(span, "kind")) == 2))
			cut_offer(c);
		*before = id;
		c->seen++;
	}
}

/* Visit every array of spans: `c->n` counts on the first pass, `c->at` is found on the second. */
static bool find_json_cut(const json_t *doc, struct cut *c)
{
	const char *before;
	json_t *rs, *ss;
	size_t i, k;

	for (int pass = 0; pass < 2; pass++) {
		*c = (struct cut){ .n = c->seen };
		before = NULL;
		json_array_foreach(json_object_get(doc, "resourceSpans"), i, rs)
			json_array_foreach(json_object_get(rs, "scopeSpans"), k, ss)
				find_cut_in(json_object_get(ss, "spans"), &before, c);
	}
	return c->at > 0;
}

/*
 * A new object like `from`, with `key` replaced by `value`, which is taken; NULL when `value` is
 * empty.
 */
static json_t *with(json_t *from, const char *key, json_t *value)
{
	json_t *copy = NULL;

	if (json_array_size(value) > 0 && (copy = json_copy(from)))
		json_object_set(copy, key, value);
	json_decref(value);
	return copy;
}

/* The spans whose number is in [from, to); `*seen` counts on. New, or NULL when there is none. */
static json_t *keep_spans(json_t *ss, size_t from, size_t to, size_t *seen)
{
	json_t *kept = json_array(), *span;
	size_t i;

	json_array_foreach(json_object_get(ss, "spans"), i, span) {
		if (*seen >= from && *seen < to)
			json_array_append(kept, span);
		++*seen;
	}
	return with(ss, "spans", kept);
}

static json_t *keep(json_t *doc, size_t from, size_t to)
{
	json_t *all = json_array(), *rs, *ss, *kept;
	size_t i, k, seen = 0;

	json_array_foreach(json_object_get(doc, "resourceSpans"), i, rs) {
		json_t *scopes = json_array();

		json_array_foreach(json_object_get(rs, "scopeSpans"), k, ss)
			if ((kept = keep_spans(ss, from, to, &seen)))
				json_array_append_new(scopes, kept);
		if ((kept = with(rs, "scopeSpans", scopes)))
			json_array_append_new(all, kept);
	}
	return with(doc, "resourceSpans", all);
}

static int append(const char *p, size_t n, void *out)
{
	buf_add(out, p, n);
	return 0;
}

static void dump(json_t *doc, size_t from, size_t to, struct buf *out)
{
	json_t *half = keep(doc, from, to);

	json_dump_callback(half, append, out, JSON_COMPACT);
	json_decref(half);
}

bool split_json(struct slice in, struct buf *head, struct buf *tail, uint64_t *in_head,
		uint64_t *in_tail)
{
	json_t *doc = json_loadb(in.p, in.len, JSON_ALLOW_NUL, NULL);
	struct cut c = { 0 };
	bool found = doc && find_json_cut(doc, &c);

	if (found) {
		dump(doc, 0, c.at, head);
		dump(doc, c.at, c.n, tail);
		*in_head = c.at;
		*in_tail = c.n - c.at;
	}
	json_decref(doc);
	return found;
}
