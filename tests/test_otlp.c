/*
 * The oracle of the encoders: the same spans, built as protobuf-c's structs and packed by it, must
 * be the same bytes; and the JSON, read by jansson, must say the same, field by field.
 */
#include "lines.h"

#include "export/export.h"
#include "export/proto/trace.pb-c.h"

#include <errno.h>
#include <jansson.h>

#define SCHEMA "https://opentelemetry.io/schemas/1.44.0"

/* ---- what to encode -------------------------------------------------------------------------- */

/* Lines of one host; `repeat` times all of them. */
struct group {
	const char *host;
	const char *const *lines;
	size_t n, repeat;
};

static const struct resource plain = {
	.service_name = { "haproxy", 7 },
	.keys = { { "service.name", 12 } },
	.values = { { "haproxy", 7 } },
	.n = 1,
	.version = { "1.2.3", 5 },
};

static void encode(struct lines *l, const struct encoder *e, const struct resource *res,
		   const struct group *g, size_t ngroups, struct buf *out)
{
	out->len = 0;
	for (size_t i = 0; i < ngroups; i++) {
		size_t mark;

		e->open(out, res, slice_str(g[i].host), &mark);
		for (size_t k = 0; k < g[i].repeat * g[i].n; k++) {
			lines_request(l, g[i].lines[k % g[i].n]);
			e->trace(out, &l->parser.rec, &l->trace);
		}
		e->close(out, mark);
	}
	if (e->seal)
		e->seal(out);
}

/* ---- the same by protobuf-c ------------------------------------------------------------------ */

static char *copy(struct arena *a, struct slice s)
{
	char *p = arena_alloc(a, s.len + 1);

	assert_true(s.len == 0 ||
		    !memchr(s.p, '\0', s.len)); /* a C string is what protobuf-c takes */
	if (s.len)
		memcpy(p, s.p, s.len);
	return p;
}

static ProtobufCBinaryData bytes(struct arena *a, const uint64_t *words, size_t n)
{
	ProtobufCBinaryData b = { 8 * n, arena_alloc(a, 8 * n) };

	for (size_t i = 0; i < 8 * n; i++)
		b.data[i] = (uint8_t)(words[i / 8] >> (56 - 8 * (i % 8)));
	return b;
}

static Otlp__AnyValue *any_text(struct arena *a, struct slice s)
{
	Otlp__AnyValue *v = arena_alloc(a, sizeof(*v));

	otlp__any_value__init(v);
	v->value_case = OTLP__ANY_VALUE__VALUE_STRING_VALUE;
	v->string_value = copy(a, s);
	return v;
}

static Otlp__AnyValue *any_int(struct arena *a, int64_t n)
{
	Otlp__AnyValue *v = arena_alloc(a, sizeof(*v));

	otlp__any_value__init(v);
	v->value_case = OTLP__ANY_VALUE__VALUE_INT_VALUE;
	v->int_value = n;
	return v;
}

static Otlp__AnyValue *any_bool(struct arena *a, bool b)
{
	Otlp__AnyValue *v = arena_alloc(a, sizeof(*v));

	otlp__any_value__init(v);
	v->value_case = OTLP__ANY_VALUE__VALUE_BOOL_VALUE;
	v->bool_value = b;
	return v;
}

static Otlp__AnyValue *any_list(struct arena *a, const struct slice *s, size_t n)
{
	Otlp__AnyValue *v = arena_alloc(a, sizeof(*v));

	otlp__any_value__init(v);
	v->value_case = OTLP__ANY_VALUE__VALUE_ARRAY_VALUE;
	v->array_value = arena_alloc(a, sizeof(*v->array_value));
	otlp__array_value__init(v->array_value);
	v->array_value->n_values = n;
	v->array_value->values = arena_alloc(a, (n + 1) * sizeof(*v->array_value->values));
	for (size_t i = 0; i < n; i++)
		v->array_value->values[i] = any_text(a, s[i]);
	return v;
}

static Otlp__KeyValue *pair(struct arena *a, struct slice key, Otlp__AnyValue *value)
{
	Otlp__KeyValue *kv = arena_alloc(a, sizeof(*kv));

	otlp__key_value__init(kv);
	kv->key = copy(a, key);
	kv->value = value;
	return kv;
}

/* A whole decimal number? */
static bool is_number(struct slice s, int64_t *out)
{
	const char *text = lines_text(s);
	char *end;

	if (!*text || strspn(text, "-0123456789") != strlen(text))
		return false;
	errno = 0;
	*out = strtoll(text, &end, 10);
	return *end == '\0' && end > text + (*text == '-') && errno == 0 && *out != INT64_MIN;
}

/* The value of a row of the plan, looked up here and nowhere else; NULL: the record has none. */
static Otlp__AnyValue *value_of(struct arena *a, const struct attr *row, const struct record *r)
{
	const struct captures *c;
	struct slice s = { NULL, 0 };
	int64_t num = 0;

	switch ((enum attr_from)row->from) {
	case FROM_SLOT:
		if (!record_has(r, (enum slot)row->index))
			return NULL;
		if (row->type == ATTR_TEXT)
			s = r->v[row->index].text;
		else
			num = r->v[row->index].num;
		break;
	case FROM_EXTRA:
		if (!(r->have_extra >> row->index & 1))
			return NULL;
		s = r->extra[row->index];
		break;
	case FROM_REQUEST_CAPTURE:
	case FROM_RESPONSE_CAPTURE:
		c = &r->cap[row->from == FROM_REQUEST_CAPTURE ? CAPTURE_REQUEST : CAPTURE_RESPONSE];
		if (row->index >= c->n || c->v[row->index].len == 0)
			return NULL;
		s = c->v[row->index];
		break;
	case FROM_BLOCK:
	case FROM_ONE_BLOCK:
		c = &r->cap[row->index];
		if (c->n == 0 || !!(r->flags & RECORD_ONE_BLOCK) != (row->from == FROM_ONE_BLOCK))
			return NULL;
		return any_list(a, c->v, c->n);
	}
	switch ((enum attr_type)row->type) {
	case ATTR_TEXT:
		return any_text(a, s);
	case ATTR_INT:
		return any_int(a, num);
	case ATTR_TIMER:
		return num < 0 ? NULL : any_int(a, num);
	case ATTR_BOOL:
		return any_bool(a, num != 0);
	case ATTR_LIST:
		return any_list(a, &s, 1);
	case ATTR_NUMBER_TEXT:
		return is_number(s, &num) ? any_int(a, num) : any_text(a, s);
	case ATTR_BOOL_TEXT:
		return any_bool(a, s.len && (*s.p == '1' || *s.p == 't'));
	case ATTR_LISTS:
		break;
	}
	fail_msg("a list that is no block");
	return NULL;
}

static Otlp__Span *span_of(struct arena *a, const struct lines *l, const struct span *s)
{
	const struct plan *plan = l->parser.rec.format->plan;
	const struct attrs *rows = s->role == ROLE_CLIENT ? &plan->client :
				   s->role != ROLE_SERVER ? NULL :
				   l->trace.has_client	  ? &plan->server :
							    &plan->server_alone;
	uint64_t trace_id[2] = { l->trace.id_hi, l->trace.id_lo };
	Otlp__Span *out = arena_alloc(a, sizeof(*out));

	otlp__span__init(out);
	out->trace_id = bytes(a, trace_id, 2);
	out->span_id = bytes(a, &s->id, 1);
	out->trace_state = copy(a, l->trace.state);
	if (s->parent)
		out->parent_span_id = bytes(a, &s->parent, 1);
	out->name = copy(a, s->name);
	out->kind = (Otlp__Span__SpanKind)s->kind;
	out->start_time_unix_nano = s->start_ns;
	out->end_time_unix_nano = s->end_ns;
	out->flags = l->trace.flags | 0x100u | (s->parent_remote ? 0x200u : 0);
	out->attributes = arena_alloc(a, ((rows ? rows->n : 0) + 1) * sizeof(*out->attributes));
	if (s->error_type.len)
		out->attributes[out->n_attributes++] =
			pair(a, SLICE("error.type"), any_text(a, s->error_type));
	for (uint32_t i = 0; rows && i < rows->n; i++) {
		Otlp__AnyValue *v = value_of(a, attrs_row(rows, i), &l->parser.rec);

		if (v)
			out->attributes[out->n_attributes++] = pair(a, attrs_row(rows, i)->key, v);
	}
	if (s->status) {
		out->status = arena_alloc(a, sizeof(*out->status));
		otlp__status__init(out->status);
		out->status->code = (Otlp__Status__StatusCode)s->status;
	}
	return out;
}

static Otlp__ResourceSpans *group_of(struct arena *a, struct lines *l, const struct resource *res,
				     const struct group *g)
{
	Otlp__ResourceSpans *rs = arena_alloc(a, sizeof(*rs));
	Otlp__ScopeSpans *ss = arena_alloc(a, sizeof(*ss));

	otlp__resource_spans__init(rs);
	otlp__scope_spans__init(ss);
	rs->resource = arena_alloc(a, sizeof(*rs->resource));
	otlp__resource__init(rs->resource);
	rs->resource->attributes = arena_alloc(a, (res->n + 1) * sizeof(*rs->resource->attributes));
	for (uint32_t i = 0; i < res->n; i++)
		rs->resource->attributes[rs->resource->n_attributes++] =
			pair(a, res->keys[i], any_text(a, res->values[i]));
	if (*g->host)
		rs->resource->attributes[rs->resource->n_attributes++] =
			pair(a, SLICE("host.name"), any_text(a, slice_str(g->host)));
	rs->n_scope_spans = 1;
	rs->scope_spans = arena_alloc(a, sizeof(*rs->scope_spans));
	rs->scope_spans[0] = ss;
	ss->scope = arena_alloc(a, sizeof(*ss->scope));
	otlp__instrumentation_scope__init(ss->scope);
	ss->scope->name = copy(a, SLICE("haspan"));
	ss->scope->version = copy(a, res->version);
	ss->schema_url = copy(a, SLICE(SCHEMA));
	ss->spans = arena_alloc(a, (g->n * g->repeat * SPANS_MAX + 1) * sizeof(*ss->spans));
	for (size_t k = 0; k < g->repeat * g->n; k++) {
		lines_request(l, g->lines[k % g->n]);
		for (uint32_t i = 0; i < l->trace.n; i++)
			ss->spans[ss->n_spans++] = span_of(a, l, &l->trace.span[i]);
	}
	return rs;
}

/* How many bytes the length of group `i` takes in `p`; tells whether a test meets what it wants to
 * meet. */
static size_t length_bytes(const struct buf *b, size_t at)
{
	size_t n = 1;

	while ((unsigned char)b->p[at + n] & 128)
		n++;
	return n;
}

/* ---- the same in JSON ------------------------------------------------------------------------ */

static const char *json_text(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_string(v))
		fail_msg("%s is no string", key);
	assert_int_equal(strlen(json_string_value(v)), json_string_length(v));
	return json_string_value(v);
}

static void check_hex(const json_t *o, const char *key, const ProtobufCBinaryData *want)
{
	char text[40];

	for (size_t i = 0; i < want->len; i++)
		snprintf(text + 2 * i, sizeof(text) - 2 * i, "%02x", want->data[i]);
	assert_string_equal(json_text(o, key), text);
}

static void check_uint64(const json_t *o, const char *key, uint64_t want)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)want);
	assert_string_equal(json_text(o, key), text);
}

static void check_any(const json_t *o, const Otlp__AnyValue *want)
{
	char text[24];
	const json_t *list;

	assert_int_equal(json_object_size(o), 1);
	switch (want->value_case) {
	case OTLP__ANY_VALUE__VALUE_STRING_VALUE:
		assert_string_equal(json_text(o, "stringValue"), want->string_value);
		break;
	case OTLP__ANY_VALUE__VALUE_INT_VALUE:
		snprintf(text, sizeof(text), "%lld", (long long)want->int_value);
		assert_string_equal(json_text(o, "intValue"), text);
		break;
	case OTLP__ANY_VALUE__VALUE_BOOL_VALUE:
		assert_true(json_is_boolean(json_object_get(o, "boolValue")));
		assert_int_equal(json_is_true(json_object_get(o, "boolValue")), want->bool_value);
		break;
	case OTLP__ANY_VALUE__VALUE_ARRAY_VALUE:
		assert_int_equal(json_object_size(json_object_get(o, "arrayValue")), 1);
		list = json_object_get(json_object_get(o, "arrayValue"), "values");
		assert_int_equal(json_array_size(list), want->array_value->n_values);
		for (size_t i = 0; i < want->array_value->n_values; i++)
			check_any(json_array_get(list, i), want->array_value->values[i]);
		break;
	default:
		fail_msg("a value of another kind");
	}
}

static void check_pairs(const json_t *list, Otlp__KeyValue *const *want, size_t n)
{
	assert_true(json_is_array(list));
	assert_int_equal(json_array_size(list), n);
	for (size_t i = 0; i < n; i++) {
		const json_t *o = json_array_get(list, i);

		assert_int_equal(json_object_size(o), 2);
		assert_string_equal(json_text(o, "key"), want[i]->key);
		check_any(json_object_get(o, "value"), want[i]->value);
	}
}

static void check_span(const json_t *o, const Otlp__Span *want)
{
	size_t keys = 8;

	check_hex(o, "traceId", &want->trace_id);
	check_hex(o, "spanId", &want->span_id);
	if (want->parent_span_id.len) {
		check_hex(o, "parentSpanId", &want->parent_span_id);
		keys++;
	}
	if (*want->trace_state) {
		assert_string_equal(json_text(o, "traceState"), want->trace_state);
		keys++;
	}
	assert_string_equal(json_text(o, "name"), want->name);
	assert_true(json_is_integer(json_object_get(o, "kind")));
	assert_int_equal(json_integer_value(json_object_get(o, "kind")), want->kind);
	check_uint64(o, "startTimeUnixNano", want->start_time_unix_nano);
	check_uint64(o, "endTimeUnixNano", want->end_time_unix_nano);
	check_pairs(json_object_get(o, "attributes"), want->attributes, want->n_attributes);
	if (want->status) {
		const json_t *status = json_object_get(o, "status");

		assert_int_equal(json_object_size(status), 1);
		assert_int_equal(json_integer_value(json_object_get(status, "code")),
				 want->status->code);
		keys++;
	}
	assert_true(json_is_integer(json_object_get(o, "flags")));
	assert_int_equal(json_integer_value(json_object_get(o, "flags")), want->flags);
	assert_int_equal(json_object_size(o), keys);
}

static void check_json(const struct buf *line, const Otlp__ExportTraceServiceRequest *want)
{
	json_error_t error;
	json_t *root, *groups;

	/* One line, and nothing in it that a terminal or a page could trip over. */
	assert_true(line->len > 1 && line->p[line->len - 1] == '\n');
	for (size_t i = 0; i + 1 < line->len; i++)
		if ((unsigned char)line->p[i] < 0x20 || line->p[i] == 0x7f)
			fail_msg("byte %02x at %zu", (unsigned char)line->p[i], i);
	root = json_loadb(line->p, line->len, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		fail_msg("%s at %d", error.text, error.position);
	assert_int_equal(json_object_size(root), 1);
	groups = json_object_get(root, "resourceSpans");
	assert_int_equal(json_array_size(groups), want->n_resource_spans);
	for (size_t g = 0; g < want->n_resource_spans; g++) {
		const Otlp__ResourceSpans *rs = want->resource_spans[g];
		const Otlp__ScopeSpans *ss = rs->scope_spans[0];
		const json_t *o = json_array_get(groups, g), *scopes, *scope, *spans;

		assert_int_equal(json_object_size(o), 2);
		assert_int_equal(json_object_size(json_object_get(o, "resource")), 1);
		check_pairs(json_object_get(json_object_get(o, "resource"), "attributes"),
			    rs->resource->attributes, rs->resource->n_attributes);
		scopes = json_object_get(o, "scopeSpans");
		assert_int_equal(json_array_size(scopes), rs->n_scope_spans);
		scope = json_object_get(json_array_get(scopes, 0), "scope");
		assert_int_equal(json_object_size(json_array_get(scopes, 0)), 3);
		assert_int_equal(json_object_size(scope), 2);
		assert_string_equal(json_text(scope, "name"), ss->scope->name);
		assert_string_equal(json_text(scope, "version"), ss->scope->version);
		assert_string_equal(json_text(json_array_get(scopes, 0), "schemaUrl"),
				    ss->schema_url);
		spans = json_object_get(json_array_get(scopes, 0), "spans");
		assert_int_equal(json_array_size(spans), ss->n_spans);
		for (size_t i = 0; i < ss->n_spans; i++)
			check_span(json_array_get(spans, i), ss->spans[i]);
	}
	json_decref(root);
}

/* ---- both ------------------------------------------------------------------------------------ */

/* Encode, and compare with the oracle. Returns the bytes of the length of the first group. */
static size_t check_groups(struct lines *l, const struct resource *res, const struct group *g,
			   size_t ngroups)
{
	Otlp__ExportTraceServiceRequest want = OTLP__EXPORT_TRACE_SERVICE_REQUEST__INIT, *got;
	struct buf proto = { .max = (size_t)1 << 28 }, json = { .max = (size_t)1 << 28 };
	struct arena a = { .chunks = NULL };
	uint8_t *packed;
	size_t len, first;

	want.n_resource_spans = ngroups;
	want.resource_spans = arena_alloc(&a, (ngroups + 1) * sizeof(*want.resource_spans));
	for (size_t i = 0; i < ngroups; i++)
		want.resource_spans[i] = group_of(&a, l, res, &g[i]);
	len = otlp__export_trace_service_request__get_packed_size(&want);
	packed = malloc(len + 1);
	assert_non_null(packed);
	assert_int_equal(otlp__export_trace_service_request__pack(&want, packed), len);

	encode(l, &encoder_protobuf, res, g, ngroups, &proto);
	for (size_t i = 0; i < len && i < proto.len; i++)
		if ((uint8_t)proto.p[i] != packed[i])
			fail_msg("byte %zu of %zu (the oracle has %zu)", i, proto.len, len);
	assert_int_equal(proto.len, len);
	first = length_bytes(&proto, 0);

	/* What went out can be read again, and the JSON says the same as that. */
	got = otlp__export_trace_service_request__unpack(NULL, proto.len, (uint8_t *)proto.p);
	assert_non_null(got);
	encode(l, &encoder_json, res, g, ngroups, &json);
	check_json(&json, got);

	otlp__export_trace_service_request__free_unpacked(got, NULL);
	buf_free(&proto);
	buf_free(&json);
	free(packed);
	arena_free(&a);
	return first;
}

static void check_lines(struct lines *l, const char *const *lines, size_t n)
{
	struct group g = { "", lines, n, 1 };

	check_groups(l, &plain, &g, 1);
	for (size_t i = 0; i < n; i++) {
		struct group one = { "lb1", &lines[i], 1, 1 };

		check_groups(l, &plain, &one, 1);
	}
}

/* Written by HAProxy 3.2.26 and 2.6.12, or as they write. */
static const char *const real[] = {
	"127.0.0.1:49686 [21/Nov/2026:08:15:44.900] fe_http be_app/app1 0/0/0/21/21 200 68 - "
	"sid=abc ---- 1/1/0/0/0 0/0 "
	"{00-a4c956f44e22f6691894170d4f4ef702-e1ffee0151ba5687-01|127.0.0.1:21001|lab/1.0 "
	"#22quoted#22 "
	"#7Bbrace#7D#7Cpipe} {3} \"GET /sleep/20 HTTP/1.1\"",
	"127.0.0.1:49696 [21/Nov/2026:08:15:44.927] fe_http be_app/app2 0/0/0/0/0 404 68 - sid=abc "
	"---- 1/1/0/0/0 0/0 "
	"{|127.0.0.1:21001|lab/1.0} {3} \"GET /status/404 HTTP/1.1\"",
	"127.0.0.1:49716 [21/Nov/2026:08:15:44.939] fe_http be_app/app2 1/2/3/5/25 500 68 - "
	"sid=abc ---- 1/1/0/0/+2 0/0 "
	"{|127.0.0.1:21001|lab/1.0} {3} \"POST /sleep/5?x=1&y=%20%22q%22&sig=abc HTTP/1.1\"",
	"127.0.0.1:49760 [21/Nov/2026:08:15:45.111] fe_http be_app/app2 0/0/0/-1/0 502 209 - - "
	"SH-- 1/1/0/0/0 0/0 "
	"{|127.0.0.1:21001|lab/1.0} {} \"GET /close HTTP/1.1\"",
	"127.0.0.1:49770 [21/Nov/2026:08:15:45.117] fe_http be_app/app1 0/0/0/0/7 200 58 - - CD-- "
	"1/1/0/0/0 0/0 "
	"{|||} \"GET /half HTTP/1.1\"",
	"127.0.0.1:57436 [21/Nov/2026:08:15:45.765] fe_asap be_app/app1 0/0/0/20/+20 200 +68 - - "
	"---- 3/1/3/1/0 0/0 "
	"\"GET /sleep/20 HTTP/1.1\"",
	"127.0.0.1:1 [21/Nov/2026:08:15:45.765] fe fe/<NOSRV> -1/-1/-1/-1/12 400 0 - - CR-- "
	"3/1/3/1/0 0/0 \"<BADREQ>\"",
	"127.0.0.1:1 [21/Nov/2026:08:15:45.765] fe fe/<STATS> 0/0/0/1/1 200 1234567 - - LR-- "
	"3/1/3/1/0 0/0 "
	"\"BREW /pot HTTP/1.1\"",
	"127.0.0.1:1 [21/Nov/2026:08:15:45.765] fe be/<NOSRV> -1/301/-1/-1/300 429 0 - - PT-- "
	"3/1/3/1/0 0/0 "
	"\"GET /t HTTP/1.1\"",
	"127.0.0.1:1 [21/Nov/2026:08:15:45.765] fe be/<NOSRV> 0/-1/-1/-1/0 503 0 - - SC-- "
	"3/1/3/1/0 0/0 \"GET /t HTTP/1.1\"",
	"127.0.0.1:33860 [21/Nov/2026:08:15:48.818] fe~ be/app1 0/0/0/20/20 200 68 - - ---- "
	"3/1/2/0/0 0/0 {} "
	"\"GET https://h/x HTTP/2.0\" 0/0000000000000000/0/0/0 h/TLSv1.3/TLS_AES_256_GCM_SHA384",
	"127.0.0.1:46240 [21/Nov/2026:08:15:54.877] fe be/t1 1/2/24 61 -- 1/1/0/0/0 0/0",
	"127.0.0.1 - - [21/Nov/2026:08:15:45 +0000] \"GET /x HTTP/1.1\" 200 68 \"\" \"\" 35180 333 "
	"\"fe\" \"be\" \"app1\" 0 "
	"0 0 20 20 ---- 2 1 1 0 0 0 0 \"\" \"\" \"a\" \"b\"",
	"127.0.0.1:33870 [21/Nov/2026:08:15:48.876] fe/1: SSL handshake failure "
	"(error:0A0000C6:SSL routines::packet length "
	"too long)",
	"2001:db8::1:33870 [21/Nov/2026:08:15:48.876] fe be/app 0/0/0/5/5 200 999999999999 - - "
	"---- 3/1/2/0/0 0/0 "
	"\"GET / HTTP/1.1\"",
};

static void real_lines_are_what_protobuf_c_makes_of_them(void **state)
{
	static const char *const names[][2] = { { NULL, NULL },
						{ "traceparent,host,user-agent", "content-length" },
						{ "host", NULL },
						{ NULL, "content-length" } };

	(void)state;
	for (size_t k = 0; k < COUNT(names); k++)
		for (int phases = PHASES_AUTO; phases <= PHASES_NONE; phases++) {
			struct lines l;

			lines_init(&l);
			l.rules.phases = (enum phases)phases;
			l.rules.routes[l.rules.nroutes++] = SLICE("/sleep/{ms}");
			if (names[k][0])
				lines_captures(&l, CAPTURE_REQUEST, names[k][0]);
			if (names[k][1])
				lines_captures(&l, CAPTURE_RESPONSE, names[k][1]);
			lines_format(&l, "auto");
			lines_start(&l, "UTC");
			check_lines(&l, real, COUNT(real));
			lines_free(&l);
		}
}

static void every_kind_of_value_is_encoded(void **state)
{
	static const char *const lines[] = {
		/* integers by size, negative ones too; booleans; numbers that are none */
		"21/Nov/2026:08:15:48.876 20 app -1 0 127 128 16383 16384 n=-5 ok=1 text",
		"21/Nov/2026:08:15:48.876 20 app -300 2097151 2097152 268435455 268435456 "
		"34359738367 n=0 ok=0 text",
		"21/Nov/2026:08:15:48.876 20 app 999999999999999999 -999999999999999999 4294967295 "
		"4294967296 1 2 "
		"n=999999999999999999 ok=true -",
		"21/Nov/2026:08:15:48.876 20 app 1 2 3 4 5 6 n=12x ok=false \"quoted\" \\ back",
		"21/Nov/2026:08:15:48.876 20 app 1 2 3 4 5 6 n=- ok=- x",
		"21/Nov/2026:08:15:48.876 20 app 1 2 3 4 5 6 n=1234567890123456789 ok=x x",
		"21/Nov/2026:08:15:48.876 20 app 1 2 3 4 5 6 n=9223372036854775807 ok=x x",
		"21/Nov/2026:08:15:48.876 20 app 1 2 3 4 5 6 n=-9223372036854775807 ok=x x",
		"21/Nov/2026:08:15:48.876 20 app 1 2 3 4 5 6 n=9223372036854775808 ok=x x",
		"21/Nov/2026:08:15:48.876 20 app 1 2 3 4 5 6 n=99999999999999999999 ok=x x",
		"21/Nov/2026:08:15:48.876 20 app 1 2 3 4 5 6 n=-- ok=t caf\xc3\xa9 "
		"\xf0\x9f\x98\x80 \xe2\x80\xa8\xe2\x80\xa9",
		"21/Nov/2026:08:15:48.876 20 app 1 2 3 4 5 6 n=1 ok=1 "
		"\xff\x01\x1f\x7f</script>\t\b\f",
	};
	struct lines l;

	(void)state;
	lines_init(&l);
	lines_map(&l, "var(txn.text)", "enduser.id");
	lines_format(&l, "%tr %Ta %s %B %U %ac %fc %bc %sc n=%(n:sint)[var(txn.n)] "
			 "ok=%(ok:bool)[var(txn.ok)] "
			 "%[var(txn.text)]");
	lines_start(&l, "UTC");
	check_lines(&l, lines, COUNT(lines));
	lines_free(&l);
}

static void trace_state_and_remote_parents_are_encoded(void **state)
{
	static const char *const lines[] = {
		"fe {00-a4c956f44e22f6691894170d4f4ef702-e1ffee0151ba5687-01|foo=1,bar=2} "
		"21/Nov/2026:08:15:48.876 app 0/0/20",
		"fe {00-a4c956f44e22f6691894170d4f4ef702-e1ffee0151ba5687-03|} "
		"21/Nov/2026:08:15:48.876 app 0/0/20",
		"fe {00-00000000000000000000000000000001-0000000000000001-01|k=#22\\\\#23} "
		"21/Nov/2026:08:15:48.876 app 0/0/2",
		"fe {|foo=1} 21/Nov/2026:08:15:48.876 app 0/0/20",
		"fe {00-a4c956f44e22f6691894170d4f4ef702-e1ffee0151ba5687-01|FOO=1} "
		"21/Nov/2026:08:15:48.876 app 0/0/20",
	};
	char state_of_512[700];
	const char *long_line = state_of_512;
	struct lines l;
	size_t n;

	(void)state;
	lines_init(&l);
	lines_captures(&l, CAPTURE_REQUEST, "traceparent,tracestate");
	lines_format(&l, "%f %hr %tr %s %Tc/%Tr/%Ta");
	lines_start(&l, "UTC");
	check_lines(&l, lines, COUNT(lines));
	/* one whose length takes two bytes */
	n = (size_t)snprintf(state_of_512, sizeof(state_of_512),
			     "fe {00-a4c956f44e22f6691894170d4f4ef702-e1ffee0151ba5687-01|k=");
	memset(state_of_512 + n, 'v', 200);
	n += 200;
	n += (size_t)snprintf(state_of_512 + n, sizeof(state_of_512) - n, ",m=");
	memset(state_of_512 + n, 'v', 200);
	n += 200;
	snprintf(state_of_512 + n, sizeof(state_of_512) - n,
		 "} 21/Nov/2026:08:15:48.876 app 0/0/20");
	check_lines(&l, &long_line, 1);
	assert_int_equal(l.trace.state.len, 405);
	lines_free(&l);
}

/* Lengths stand before their content, and each of them may need another byte at any length. */
static void text_of_every_length_is_encoded(void **state)
{
	/* around one and two bytes of length, two and three, and what a line can hold at most */
	static const size_t ranges[][2] = { { 1, 320 }, { 16300, 16400 }, { 66000, 66003 } };
	char *line = malloc(70000);
	const char *const lines[] = { line };
	struct lines l;

	(void)state;
	assert_non_null(line);
	lines_init(&l);
	lines_format(&l, "%tr %Ta %s %HU");
	lines_start(&l, "UTC");
	for (size_t k = 0; k < COUNT(ranges); k++)
		for (size_t n = ranges[k][0]; n < ranges[k][1]; n++) {
			struct group g = { "", lines, 1, 1 };
			int head = snprintf(line, 70000, "21/Nov/2026:08:15:48.876 20 app /");

			memset(line + head, 'a', n - 1);
			line[(size_t)head + n - 1] = '\0';
			check_groups(&l, &plain, &g, 1);
			assert_int_equal(record_text(&l.parser.rec, SLOT_x_path).len, n);
		}
	lines_free(&l);
	free(line);
}

static void keys_of_every_length_are_encoded(void **state)
{
	static char key[400];

	(void)state;
	for (size_t n = 3; n < 300; n++) {
		static const char *const lines[] = { "21/Nov/2026:08:15:48.876 20 app value" };
		struct lines l;

		memset(key, 'k', n);
		key[1] = '.';
		key[n] = '\0';
		lines_init(&l);
		lines_map(&l, "var(txn.x)", key);
		lines_format(&l, "%tr %Ta %s %[var(txn.x)]");
		lines_start(&l, "UTC");
		check_lines(&l, lines, 1);
		assert_string_equal(lines_attr(&l, ROLE_SERVER, key), "value");
		lines_free(&l);
	}
}

static void lists_of_every_size_are_encoded(void **state)
{
	struct lines l;

	(void)state;
	lines_simple(&l, "httplog");
	for (int n = 1; n <= CAPTURES_MAX + 3; n++)
		for (int len = 0; len < 300; len += 37) {
			char line[12000];
			const char *const lines[] = { line };
			size_t at = (size_t)snprintf(line, sizeof(line),
						     "127.0.0.1:1 [21/Nov/2026:08:15:45.765] fe "
						     "be/app "
						     "0/0/0/20/20 200 68 - - ---- 3/1/3/1/0 0/0 {");

			for (int i = 0; i < n; i++) {
				if (i)
					line[at++] = '|';
				memset(line + at, 'a' + i % 26, (size_t)len);
				at += (size_t)len;
			}
			snprintf(line + at, sizeof(line) - at, "} {} \"GET / HTTP/1.1\"");
			check_lines(&l, lines, 1);
			assert_int_equal(l.parser.rec.cap[CAPTURE_REQUEST].n,
					 n < CAPTURES_MAX ? n : CAPTURES_MAX);
		}
	lines_free(&l);
}

/* ---- groups ---------------------------------------------------------------------------------- */

static void the_length_of_a_group_takes_one_to_four_bytes(void **state)
{
	struct resource none = { .version = { "0", 1 } };
	char *long_line = malloc(5000);
	const char *const long_lines[] = { long_line };
	struct group g = { "", real, 0, 1 };
	struct lines l;

	(void)state;
	assert_non_null(long_line);
	lines_init(&l);
	lines_format(&l, "auto");
	lines_format(&l, "%tr %Ta %s %HU");
	lines_start(&l, "UTC");
	/* no span at all */
	assert_int_equal(check_groups(&l, &none, &g, 1), 1);
	g.n = 1;
	assert_int_equal(check_groups(&l, &plain, &g, 1), 2);
	/* every number of spans around two and three bytes */
	for (g.repeat = 1; g.repeat < 40; g.repeat++)
		assert_in_range(check_groups(&l, &plain, &g, 1), 2, 3);
	g.repeat = 1000;
	assert_int_equal(check_groups(&l, &plain, &g, 1), 3);
	snprintf(long_line, 5000, "21/Nov/2026:08:15:48.876 20 app /");
	memset(long_line + strlen(long_line), 'a', 4000);
	long_line[4033] = '\0';
	g = (struct group){ "", long_lines, 1, 1000 };
	assert_int_equal(check_groups(&l, &plain, &g, 1), 4);
	lines_free(&l);
	free(long_line);
}

static void several_origins_are_several_groups(void **state)
{
	char long_host[256];
	const struct group g[] = {
		{ "", real, COUNT(real), 1 },
		{ "lb1", real, 1, 1 },
		{ "lb2.example.org", real, COUNT(real),
		  100 }, /* three bytes of length between others */
		{ long_host, real + 3, 2, 1 },
		{ "empty", real, 0, 0 },
		{ "lb1", real + 1, 1, 300 },
		{ "last", real, 1, 1 },
	};
	struct lines l;

	(void)state;
	memset(long_host, 'h', sizeof(long_host) - 1);
	long_host[sizeof(long_host) - 1] = '\0';
	lines_simple(&l, "auto");
	for (size_t n = 1; n <= COUNT(g); n++)
		check_groups(&l, &plain, g, n);
	lines_free(&l);
}

static void the_resource_has_every_attribute_that_was_given(void **state)
{
	static char value[20000];
	struct resource res = { .version = { "v1.0.0-12-gdeadbee", 18 } };
	struct group g = { "lb1", real, 1, 1 };
	struct lines l;

	(void)state;
	memset(value, 'v', sizeof(value));
	lines_simple(&l, "auto");
	for (uint32_t n = 0; n <= 32; n++) {
		static char keys[32][160];

		res.n = n;
		check_groups(&l, &res, &g, 1);
		g.host = n & 1 ? "lb1" : "";
		if (n == 32)
			break;
		/* keys and values of 1 to 155 bytes, one value of 20,000 */
		memset(keys[n], 'k', sizeof(keys[n]));
		res.keys[n] = slice_of(keys[n], 1 + n * 5);
		res.values[n] = slice_of(value, n == 20 ? sizeof(value) : n * 10);
	}
	res = plain;
	res.values[0] = SLICE("h\xc3\xa9 \"quoted\"\n\\");
	check_groups(&l, &res, &g, 1);
	lines_free(&l);
}

/* A buffer is used again and again: what was in it must not show. */
static void a_used_buffer_gives_the_same_bytes(void **state)
{
	const struct group g[] = { { "lb1", real, COUNT(real), 1 }, { "", real, 3, 1 } };
	struct buf once = { .max = 1 << 20 }, again = { .max = 1 << 20 };
	struct lines l;

	(void)state;
	lines_simple(&l, "auto");
	for (int json = 0; json < 2; json++) {
		const struct encoder *e = json ? &encoder_json : &encoder_protobuf;

		encode(&l, e, &plain, g, COUNT(g), &once);
		encode(&l, e, &plain, &(struct group){ "other", real + 2, 5, 20 }, 1, &again);
		encode(&l, e, &plain, g, COUNT(g), &again);
		assert_int_equal(once.len, again.len);
		assert_memory_equal(once.p, again.p, once.len);
	}
	buf_free(&once);
	buf_free(&again);
	lines_free(&l);
}

static void no_traces_at_all_are_no_bytes(void **state)
{
	struct buf out = { .max = 4096 };

	(void)state;
	encoder_json.seal(&out);
	assert_int_equal(out.len, 0);
	assert_null(encoder_protobuf.seal);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_lines_are_what_protobuf_c_makes_of_them),
		cmocka_unit_test(every_kind_of_value_is_encoded),
		cmocka_unit_test(trace_state_and_remote_parents_are_encoded),
		cmocka_unit_test(text_of_every_length_is_encoded),
		cmocka_unit_test(keys_of_every_length_are_encoded),
		cmocka_unit_test(lists_of_every_size_are_encoded),
		cmocka_unit_test(the_length_of_a_group_takes_one_to_four_bytes),
		cmocka_unit_test(several_origins_are_several_groups),
		cmocka_unit_test(the_resource_has_every_attribute_that_was_given),
		cmocka_unit_test(a_used_buffer_gives_the_same_bytes),
		cmocka_unit_test(no_traces_at_all_are_no_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
