/*
 * tests/fuzz/tree.h - a line through parser, rebuilder and encoders, and everything that must hold behind each of
 * them: the contract's sections 3 and 4, as far as they can be said without knowing what the line says.
 */
#ifndef TESTS_FUZZ_TREE_H
#define TESTS_FUZZ_TREE_H

#include "export/export.h"
#include "export/tree.h"
#include "fuzz.h"
#include "ingest/ingest.h"
#include "parse/parse.h"
#include "reconstruct/reconstruct.h"

#include "export/proto/trace.pb-c.h"

#include <jansson.h>

#define TREE_WIRE_MAX ((size_t)64 << 20)

struct tree {
	struct parser parser;
	struct rules rules;
	struct rebuilder rebuilder;
	struct trace trace;
	struct frame frame;
};

/* ---- strings ------------------------------------------------------------------------------------------- */

static inline bool tree_nul(struct slice s)
{
	CHECK(text_valid(s));
	return s.len && memchr(s.p, 0, s.len);
}

/* All texts of the record that this plan sends. Is there a NUL in one of them? */
static inline bool tree_strings(const struct record *r, const struct attrs *rows)
{
	bool nul = false;
	union value v;

	for (uint32_t i = 0; i < rows->n; i++) {
		const struct attr *a = attrs_row(rows, i);

		CHECK(a->key.len && text_valid(a->key));
		if (!attr_value(a, r, &v) || a->type == ATTR_INT || a->type == ATTR_TIMER || a->type == ATTR_BOOL)
			continue;
		if (a->type != ATTR_LISTS)
			nul |= tree_nul(v.text);
		for (uint32_t k = 0; a->type == ATTR_LISTS && k < r->cap[a->index].n; k++)
			nul |= tree_nul(r->cap[a->index].v[k]);
	}
	return nul;
}

/* ---- spans --------------------------------------------------------------------------------------------- */

/* Phases tile their parent: the first begins with it, each where the last one ended, the last ends with it. */
static inline void tree_tiles(const struct trace *t, const struct span *parent, enum phases phases)
{
	uint64_t at = parent->start_ns;
	bool any = false;

	for (uint32_t i = 0; i < t->n; i++) {
		const struct span *s = &t->span[i];

		if (s == parent || s->parent != parent->id)
			continue;
		CHECK(phases == PHASES_NONE ? s->start_ns >= at : s->start_ns == at);
		CHECK(phases != PHASES_AUTO || s->kind != KIND_INTERNAL || s->end_ns > s->start_ns ||
		      s->error_type.len || s->role == ROLE_TARPIT);
		at = s->end_ns;
		any = true;
	}
	CHECK(!any || at == parent->end_ns);
}

static inline void tree_spans(const struct trace *t, enum phases phases)
{
	CHECK(t->n >= 1 && t->n <= SPANS_MAX && (t->id_hi || t->id_lo));
	CHECK(t->span[0].role == ROLE_SERVER && t->span[0].kind == KIND_SERVER);
	CHECK(!t->span[0].parent == !t->span[0].parent_remote && text_valid(t->state) && text_valid(t->words));
	for (uint32_t i = 0; i < t->n; i++) {
		const struct span *s = &t->span[i];
		bool known = i == 0;

		CHECK(s->id && s->end_ns >= s->start_ns && (i == 0 || s->role > s[-1].role));
		CHECK(s->name.len && text_valid(s->name) && text_valid(s->error_type));
		CHECK((s->status == STATUS_UNSET || s->status == STATUS_ERROR) && (!s->error_type.len || s->status));
		CHECK((s->kind == KIND_CLIENT) == (s->role == ROLE_CLIENT) && (i == 0 || !s->parent_remote));
		for (uint32_t k = 0; k < i; k++) {
			CHECK(t->span[k].id != s->id);
			known |= t->span[k].id == s->parent;
		}
		CHECK(known);
		tree_tiles(t, s, phases);
	}
}

/* ---- wires --------------------------------------------------------------------------------------------- */

/* A second reader of the same grammar: it writes the same bytes if `exact`, and keys are unique within a span. */
static inline void tree_protobuf(const struct buf *wire, const struct trace *t, bool exact)
{
	const uint8_t *p = (const uint8_t *)wire->p;
	Otlp__ExportTraceServiceRequest *req =
		otlp__export_trace_service_request__unpack(NULL, wire->len, p);
	Otlp__ScopeSpans *scope;
	uint8_t *again;

	CHECK(req && req->n_resource_spans == 1 && req->resource_spans[0]->n_scope_spans == 1);
	scope = req->resource_spans[0]->scope_spans[0];
	CHECK(scope->n_spans == t->n);
	for (size_t i = 0; i < scope->n_spans; i++) {
		const Otlp__Span *s = scope->spans[i];

		CHECK(s->trace_id.len == 16 && s->span_id.len == 8 && s->base.n_unknown_fields == 0);
		CHECK(s->start_time_unix_nano == t->span[i].start_ns && s->end_time_unix_nano == t->span[i].end_ns);
		/* A field of zero need not be written, and here it is: 1970 is not worth a branch. */
		exact &= s->start_time_unix_nano && s->end_time_unix_nano;
		for (size_t k = 0; k < s->n_attributes; k++)
			for (size_t l = 0; l < k; l++)
				CHECK(strcmp(s->attributes[k]->key, s->attributes[l]->key) != 0);
	}
	CHECK(otlp__export_trace_service_request__get_packed_size(req) == wire->len || !exact);
	again = malloc(wire->len);
	CHECK(again && otlp__export_trace_service_request__pack(req, again) <= wire->len);
	CHECK(memcmp(again, p, wire->len) == 0 || !exact);
	free(again);
	otlp__export_trace_service_request__free_unpacked(req, NULL);
}

/* One line of JSON, as jansson reads it; what jansson writes is JSON as well. */
static inline void tree_json(const struct buf *wire, const struct trace *t)
{
	json_t *root, *spans;
	json_error_t error;
	char *again;

	CHECK(wire->p[wire->len - 1] == '\n' && !memchr(wire->p, '\n', wire->len - 1));
	/* A NUL that a client wrote is a character of JSON, escaped. */
	root = json_loadb(wire->p, wire->len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	CHECK(root);
	spans = json_object_get(json_array_get(json_object_get(json_array_get(
		json_object_get(root, "resourceSpans"), 0), "scopeSpans"), 0), "spans");
	CHECK(json_array_size(spans) == t->n);
	again = json_dumps(root, JSON_COMPACT);
	CHECK(again);
	free(again);
	json_decref(root);
}

/* Nothing a client wrote reaches the terminal as a command. */
static inline void tree_terminal(const struct buf *wire)
{
	CHECK(text_valid(slice_of(wire->p, wire->len)));
	for (size_t i = 0; i < wire->len; i++)
		CHECK(wire->p[i] == '\n' || ((unsigned char)wire->p[i] >= 0x20 && wire->p[i] != 0x7f));
}

enum { TREE_ENCODERS = 3 };

static inline void tree_encode(const struct tree *x, struct buf wire[TREE_ENCODERS])
{
	static const struct encoder *const encoders[] = { &encoder_protobuf, &encoder_json, &encoder_tree };
	static const struct resource resource = { .service_name = SLICE("haproxy"), .n = 1, .version = SLICE("0"),
						  .keys = { SLICE("service.name") }, .values = { SLICE("haproxy") } };

	for (int k = 0; k < TREE_ENCODERS; k++) {
		size_t mark;

		encoders[k]->open(&wire[k], &resource, x->frame.host, &mark);
		encoders[k]->trace(&wire[k], &x->parser.rec, &x->trace);
		encoders[k]->close(&wire[k], mark);
		if (encoders[k]->seal)
			encoders[k]->seal(&wire[k]);
	}
}

/* ---- all of it ----------------------------------------------------------------------------------------- */

/* `choice`: which phases, which sampler, which zone, routes. */
static inline void tree_init(struct tree *x, struct formats *formats, unsigned choice)
{
	static const char *const zones[] = { "UTC", "+05:30" };
	struct err err = { 0 };

	*x = (struct tree){ .rules.phases = (enum phases)(choice % 3) };
	for (uint32_t i = 0; i < formats->n; i++)
		plan_make(formats->v[i], formats->arena);
	for (uint32_t i = 0; i < formats->nplanned; i++)
		plan_make(formats->planned[i], formats->arena);
	parser_init(&x->parser, formats);
	CHECK(propagators_parse(SLICE("tracecontext,b3,b3multi,jaeger,xray"), &x->rules, &err));
	CHECK(sampler_parse(SLICE("parentbased_always_on"), slice_of("", 0), &x->rules.sampler, &err));
	x->rules.routes[0] = SLICE("/{a}/{b}");
	x->rules.routes[1] = SLICE("/\xc3\xa9/*");
	x->rules.nroutes = choice & 1 ? 2 : 0;
	CHECK(rebuilder_init(&x->rebuilder, &x->rules, slice_str(zones[choice >> 1 & 1]), &err));
	tree_setup(false, 80);
}

static inline void tree_free(struct tree *x)
{
	parser_free(&x->parser);
	rebuilder_free(&x->rebuilder);
	parser_thread_free();
}

/* From the line to the wires. What an earlier line left in the record and the trace must not matter: `poison`. */
static inline enum parsed tree_once(struct tree *x, struct slice line, int poison, struct buf wire[TREE_ENCODERS])
{
	struct recent recent;
	enum parsed parsed;

	memset(&recent, 0xff, sizeof(recent));
	memset(&x->parser.rec, poison, sizeof(x->parser.rec));
	memset(&x->trace, poison, sizeof(x->trace));
	memset(x->parser.scratch, poison, 4096);
	x->frame = (struct frame){ .raw = line };
	envelope_peel(&x->frame);
	parsed = parse_frame(&x->parser, &x->frame, &recent);
	if (parsed == PARSED_REQUEST) {
		rebuild(&x->rebuilder, &x->parser.rec, &x->frame, &x->trace);
		tree_encode(x, wire);
	}
	return parsed;
}

/* A line with its pads around it: all checks, and a second run that gives the same bytes. */
static inline enum parsed tree_line(struct tree *x, struct slice line)
{
	const struct buf empty = { .max = TREE_WIRE_MAX };
	struct buf one[TREE_ENCODERS] = { empty, empty, empty }, two[TREE_ENCODERS] = { empty, empty, empty };
	enum parsed parsed = tree_once(x, line, 0xa5, one);
	bool nul;

	CHECK(tree_once(x, line, 0, two) == parsed);
	if (parsed == PARSED_REQUEST) {
		const struct plan *plan = x->parser.rec.format->plan;

		tree_spans(&x->trace, x->rules.phases);
		nul = tree_strings(&x->parser.rec, &plan->server);
		nul |= tree_strings(&x->parser.rec, &plan->server_alone);
		nul |= tree_strings(&x->parser.rec, &plan->client);
		nul |= tree_nul(x->frame.host);
		tree_protobuf(&one[0], &x->trace, !nul);	/* protobuf-c has strings of C */
		tree_json(&one[1], &x->trace);
		tree_terminal(&one[2]);
	}
	for (int k = 0; k < TREE_ENCODERS; k++) {
		CHECK(slice_eq(slice_of(one[k].p, one[k].len), slice_of(two[k].p, two[k].len)));
		buf_free(&one[k]);
		buf_free(&two[k]);
	}
	return parsed;
}

#endif
