/*
 * export/otlp_json.c - traces to OTLP JSON: one TracesData a line (OTLP specification, "JSON Protobuf Encoding";
 * ids are hex, 64-bit integers are strings, enums are numbers).
 *
 * A wire is one line: groups are separated by commas, and `seal` closes the line.
 */
#include "core/copy.h"
#include "core/json.h"
#include "export/export.h"
#include "parse/format.h"

static char *decimal(char *p, uint64_t n)
{
	char digits[20];
	size_t len = 0;

	do
		digits[len++] = (char)('0' + n % 10);
	while (n /= 10);
	while (len)
		*p++ = digits[--len];
	return p;
}

static char *signed_decimal(char *p, int64_t n)
{
	if (n < 0)
		*p++ = '-';
	return decimal(p, n < 0 ? -(uint64_t)n : (uint64_t)n);
}

static char *hex64(char *p, uint64_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (int shift = 60; shift >= 0; shift -= 4)
		*p++ = digits[n >> shift & 15];
	return p;
}

#define LITERAL(p, text) (memcpy((p), text, sizeof(text) - 1), (p) + sizeof(text) - 1)

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

static void value(struct buf *out, const struct attr *a, const struct record *r, union value v)
{
	int64_t num;

	switch ((enum attr_type)a->type) {
	case ATTR_TEXT:
		value_text(out, v.text);
		break;
	case ATTR_INT:
	case ATTR_TIMER:
		value_int(out, v.num);
		break;
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
	}
}

static void attributes(struct buf *out, const struct attrs *attrs, const struct record *r, bool first)
{
	for (uint32_t i = 0; i < attrs->n; i++) {
		const struct attr *a = &attrs->v[i];
		union value v;

		if (!attr_value(a, r, &v))
			continue;
		if (!first)
			buf_char(out, ',');
		first = false;
		buf_slice(out, a->key_json);
		value(out, a, r, v);
		buf_lit(out, "}}");
	}
}

/* ---- spans ------------------------------------------------------------------------------------------- */

static void span(struct buf *out, const struct record *r, const struct trace *t, const struct span *s)
{
	unsigned flags = t->flags | 0x100u | (s->parent_remote ? 0x200u : 0);
	char *p = buf_room(out, 512);
	const struct plan *plan = r->format->plan;
	size_t before;

	p = LITERAL(p, "{\"traceId\":\"");
	p = hex64(hex64(p, t->id_hi), t->id_lo);
	p = LITERAL(p, "\",\"spanId\":\"");
	p = hex64(p, s->id);
	done(out, p);
	if (t->state.len) {
		buf_lit(out, "\",\"traceState\":\"");
		json_escape(out, t->state);
	}
	p = buf_room(out, 512);
	if (s->parent) {
		p = LITERAL(p, "\",\"parentSpanId\":\"");
		p = hex64(p, s->parent);
	}
	p = LITERAL(p, "\",\"name\":\"");
	done(out, p);
	json_escape(out, s->name);
	p = buf_room(out, 512);
	p = LITERAL(p, "\",\"kind\":");
	*p++ = (char)('0' + s->kind);
	p = LITERAL(p, ",\"startTimeUnixNano\":\"");
	p = decimal(p, s->start_ns);
	p = LITERAL(p, "\",\"endTimeUnixNano\":\"");
	p = decimal(p, s->end_ns);
	p = LITERAL(p, "\",\"attributes\":[");
	done(out, p);
	before = out->len;
	if (s->error_type.len) {
		buf_lit(out, "{\"key\":\"error.type\",\"value\":{");
		value_text(out, s->error_type);
		buf_lit(out, "}}");
	}
	if (s->role == ROLE_SERVER)
		attributes(out, t->has_client ? &plan->server : &plan->server_alone, r, out->len == before);
	else if (s->role == ROLE_CLIENT)
		attributes(out, &plan->client, r, out->len == before);
	p = buf_room(out, 128);
	*p++ = ']';
	if (s->status)
		p = LITERAL(p, ",\"status\":{\"code\":2}");
	p = LITERAL(p, ",\"flags\":");
	p = decimal(p, flags);
	*p++ = '}';
	done(out, p);
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

const struct encoder encoder_json = { "json", json_open, json_trace, json_close, json_seal };
