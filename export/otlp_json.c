/*
 * export/otlp_json.c - traces to OTLP JSON: one TracesData a line (OTLP specification, "JSON Protobuf Encoding";
 * ids are hex, 64-bit integers are strings, enums are numbers).
 *
 * A wire is one line: groups are separated by commas, and `seal` closes the line.
 */
#include "core/copy.h"
#include "core/hex.h"
#include "core/json.h"
#include "export/export.h"
#include "parse/format.h"

static char *decimal(char *p, uint64_t n)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + n % 10);
	while (n /= 10);
	memcpy(p, digits + at, sizeof(digits) - at);
	return p + sizeof(digits) - at;
}

static char *signed_decimal(char *p, int64_t n)
{
	if (n < 0)
		*p++ = '-';
	return decimal(p, n < 0 ? -(uint64_t)n : (uint64_t)n);
}

static inline char *put(char *p, const char *text, size_t n)
{
	memcpy(p, text, n);
	return p + n;
}

#define LITERAL(p, text) put(p, "" text, sizeof(text) - 1)

static void done(struct buf *out, const char *p)
{
	out->len = (size_t)(p - out->p);
}

/* ---- attributes -------------------------------------------------------------------------------------- */

static void value_text(struct buf *out, struct slice s)
{
	buf_lit(out, "\"stringValue\":\"");
	json_escape(out, s);
	buf_char(out, '"');
}

static void value_int(struct buf *out, int64_t n)
{
	char *p = LITERAL(buf_room(out, 64), "\"intValue\":\"");

	p = signed_decimal(p, n);
	*p++ = '"';
	done(out, p);
}

static void value_bool(struct buf *out, bool b)
{
	if (b)
		buf_lit(out, "\"boolValue\":true");
	else
		buf_lit(out, "\"boolValue\":false");
}

static void value_list(struct buf *out, const struct slice *v, uint32_t n)
{
	buf_lit(out, "\"arrayValue\":{\"values\":[");
	for (uint32_t i = 0; i < n; i++) {
		if (i)
			buf_char(out, ',');
		buf_char(out, '{');
		value_text(out, v[i]);
		buf_char(out, '}');
	}
	buf_lit(out, "]}");
}

/* The shapes that are neither plain text nor a number in a slot. */
static void value_any(struct buf *out, const struct attr *a, const struct record *r, union value v)
{
	int64_t num;

	switch ((enum attr_type)a->type) {
	case ATTR_BOOL:
		value_bool(out, v.num != 0);
		break;
	case ATTR_LIST:
		value_list(out, &v.text, 1);
		break;
	case ATTR_LISTS:
		value_list(out, r->cap[a->index].v, r->cap[a->index].n);
		break;
	case ATTR_NUMBER_TEXT:
		if (attr_number(v.text, &num))
			value_int(out, num);
		else
			value_text(out, v.text);
		break;
	case ATTR_BOOL_TEXT:
		value_bool(out, attr_truth(v.text));
		break;
	case ATTR_TEXT:
		value_text(out, v.text);
		break;
	case ATTR_INT:
	case ATTR_TIMER:
	case ATTR_PAIRS:
		break;
	}
}

/* Members without a meaning: attributes whose keys the line gave, of bytes that need no escape. */
static void pairs(struct buf *out, const struct record *r, bool first)
{
	for (uint32_t i = 0; i < r->npairs; i++) {
		struct attr a = { .type = (uint8_t)attr_of_pair(&r->pair[i]) };

		if (!first || i)
			buf_char(out, ',');
		buf_lit(out, "{\"key\":\"");
		buf_slice(out, r->pair[i].key);
		buf_lit(out, "\",\"value\":{");
		value_any(out, &a, r, (union value){ .text = r->pair[i].value });
		buf_lit(out, "}}");
	}
}

/* Comma and key; returns where the value goes, with room for `n` bytes of it and 32 more. */
static inline char *attr_head(struct buf *out, const struct attr *a, bool first, size_t n)
{
	char *p = buf_room(out, a->key_json.len + PLAN_JSON_COPY + n + 32);

	if (!first)
		*p++ = ',';
	if (a->key_json.len <= PLAN_JSON_COPY)
		memcpy(p, a->key_json.p, PLAN_JSON_COPY);
	else
		memcpy(p, a->key_json.p, a->key_json.len);
	return p + a->key_json.len;
}

static void attr_text(struct buf *out, const struct attr *a, bool first, struct slice s)
{
	size_t plain = json_plain(s);
	char *p = copy_short(attr_head(out, a, first, s.len), s.p, plain);

	if (plain == s.len) {
		done(out, LITERAL(p, "\"}}"));
		return;
	}
	done(out, p);
	json_escape(out, slice_skip(s, plain));
	buf_lit(out, "\"}}");
}

static void attributes(struct buf *out, const struct attrs *attrs, const struct record *r, bool first)
{
	for (uint32_t i = 0; i < attrs->n; i++) {
		const struct attr *a = attrs_row(attrs, i);
		union value v;

		if (!attr_value(a, r, &v))
			continue;
		if (a->type == ATTR_TEXT) {
			attr_text(out, a, first, v.text);
		} else if (a->type <= ATTR_TIMER) {
			done(out, LITERAL(signed_decimal(attr_head(out, a, first, 24), v.num), "\"}}"));
		} else if (a->type == ATTR_PAIRS) {
			pairs(out, r, first);
		} else {
			done(out, attr_head(out, a, first, 0));
			value_any(out, a, r, v);
			buf_lit(out, "}}");
		}
		first = false;
	}
}

/* ---- spans ------------------------------------------------------------------------------------------- */

/* Up to the attributes. */
static void span_head(struct buf *out, const struct trace *t, const struct span *s)
{
	char *p = LITERAL(buf_room(out, 256), "{\"traceId\":\"");

	p = hex_put64(hex_put64(p, t->id_hi), t->id_lo);
	p = LITERAL(p, "\",\"spanId\":\"");
	done(out, hex_put64(p, s->id));
	if (t->state.len) {
		buf_lit(out, "\",\"traceState\":\"");
		json_escape(out, t->state);
	}
	p = buf_room(out, 256);
	if (s->parent) {
		p = LITERAL(p, "\",\"parentSpanId\":\"");
		p = hex_put64(p, s->parent);
	}
	done(out, LITERAL(p, "\",\"name\":\""));
	json_escape(out, s->name);
	p = LITERAL(buf_room(out, 256), "\",\"kind\":");
	*p++ = (char)('0' + s->kind);
	p = LITERAL(p, ",\"startTimeUnixNano\":\"");
	p = decimal(p, s->start_ns);
	p = LITERAL(p, "\",\"endTimeUnixNano\":\"");
	p = decimal(p, s->end_ns);
	done(out, LITERAL(p, "\",\"attributes\":["));
}

static void event_attr(struct buf *out, const struct event_attr *a)
{
	int64_t num;

	buf_lit(out, "{\"key\":\"");
	json_escape(out, a->key);
	buf_lit(out, "\",\"value\":{");
	if (a->type == ATTR_NUMBER_TEXT && attr_number(a->value, &num))
		value_int(out, num);
	else if (a->type == ATTR_BOOL_TEXT)
		value_bool(out, attr_truth(a->value));
	else
		value_text(out, a->value);
	buf_lit(out, "}}");
}

/* The lines of a request that has several. */
static void events(struct buf *out, const struct trace *t)
{
	buf_lit(out, "],\"events\":[");
	for (uint32_t i = 0; i < t->nevents; i++) {
		const struct event *e = &t->event[i];
		const struct event_attr origin = { SLICE("haproxy.log.origin"), e->origin, ATTR_TEXT };
		char *p = buf_room(out, 128);

		if (i)
			*p++ = ',';
		p = decimal(LITERAL(p, "{\"timeUnixNano\":\""), e->ns);
		done(out, LITERAL(p, "\",\"name\":\""));
		json_escape(out, e->name);
		buf_lit(out, "\",\"attributes\":[");
		if (e->origin.len)
			event_attr(out, &origin);
		for (uint32_t k = 0; k < e->nattrs; k++) {
			if (k || e->origin.len)
				buf_char(out, ',');
			event_attr(out, &e->attr[k]);
		}
		buf_lit(out, "]}");
	}
}

/* Behind the attributes. */
static void span_tail(struct buf *out, const struct trace *t, const struct span *s)
{
	unsigned flags = t->flags | 0x100u | (s->parent_remote ? 0x200u : 0);
	char *p;

	if (s->role == ROLE_SERVER && t->nevents)
		events(out, t);
	p = buf_room(out, 128);
	*p++ = ']';
	if (s->status)
		p = LITERAL(p, ",\"status\":{\"code\":2}");
	p = LITERAL(p, ",\"flags\":");
	p = decimal(p, flags);
	*p++ = '}';
	done(out, p);
}

static void span(struct buf *out, const struct record *r, const struct trace *t, const struct span *s)
{
	const struct plan *plan = r->format->plan;

	span_head(out, t, s);
	if (s->error_type.len) {
		buf_lit(out, "{\"key\":\"error.type\",\"value\":{");
		value_text(out, s->error_type);
		buf_lit(out, "}}");
	}
	if (s->role == ROLE_SERVER)
		attributes(out, t->has_client ? &plan->server : &plan->server_alone, r, !s->error_type.len);
	else if (s->role == ROLE_CLIENT)
		attributes(out, &plan->client, r, !s->error_type.len);
	span_tail(out, t, s);
}

static void json_trace(struct buf *out, const struct record *r, const struct trace *t)
{
	for (uint32_t i = 0; i < t->n; i++) {
		if (out->p[out->len - 1] == '}')
			buf_char(out, ',');
		span(out, r, t, &t->span[i]);
	}
}

/* ---- groups ------------------------------------------------------------------------------------------ */

static void resource_attribute(struct buf *out, struct slice key, struct slice val, bool first)
{
	if (!first)
		buf_char(out, ',');
	buf_lit(out, "{\"key\":\"");
	json_escape(out, key);
	buf_lit(out, "\",\"value\":{");
	value_text(out, val);
	buf_lit(out, "}}");
}

static void json_open(struct buf *out, const struct resource *res, struct slice host, size_t *mark)
{
	*mark = out->len;
	if (out->len == 0)
		buf_lit(out, "{\"resourceSpans\":[");
	else
		buf_char(out, ',');
	buf_lit(out, "{\"resource\":{\"attributes\":[");
	for (uint32_t i = 0; i < res->n; i++)
		resource_attribute(out, res->keys[i], res->values[i], i == 0);
	if (host.len)
		resource_attribute(out, SLICE("host.name"), host, res->n == 0);
	buf_lit(out, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"haspan\",\"version\":\"");
	buf_slice(out, res->version);
	buf_lit(out, "\"},\"spans\":[");
}

static void json_close(struct buf *out, size_t mark)
{
	(void)mark;
	buf_lit(out, "],\"schemaUrl\":\"https://opentelemetry.io/schemas/1.44.0\"}]}");
}

static void json_seal(struct buf *out)
{
	if (out->len)
		buf_lit(out, "]}\n");
}

const struct encoder encoder_json = { "json", json_open, json_trace, json_close, json_seal, false };
